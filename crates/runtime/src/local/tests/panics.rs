//! What follows a panic in each kind of long-lived task: what it served fails at once with the cause, its processes are
//! killed, and the next call succeeds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::support::{Host, all, plugin, within};
use crate::OpenError;
use crate::local::{StartError, State};
use crate::session::{Event, Failure, Session};
use crate::task::{Task, inject};
use plugin_testkit::process::{eventually, runs};

const SOON: Duration = Duration::from_mins(2);

/// A host of a plugin that no other test has, with one worker.
async fn running(name: &str) -> Host {
    let mut host = Host::new("main");
    host.plugin = plugin(name);
    host.echo().await;
    host
}

async fn hanging(host: &Host) -> Session {
    host.open(json!({"do": "hang"})).await.unwrap()
}

/// The session has failed with the panic of this task.
async fn check_failed(session: Session, task: Task) {
    let events = within(SOON, all(session)).await;
    let [Event::Failed(Failure::Internal(text))] = &events[..] else { panic!("{task}: {events:?}") };
    assert_eq!(*text, format!("internal error in the plugin daemon: {task} panicked: injected"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_around_a_worker_ends_it_and_its_sessions() {
    for task in [Task::Supervisor, Task::Recovery, Task::Keeper, Task::Reaper, Task::Output, Task::Stderr, Task::Input]
    {
        let host = running(&format!("panics-{task:?}").to_lowercase()).await;
        let (sessions, pid) = ([hanging(&host).await, hanging(&host).await], host.pid());
        inject::panic_in(task, &host.plugin);
        for session in sessions {
            check_failed(session, task).await;
        }
        within(SOON, host.echo()).await;
        eventually("the process is gone", || !runs(pid)).await;
        eventually("and forgotten", || host.status().workers.iter().all(|worker| worker.pid != pid)).await;
        assert_eq!(host.status().state, State::Running);
        within(SOON, host.runtime.remove(&host.plugin, true)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_during_a_start_fails_all_that_wait_for_it() {
    for task in [Task::Supervisor, Task::Recovery, Task::Start] {
        let mut host = Host::new("main");
        host.plugin = plugin(&format!("panics-starting-{task:?}").to_lowercase());
        *host.preparer.takes.lock().unwrap() = Duration::from_mins(1);
        let panic = async {
            let starts = || {
                host.runtime.status(&host.plugin).is_some_and(|status| matches!(status.state, State::Preparing { .. }))
            };
            eventually("it starts", starts).await;
            inject::panic_in(task, &host.plugin);
        };
        let waiting = async { tokio::join!(host.ensure(), host.open(json!({"do": "echo"})), panic) };
        let (ensured, opened, ()) = within(SOON, waiting).await;
        let expected = format!("internal error in the plugin daemon: {task} panicked: injected");
        let Err(StartError::Internal { message }) = ensured else { panic!("{ensured:?}") };
        let Err(OpenError::NotReady { cause, next_try: Some(_) }) = opened else { panic!("{opened:?}") };
        assert_eq!([message, cause], [expected.clone(), expected]);
        let State::Failed(failed) = host.status().state else { panic!("{:?}", host.status()) };
        assert_eq!(failed.cause, "internal");
        *host.preparer.takes.lock().unwrap() = Duration::ZERO;
        within(SOON, host.echo()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_worker_drains_ends_it() {
    let host = running("panics-drain").await;
    let (session, pid) = (hanging(&host).await, host.pid());
    host.runtime.restart(&host.plugin).await.unwrap();
    inject::panic_in(Task::Drain, &host.plugin);
    check_failed(session, Task::Drain).await;
    within(SOON, host.echo()).await;
    eventually("the process is gone", || !runs(pid)).await;
    eventually("and forgotten", || host.status().workers.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_during_a_shutdown_ends_it_at_once() {
    let host = running("panics-shutdown").await;
    let (session, pid) = (hanging(&host).await, host.pid());
    inject::panic_in(Task::Shutdown, &host.plugin);
    let (removed, ()) =
        tokio::join!(within(SOON, host.runtime.remove(&host.plugin, true)), check_failed(session, Task::Shutdown));
    let () = removed;
    assert!(!runs(pid), "it is gone before the removal returns");
    within(SOON, host.echo()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_spawner_fails_one_start_and_no_other_worker() {
    let mut host = running("panics-spawner-other").await;
    let pid = host.pid();
    host.plugin = plugin("panics-spawner");
    inject::panic_in(Task::Spawner, &host.plugin);
    let error = within(SOON, host.ensure()).await.unwrap_err();
    assert!(matches!(error, StartError::Spawn { .. }), "{error:?}");
    assert!(error.to_string().ends_with("process spawner panicked: injected"), "{error}");
    within(SOON, host.echo()).await;
    assert!(runs(pid), "the thread has survived, since its end would kill what it started");
}

#[tokio::test(flavor = "multi_thread")]
async fn supervisors_that_panic_again_and_again_hang_nothing() {
    let host = Arc::new(running("panics-repeated").await);
    for _ in 0..20 {
        inject::panic_in(Task::Supervisor, &host.plugin);
        let _ended = within(SOON, host.open(json!({"do": "echo"}))).await;
        eventually("it panics", || inject::is_done(Task::Supervisor, &host.plugin)).await;
    }
    host.ensure().await.unwrap();
    within(SOON, host.echo()).await;
}
