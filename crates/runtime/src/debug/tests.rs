//! The runtime over real sockets, where a test needs more than the public interface.

use std::time::Duration;

use self::support::TestBed;
use crate::session::{Event, Failure, Session};
use crate::task::{Task, inject};
use plugin_testkit::process::eventually;

#[path = "../../tests/debug/support.rs"]
#[expect(dead_code, reason = "the integration tests use all of it")]
mod support;

async fn next(session: &mut Session) -> Option<Event> {
    tokio::time::timeout(Duration::from_mins(2), session.recv()).await.expect("an event")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_around_a_connection_ends_it_and_its_sessions() {
    for (task, tenant) in [(Task::Registered, 7001), (Task::Input, 7002)] {
        let bed = TestBed::new().await;
        let (mut peer, plugin) = bed.plugin(tenant).await;
        let mut session = bed.open(&plugin).await.unwrap();
        peer.request().await;
        inject::panic_in(task, &plugin);
        let text = format!("internal error in the plugin daemon: {task} panicked: injected");
        assert_eq!(next(&mut session).await, Some(Event::Failed(Failure::Internal(text))));
        assert_eq!(peer.line().await, None, "the connection is closed");
        eventually("the host hears of it", || bed.host.present() == 0).await;
        assert!(bed.runtime.status().is_empty());

        let (mut peer, plugin) = bed.plugin(tenant).await;
        let mut session = bed.open(&plugin).await.unwrap();
        peer.serve().await;
        assert!(matches!(next(&mut session).await, Some(Event::Chunk(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_before_the_registration_closes_one_connection() {
    let bed = TestBed::new().await;
    let mut peer = bed.connect().await;
    inject::panic_in(Task::Connection, &peer.stream.get_ref().local_addr().unwrap());
    assert_eq!(peer.line().await, None);
    let (mut peer, plugin) = bed.plugin(7003).await;
    let _session = bed.open(&plugin).await.unwrap();
    peer.serve().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_listener_costs_no_connection() {
    let bed = TestBed::new().await;
    let (mut early, plugin) = bed.plugin(7004).await;
    inject::panic_in(Task::Listener, &bed.address);
    eventually("it panics", || inject::is_done(Task::Listener, &bed.address)).await;
    let _session = bed.open(&plugin).await.unwrap();
    early.serve().await;
    let (mut late, plugin) = bed.plugin(7005).await;
    let _session = bed.open(&plugin).await.unwrap();
    late.serve().await;
}
