//! Calls of registered plugins.

use plugin_runtime::{Event, Failure, OpenError};
use plugin_testkit::process::eventually;
use serde_json::json;

use crate::support::TestBed;

#[tokio::test]
async fn a_call_and_its_answer() {
    let bed = TestBed::new().await;
    let (mut peer, plugin) = bed.plugin(1).await;
    let mut session = bed.open(&plugin).await.unwrap();
    let id = peer.request().await;
    peer.answer(&id, "stream", &json!({"a": 1.5})).await;
    peer.answer(&id, "invoke", &json!({"type": "llm", "backwards_request_id": "1", "request": {}})).await;
    assert_eq!(session.recv().await, Some(Event::Chunk(r#"{"a":1.5}"#.into())));
    assert!(matches!(session.recv().await, Some(Event::Invoke(_))));
    session.replies().reply(r#"{"reply":1}"#.into()).await.unwrap();
    assert_eq!(peer.line().await.unwrap(), r#"{"reply":1}"#);
    peer.answer(&id, "end", &json!({})).await;
    assert_eq!(session.recv().await, Some(Event::End));
    drop(session);
    eventually("the end of the session", || bed.runtime.status()[0].in_flight == 0).await;
}

#[tokio::test]
async fn an_unknown_plugin_is_not_found() {
    let bed = TestBed::new().await;
    let (peer, plugin) = bed.plugin(1).await;
    drop(peer);
    eventually("the parting", || bed.host.present() == 0).await;
    assert!(matches!(bed.open(&plugin).await, Err(OpenError::NotFound)));
}

#[tokio::test]
async fn the_end_of_a_connection_ends_its_sessions_at_once() {
    let bed = TestBed::new().await;
    let (peer, plugin) = bed.plugin(1).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(bed.open(&plugin).await.unwrap());
    }
    drop(peer);
    for session in &mut sessions {
        assert_eq!(session.recv().await, Some(Event::Failed(Failure::ConnectionClosed)));
        assert_eq!(session.recv().await, None);
    }
    assert!(sessions[0].replies().reply("{}".into()).await.is_err());
}

#[tokio::test]
async fn what_was_said_before_the_end_is_delivered() {
    let bed = TestBed::new().await;
    let (mut peer, plugin) = bed.plugin(1).await;
    let mut session = bed.open(&plugin).await.unwrap();
    let id = peer.request().await;
    for n in 0..100 {
        peer.answer(&id, "stream", &json!(n)).await;
    }
    let last = json!({"event": "session", "session_id": id, "data": {"type": "stream", "data": 100}}).to_string();
    peer.send(last.as_bytes()).await;
    drop(peer);
    for n in 0..=100 {
        assert_eq!(session.recv().await, Some(Event::Chunk(n.to_string().into())));
    }
    assert_eq!(session.recv().await, Some(Event::Failed(Failure::ConnectionClosed)));
}

#[tokio::test]
async fn the_newest_connection_is_asked_and_the_older_one_after_it() {
    let bed = TestBed::new().await;
    let (mut old, plugin) = bed.plugin(1).await;
    let (mut new, _) = bed.plugin(1).await;
    let _asked = bed.open(&plugin).await.unwrap();
    new.request().await;
    drop(new);
    eventually("the parting", || bed.host.present() == 1).await;
    let _asked = bed.open(&plugin).await.unwrap();
    old.request().await;
}

#[tokio::test]
async fn the_end_of_an_old_connection_is_its_own() {
    let bed = TestBed::new().await;
    let (old, plugin) = bed.plugin(1).await;
    let (mut new, _) = bed.plugin(1).await;
    let mut session = bed.open(&plugin).await.unwrap();
    let id = new.request().await;
    drop(old);
    eventually("the parting", || bed.host.present() == 1).await;
    new.answer(&id, "end", &json!({})).await;
    assert_eq!(session.recv().await, Some(Event::End));
    let _again = bed.open(&plugin).await.unwrap();
    new.request().await;
}
