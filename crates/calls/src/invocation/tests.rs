use std::time::Duration;

use futures_util::StreamExt as _;
use plugin_protocol::Action;
use plugin_runtime::{Event, Failure};
use plugin_service::telemetry::metrics::Format;
use serde_json::Value;
use tokio::time::Instant;

use super::testing::{LIMITS, Opened, Stage, ask, plugin};
use super::*;
use crate::admission::AdmissionLimits;
use crate::callback::testing::{FakeDify, Script};
use crate::recent::EndedCall;

/// What becomes of a call whose plugin has sent everything: chunks, and the envelope's message of an error.
async fn outcome(call: Invocation, action: Action) -> Vec<String> {
    let mut stream = Box::pin(Chunks::new(call, action).into_stream());
    let mut outcome = Vec::new();
    while let Some(next) = stream.next().await {
        outcome.push(match next {
            Ok(chunk) => String::from_utf8(chunk.to_vec()).unwrap(),
            Err(error) => error.document().map_or_else(|| error.to_string(), |document| document.to_json()),
        });
    }
    outcome
}

fn text(text: &str) -> String {
    format!(r#"{{"type":"text","message":{{"text":"{text}"}},"meta":null}}"#)
}

#[tokio::test]
async fn a_call_from_request_to_end() {
    let mut stage = Stage::alone();
    let asked = ask(Action::InvokeTool, r#"{"provider":"p","tool":"t"}"#);
    let call = stage.call(&plugin(RuntimeType::Local), &asked).await.unwrap();
    let opened = stage.next_opened().await;
    let request: Value = serde_json::from_slice(&opened.call.request).unwrap();
    assert_eq!(request["session_id"], opened.call.session_id.as_str());
    assert_eq!(
        request["data"],
        serde_json::json!({"user_id": "u", "type": "tool", "action": "invoke_tool", "provider": "p", "tool": "t"})
    );
    assert_eq!(opened.call.traceparent, asked.trace.traceparent());
    opened.says(&text("1"));
    opened.says(r#"{"type":"json","message":{"json_object":{"n":3.0}}}"#);
    opened.plugin.push(Event::End);
    assert_eq!(
        outcome(call, Action::InvokeTool).await,
        [text("1"), r#"{"type":"json","message":{"json_object":{"n":3}},"meta":null}"#.to_owned()]
    );
    assert!(opened.is_dropped() && stage.counted("success"));
}

#[tokio::test]
async fn a_chunk_that_needs_no_change_is_not_copied() {
    let mut stage = Stage::alone();
    let (call, opened) = stage.open(Action::InvokeTool).await;
    let chunk = Bytes::from(text("x"));
    opened.plugin.push(Event::Chunk(chunk.clone()));
    let mut chunks = Chunks::new(call, Action::InvokeTool);
    assert_eq!(chunks.next().await.unwrap().unwrap().as_ptr(), chunk.as_ptr());
}

#[tokio::test]
async fn errors_come_after_what_came_before_and_end_all() {
    let check = async |event: Event, expected: &str| {
        let mut stage = Stage::alone();
        let (call, opened) = stage.open(Action::InvokeTool).await;
        opened.says(&text("1"));
        opened.plugin.push(event);
        opened.says(&text("2"));
        opened.plugin.push(Event::End);
        let outcome = outcome(call, Action::InvokeTool).await;
        assert_eq!(outcome, [text("1"), expected.to_owned()]);
        assert!(opened.is_dropped() && stage.counted("error"));
    };
    check(
        Event::Error(ErrorObject::new("InvokeRateLimitError", "slow \"down\"").with("description", "d")),
        r#"{"args":{"description":"d"},"error_type":"InvokeRateLimitError","message":"slow \"down\""}"#,
    )
    .await;
    check(
        Event::Chunk(r#"{"type":"smell"}"#.into()),
        r#"{"error_type":"unmarshal_error","message":"unmarshal json failed: Key: 'type' Error:Field validation for 'type' failed on the 'oneof' tag (an answer of acme/echo)"}"#,
    )
    .await;
    check(
        Event::Unknown("odd".to_owned()),
        r#"{"error_type":"unknown_stream_message_type","message":"unknown stream message type: odd"}"#,
    )
    .await;
    check(
        Event::Invoke("{}".into()),
        r#"{"error_type":"invoke_dify_error","message":"invoke dify failed: invoke request is empty"}"#,
    )
    .await;
    check(
        Event::Failed(Failure::ConnectionClosed),
        r#"{"args":{},"error_type":"ConnectionClosedError","message":"Connection closed unexpectedly"}"#,
    )
    .await;
    let exit = Failure::WorkerExited { exit: "signal 9".into(), out_of_memory: true, stderr: "last words\n".into() };
    check(
        Event::Failed(exit),
        r#"{"args":{"exit":"signal 9","out_of_memory":true,"stderr":"last words\n"},"error_type":"ConnectionClosedError","message":"plugin process ended unexpectedly: signal 9, killed by the system for lack of memory: give the node more, or let fewer plugins and workers run on it\nlast words"}"#,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_call_and_says_so() {
    let mut stage = Stage::alone();
    let (call, opened) = stage.open(Action::InvokeTool).await;
    opened.says(&text("1"));
    let begun = Instant::now();
    let outcome = outcome(call, Action::InvokeTool).await;
    assert_eq!(outcome[0], text("1"));
    assert_eq!(outcome[1], "killed by timeout");
    assert!(begun.elapsed() >= LIMITS.total && begun.elapsed() < LIMITS.total + Duration::from_secs(1));
    assert!(opened.is_dropped() && stage.counted("timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_does_not_outrun_the_deadline() {
    let mut stage = Stage::alone();
    let (mut call, opened) = stage.open(Action::InvokeTool).await;
    for _ in 0..1000 {
        opened.says(&text("x"));
    }
    tokio::time::advance(LIMITS.total).await;
    let mut taken = 0;
    while let Some(Ok(_)) = call.next().await {
        taken += 1;
    }
    assert!(taken < 100, "{taken}");
    assert!(stage.counted("timeout"));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_call_where_it_has_a_limit() {
    let idle = Duration::from_secs(30);
    let mut stage = Stage::new("http://127.0.0.1:1", Limits { idle: Some(idle), ..LIMITS });
    let (mut call, opened) = stage.open(Action::InvokeTool).await;
    let speak = async {
        for _ in 0..10 {
            tokio::time::sleep(idle * 9 / 10).await;
            opened.says(&text("x"));
        }
    };
    let listen = async {
        let mut heard = 0;
        loop {
            match call.next().await.unwrap() {
                Ok(_) => heard += 1,
                Err(error) => return (heard, error),
            }
        }
    };
    let (error, ()) = tokio::join!(listen, speak);
    assert_eq!(error, (10, CallError::Silent(idle)));
    assert_eq!(
        error.1.to_string(),
        "killed by timeout: the plugin sent nothing for 30 s (PLUGIN_CALL_IDLE_TIMEOUT_SECONDS)"
    );
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_session_and_its_calls_back() {
    let dify = FakeDify::start().await;
    dify.script(Script::Hang);
    let mut stage = Stage::new(&dify.url, LIMITS);
    let (mut call, opened) = stage.open(Action::InvokeTool).await;
    opened.plugin.push(invoke("moderation"));
    opened.says(&text("1"));
    assert!(call.next().await.unwrap().is_ok());
    while dify.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(call);
    dify.left().await;
    assert!(opened.is_dropped() && stage.counted("client_disconnect"));
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_calls_back() {
    let dify = FakeDify::start().await;
    dify.script(Script::Hang);
    let mut stage = Stage::new(&dify.url, LIMITS);
    let (mut call, opened) = stage.open(Action::InvokeTool).await;
    opened.plugin.push(invoke("moderation"));
    let end = async {
        while dify.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        opened.plugin.push(Event::End);
    };
    let (next, ()) = tokio::join!(call.next(), end);
    assert!(next.is_none());
    dify.left().await;
}

fn invoke(kind: &str) -> Event {
    let request = r#"{"provider":"p","model":"m","text":"t"}"#;
    Event::Invoke(format!(r#"{{"type":"{kind}","backwards_request_id":"1","request":{request}}}"#).into())
}

#[tokio::test]
async fn calls_back_are_answered_while_the_plugin_speaks() {
    let dify = FakeDify::start().await;
    dify.script(Script::Body(200, br#"{"data":{"result":true}}"#.to_vec()));
    let mut stage = Stage::new(&dify.url, LIMITS);
    let (mut call, opened) = stage.open(Action::InvokeTool).await;
    opened.plugin.push(invoke("moderation"));
    let end = async {
        while opened.replies.lines().len() < 2 {
            tokio::task::yield_now().await;
        }
        opened.plugin.push(Event::End);
    };
    let (next, ()) = tokio::join!(call.next(), end);
    assert!(next.is_none());
    assert_eq!(opened.replies.lines(), [r#"response struct {"result":true}"#, "end  null"]);
}

#[tokio::test]
async fn too_many_calls_back_are_refused_one_by_one() {
    let dify = FakeDify::start().await;
    for _ in 0..256 {
        dify.script(Script::Hang);
    }
    let mut stage = Stage::new(&dify.url, LIMITS);
    let (mut call, opened) = stage.open(Action::InvokeTool).await;
    for _ in 0..257 {
        opened.plugin.push(invoke("moderation"));
    }
    let end = async {
        while opened.replies.lines().len() < 2 {
            tokio::task::yield_now().await;
        }
        opened.plugin.push(Event::End);
    };
    let (next, ()) = tokio::join!(call.next(), end);
    assert!(next.is_none());
    assert_eq!(
        opened.replies.lines(),
        ["error too many calls at a time: 256 of this session are running null", "end  null"]
    );
}

#[tokio::test]
async fn files_of_a_strategy_are_put_together() {
    let mut stage = Stage::alone();
    let (call, opened) = stage.open(Action::InvokeAgentStrategy).await;
    let piece = |blob: &str, end: bool| {
        format!(
            r#"{{"type":"blob_chunk","message":{{"id":"f","total_length":6,"blob":"{blob}","end":{end}}},"meta":{{"m":1}}}}"#
        )
    };
    for json in [piece("YWJj", false), text("between"), piece("ZGVm", false), piece("", true)] {
        opened.says(&json);
    }
    opened.plugin.push(Event::End);
    assert_eq!(
        outcome(call, Action::InvokeAgentStrategy).await,
        [text("between"), r#"{"type":"blob","message":{"blob":"YWJjZGVm"},"meta":{"m":1}}"#.to_owned()]
    );
}

#[tokio::test]
async fn no_schema_is_no_event() {
    let mut stage = Stage::alone();
    let (call, opened) = stage.open(Action::GetAiModelSchemas).await;
    opened.says(r#"{"model_schema":null}"#);
    opened.plugin.push(Event::End);
    assert_eq!(outcome(call, Action::GetAiModelSchemas).await, [""; 0]);
}

async fn polled(say: impl FnOnce(&Opened)) -> Result<String, CallError> {
    let mut stage = Stage::alone();
    let (call, opened) = stage.open(Action::StartPolling).await;
    say(&opened);
    opened.plugin.push(Event::End);
    final_result(call).await.map(|result| result.get().to_owned())
}

#[tokio::test]
async fn the_last_word_of_polling_counts() {
    let two = polled(|opened| {
        opened.says(r#"{"status":"running","plugin_state":{"a":1}}"#);
        opened.says(r#"{"status":"failed","error":"last","result":null}"#);
    });
    assert_eq!(two.await.unwrap(), r#"{"status":"failed","result":null,"error":"last"}"#);
    let none = polled(|_| {}).await.unwrap_err();
    assert_eq!(none.document().unwrap().message, "no polling result received from plugin");
    let bad = polled(|opened| opened.says(r#"{"status":"pending"}"#)).await.unwrap_err();
    assert_eq!(bad.document().unwrap().error_type, "unmarshal_error");
}

#[tokio::test]
async fn a_request_too_large_for_a_function_is_cut() {
    let mut stage = Stage::alone();
    let texts: Vec<String> = (0..3).map(|n| format!("\"{}\"", n.to_string().repeat(300))).collect();
    let data = format!(r#"{{"provider":"p","texts":[{}]}}"#, texts.join(","));
    let (plugin, asked) = (plugin(RuntimeType::Serverless), ask(Action::GetTextEmbeddingNumTokens, &data));
    assert!(stage.invocations.needs_batches(&plugin, &asked));
    let Stage { invocations, opened, .. } = &mut stage;
    let mut sessions = std::collections::BTreeSet::new();
    let answer = async {
        for (counts, length) in [("[1,2]", 2), ("[3]", 1)] {
            let one = opened.recv().await.unwrap();
            let request: Value = serde_json::from_slice(&one.call.request).unwrap();
            assert_eq!(request["data"]["texts"].as_array().unwrap().len(), length);
            assert!(one.call.request.len() <= LIMITS.serverless_request);
            sessions.insert(one.call.session_id.to_string());
            one.says(&format!(r#"{{"num_tokens":{counts}}}"#));
            one.plugin.push(Event::End);
        }
    };
    let (whole, ()) = tokio::join!(invocations.in_batches(&plugin, &asked), answer);
    assert_eq!(whole.unwrap(), r#"{"num_tokens":[1,2,3]}"#);
    assert_eq!(sessions.len(), 1, "all calls are one session's");
}

#[tokio::test]
async fn a_plugin_that_is_nowhere() {
    let stage = Stage::alone();
    let error = stage.call(&plugin(RuntimeType::Remote), &ask(Action::InvokeTool, "{}")).await.unwrap_err();
    assert!(matches!(error, OpenError::NotFound), "{error}");
    assert!(stage.counted("error"));
}

#[tokio::test(start_paused = true)]
async fn a_call_above_the_limits_reaches_no_plugin_and_its_refusal_is_seen() {
    let admission = AdmissionLimits { plugin: Limit { running: 1, waiting: 0 }, ..LIMITS.admission };
    let mut stage = Stage::new("http://127.0.0.1:1", Limits { admission, ..LIMITS });
    let (call, opened) = stage.open(Action::InvokeTool).await;
    let (plugin, asked) = (plugin(RuntimeType::Local), ask(Action::InvokeTool, "{}"));
    let refused = stage.call(&plugin, &asked).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Busy { cause } if cause.contains("PLUGIN_MAX_CALLS")), "{refused:?}");
    assert!(stage.opened.try_recv().is_err());
    let metrics = stage.metrics.expose(Format::Plain).text;
    let counted = "plugin_invocations_refused_total{runtime_type=\"local\",limit=\"plugin\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert_eq!(stage.invocations.recent().failed()[0].cause, Some(refused.to_string()));
    opened.plugin.push(Event::End);
    outcome(call, Action::InvokeTool).await;
    drop(stage.open(Action::InvokeTool).await);
    stage.open(Action::InvokeTool).await;
}

#[tokio::test(start_paused = true)]
async fn failed_and_slow_calls_are_kept_with_their_steps_and_nothing_of_what_was_said() {
    let mut stage = Stage::new("http://127.0.0.1:1", Limits { slow: Duration::from_secs(30), ..LIMITS });
    let (call, opened) = stage.open(Action::InvokeTool).await;
    opened.says(&text("a secret"));
    opened.plugin.push(Event::Failed(Failure::ConnectionClosed));
    outcome(call, Action::InvokeTool).await;
    let recent = stage.invocations.recent();
    let [failed] = &recent.failed()[..] else { panic!("{:?}", recent.failed()) };
    let steps = |call: &EndedCall| call.steps.iter().map(|step| step.step).collect::<Vec<_>>();
    assert_eq!((failed.action, failed.outcome, failed.chunks), ("invoke_tool", "error", 1));
    assert_eq!(failed.cause.as_deref(), Some("Connection closed unexpectedly"));
    assert_eq!(steps(failed), ["worker", "first chunk", "answer"]);
    assert!(!format!("{failed:?}").contains("a secret") && recent.slow().is_empty());

    let (mut call, opened) = stage.open(Action::InvokeTool).await;
    tokio::time::advance(Duration::from_secs(20)).await;
    opened.says(&text("late"));
    call.next().await.unwrap().unwrap();
    tokio::time::advance(Duration::from_secs(11)).await;
    opened.plugin.push(Event::End);
    assert!(call.next().await.is_none());
    let slow = recent.slow();
    assert_eq!(
        (slow.len(), slow[0].outcome, slow[0].duration_ms, steps(&slow[0])),
        (1, "success", 31_000, steps(failed))
    );
    assert_eq!([slow[0].steps[1].duration_ms, slow[0].steps[2].after_ms], [20_000; 2]);
    assert_eq!(recent.failed().len(), 1);
}
