//! What goes through a worker while everything works, and what a plugin may print without doing harm.

use std::time::Duration;

use plugin_manifest::UniqueIdentifier;
use plugin_protocol::envelope::{Answer, backwards_response};
use plugin_protocol::{Origin, SessionId};
use plugin_runtime::{Event, Failure};
use plugin_testkit::process::{eventually, runs};
use serde_json::json;

use crate::support::{Host, all, chunks};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_comes_back_and_a_stream_keeps_its_order() {
    let host = Host::new("main");
    host.echo().await;
    let events = host.call(json!({"do": "stream", "count": 5000, "size": 100})).await;
    let indexes: Vec<_> = chunks(&events).iter().map(|chunk| chunk["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..5000).collect::<Vec<_>>());
    assert_eq!(events.last(), Some(&Event::End));
    assert_eq!(host.status().workers[0].in_flight, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_share_a_worker() {
    let host = Host::new("main");
    let calls = (0..100).map(|i| host.call(json!({"do": "echo", "value": i})));
    let results = futures_util::future::join_all(calls).await;
    for (i, events) in results.iter().enumerate() {
        assert_eq!(chunks(events), [json!(i)]);
    }
    assert_eq!(host.status().workers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_error_is_the_last_event() {
    let host = Host::new("main");
    let events = host.call(json!({"do": "error"})).await;
    let [Event::Error(error)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((error.error_type.as_str(), error.message.as_str()), ("ValueError", "boom"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stray_output_is_logged_and_harms_nobody() {
    let host = Host::new("main");
    let events = host.call(json!({"do": "garbage"})).await;
    assert_eq!(events, [Event::Chunk("1".into()), Event::Chunk("1".into()), Event::End]);
    let log = host.log();
    for expected in ["Stdout print debugging", "Stdout [1,2]", "Log careful", "Error {\"error\":\"bad input\"}"] {
        assert!(log.contains(expected), "{expected} is not in\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_fails_its_own_session_only() {
    let host = Host::new("main");
    let other = host.open(json!({"do": "hang"})).await.unwrap();
    let mut events = host.call(json!({"do": "nonsense"})).await;
    let Some(Event::Failed(Failure::Protocol(text))) = events.pop() else { panic!("{events:?}") };
    assert_eq!(events, [Event::Chunk("1".into())]);
    let rule = "a message must be JSON (expected value at line 1 column ";
    assert!(text.starts_with(&format!("plugin {} broke the protocol: {rule}", host.plugin)), "{text}");
    // a message without type and data carries nothing
    assert_eq!(host.call(json!({"do": "shapeless"})).await, [Event::End]);
    host.echo().await;
    drop(other);
    assert_eq!(host.status().crashes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_too_long_fails_its_own_session_only() {
    let host = Host::with("main", |settings| settings.worker.max_line_bytes = 1024 * 1024);
    let mut other = host.open(json!({"do": "stream", "count": 50, "size": 10, "every_us": 10_000})).await.unwrap();
    let long = host.call(json!({"do": "long_line", "bytes": 3 * 1024 * 1024})).await;
    let [Event::Failed(Failure::LineTooLong { length, limit: 1_048_576 })] = &long[..] else { panic!("{long:?}") };
    assert!(*length > 3 * 1024 * 1024);
    assert!(other.recv().await.is_some());
    let rest = all(other).await;
    assert_eq!((rest.len(), rest.last()), (50, Some(&Event::End)));
    host.echo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_63_mib_arrives() {
    let host = Host::new("main");
    let bytes = 63 * 1024 * 1024;
    let events = host.call(json!({"do": "long_line", "bytes": bytes})).await;
    let [Event::Chunk(chunk), Event::End] = &events[..] else { panic!("{} events", events.len()) };
    assert_eq!(chunk.len(), bytes + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_reach_a_plugin_that_calls_back() {
    let host = Host::new("main");
    let mut session = host.open(json!({"do": "invoke"})).await.unwrap();
    let Some(Event::Invoke(invoke)) = session.recv().await else { panic!("no call back") };
    let invoke: serde_json::Value = serde_json::from_slice(&invoke).unwrap();
    let id = invoke["backwards_request_id"].as_str().unwrap();
    let session_id = SessionId::from(id.strip_suffix("-invoke").unwrap());
    let value = serde_json::value::to_raw_value(&json!({"n": 1})).unwrap();
    for answer in [Answer::Struct(value.get()), Answer::End] {
        session.replies().reply(backwards_response(&session_id, &Origin::default(), id, answer)).await.unwrap();
    }
    let events = all(session).await;
    assert_eq!(chunks(&events)[0]["data"], json!({"n": 1}));
    assert_eq!(events.last(), Some(&Event::End));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_back_of_a_session_that_is_over_is_refused_at_once() {
    let host = Host::new("main");
    let session = host.open(json!({"do": "invoke", "after_ms": 50})).await.unwrap();
    drop(session);
    eventually("the plugin hears that it was cancelled", || {
        let log = host.log();
        log.contains("\"event\":\"error\"") && log.contains("\"event\":\"end\"") && log.contains("cancelled")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_sees_no_secret_of_the_daemon() {
    let host = Host::with("main", |settings| {
        settings.process.inherited.insert("SERVER_KEY".into(), "secret".into());
        settings.process.inherited.insert("TIKTOKEN_CACHE_DIR".into(), "/cache".into());
    });
    let events = host.call(json!({"do": "variables"})).await;
    let names: Vec<String> = serde_json::from_value(chunks(&events)[0].clone()).unwrap();
    let has = |name: &str| names.iter().any(|other| other == name);
    assert!(has("PATH") && has("INSTALL_METHOD") && has("TIKTOKEN_CACHE_DIR"), "{names:?}");
    assert!(!has("SERVER_KEY"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn letting_go_of_a_session_frees_its_place() {
    let host = Host::new("main");
    let session = host.open(json!({"do": "hang"})).await.unwrap();
    assert_eq!(host.status().workers[0].in_flight, 1);
    drop(session);
    assert_eq!(host.status().workers[0].in_flight, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_can_cancel_stops_and_stays() {
    let host = Host::with("cancellable", |settings| settings.worker.cancel_grace = Some(Duration::from_millis(300)));
    host.echo().await;
    let pid = host.pid();
    drop(host.open(json!({"do": "hang"})).await.unwrap());
    eventually("it was asked", || host.log().contains("asked to stop")).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(host.pid(), pid);
    host.echo().await;
    assert_eq!(host.log().matches("asked to stop").count(), 1, "a call that has ended is not cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_goes_on_for_nobody_is_replaced_once_its_other_calls_are_done() {
    let host = Host::with("main", |settings| settings.worker.cancel_grace = Some(Duration::from_millis(300)));
    let other = host.open(json!({"do": "stream", "count": 100, "size": 10, "every_us": 10_000})).await.unwrap();
    let pid = host.pid();
    drop(host.open(json!({"do": "hang"})).await.unwrap());
    eventually("another one is up before somebody calls", || {
        let workers = host.status().workers;
        workers.len() == 2 && workers.iter().any(|worker| worker.pid == pid && worker.draining)
    })
    .await;
    host.echo().await;
    assert_eq!(all(other).await.len(), 101);
    eventually("the old one is gone", || !runs(pid) && host.status().workers.len() == 1).await;
    assert!(!host.log().contains("asked to stop"), "it has never said that it can be cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_may_be_left_alone_with_what_it_does_for_nobody() {
    let host = Host::with("main", |settings| settings.worker.cancel_grace = None);
    host.echo().await;
    let pid = host.pid();
    drop(host.open(json!({"do": "hang"})).await.unwrap());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(host.pid(), pid);
    assert!(!host.status().workers[0].draining);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_have_nothing_to_do_with_each_other() {
    let mut host = Host::new("main");
    host.echo().await;
    let first: UniqueIdentifier = std::mem::replace(&mut host.plugin, crate::support::plugin("other"));
    host.echo().await;
    host.runtime.remove(&first, false).await;
    host.echo().await;
    assert!(host.runtime.status(&first).is_none());
}
