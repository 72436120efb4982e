use http::header::CONTENT_TYPE;
use plugin_calls::callback::testing::everything;
use plugin_protocol::ErrorObject;
use plugin_runtime::{Event, Failure};
use serde_json::{Value, json};

use crate::testing::{CallBed, PLUGIN_ID, request_of};
use plugin_web::testing::Sent;

/// An address at which no Dify listens.
const NO_DIFY: &str = "http://127.0.0.1:1";
const OF_PLUGIN: [(&str, &str); 1] = [("x-plugin-id", PLUGIN_ID)];

fn tool() -> Value {
    json!({"user_id": "u", "data": {"provider": "p", "tool": "t", "tool_parameters": {"n": 9_007_199_254_740_993_i64}}})
}

#[tokio::test]
async fn a_stream_on_the_wire() {
    let mut bed = CallBed::new(NO_DIFY).await;
    let request = bed.request("dispatch/tool/invoke", &OF_PLUGIN, &tool());
    let (sent, _) = bed
        .play(request, |plugin| {
            plugin.says("{\"type\":\"text\",\"message\":{\"text\":\"a\u{85}\u{2028}<é>\"},\"meta\":null}");
            plugin.says(r#"{"type":"json","message":{"json_object":{"n":3.0}}}"#);
            plugin.plugin.push(Event::Error(ErrorObject::new("ValueError", "it \"broke\"").with("traceback", "t")));
        })
        .await;
    assert_eq!((sent.status, sent.headers[CONTENT_TYPE].to_str().unwrap()), (200, "text/event-stream"));
    insta::assert_snapshot!(std::str::from_utf8(&sent.body).unwrap(), @r#"
    data: {"code":0,"message":"success","data":{"type":"text","message":{"text":"a\u0085\u2028<é>"},"meta":null}}

    data: {"code":0,"message":"success","data":{"type":"json","message":{"json_object":{"n":3}},"meta":null}}

    data: {"code":-500,"message":"{\"message\":\"{\\\"args\\\":{\\\"traceback\\\":\\\"t\\\"},\\\"error_type\\\":\\\"ValueError\\\",\\\"message\\\":\\\"it \\\\\\\"broke\\\\\\\"\\\"}\",\"error_type\":\"PluginInvokeError\",\"args\":null}","data":null}
    "#);
}

#[tokio::test]
async fn a_plugin_that_says_nothing() {
    let mut bed = CallBed::new(NO_DIFY).await;
    let request = bed.request("dispatch/tool/invoke", &OF_PLUGIN, &tool());
    let (sent, _) = bed.play(request, |_| {}).await;
    assert_eq!((sent.status, sent.headers[CONTENT_TYPE].to_str().unwrap()), (200, "text/event-stream"));
    assert!(sent.body.is_empty());
}

/// An answer that is empty, one that breaks its shape, and a failure are told apart by the bytes (http-api 3.3).
#[tokio::test]
async fn an_empty_a_wrong_and_a_failed_answer_are_three_results() {
    let mut bed = CallBed::new(NO_DIFY).await;
    let failed = || Event::Error(ErrorObject::new("ValueError", "boom"));
    let answers = [
        ("empty", None),
        ("wrong", Some(Event::Chunk(r#"{"type":"text","message":5}"#.into()))),
        ("failed", Some(failed())),
    ];
    let mut page = String::new();
    for (name, answer) in &answers {
        let request = bed.request("dispatch/tool/invoke", &OF_PLUGIN, &tool());
        let (sent, _) = bed.play(request, |plugin| _ = answer.clone().map(|event| plugin.plugin.push(event))).await;
        page.push_str(&wire(&format!("{name} stream"), &sent));
    }
    let data = json!({"provider": "p", "model": "m", "model_type": "llm", "plugin_state": {"a": 1}});
    for (name, answer) in answers {
        let request = bed.request("dispatch/model/polling/check", &OF_PLUGIN, &json!({"data": data}));
        let (sent, _) = bed.play(request, |plugin| _ = answer.map(|event| plugin.plugin.push(event))).await;
        page.push_str(&wire(&format!("{name} polling"), &sent));
    }
    insta::assert_snapshot!("empty_wrong_and_failed", page);
}

#[tokio::test]
async fn the_request_that_a_plugin_receives() {
    let mut bed = CallBed::new(NO_DIFY).await;
    let ids =
        json!({"conversation_id": "c", "message_id": null, "app_id": "a", "context": {"credentials": {"n": 1.0}}});
    let mut body = tool();
    body.as_object_mut().unwrap().extend(ids.as_object().unwrap().clone());
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = format!("00-{trace}-b7ad6b7169203331-00");
    let headers = [OF_PLUGIN[0], ("traceparent", traced.as_str())];
    let request = bed.request("dispatch/tool/invoke", &headers, &body);
    let (_, opened) = bed.play(request, |_| {}).await;
    let mut received = request_of(&opened);
    assert_eq!(received["session_id"].take(), opened.call.session_id.as_str());
    assert_eq!(
        received,
        json!({"session_id": null, "conversation_id": "c", "message_id": null, "app_id": "a", "endpoint_id": null,
            "context": {"credentials": {"n": 1}}, "event": "request", "data": {"user_id": "u", "type": "tool",
            "action": "invoke_tool", "provider": "p", "tool": "t", "credentials": {},
            "tool_parameters": {"n": 9_007_199_254_740_993_i64}}})
    );
    assert_eq!(opened.call.plugin.as_str(), bed.identifier);
    assert!(opened.call.traceparent.contains(trace));
}

#[tokio::test]
async fn failures_before_the_stream_have_a_status() {
    let bed = CallBed::new(NO_DIFY).await;
    let check = async |headers: &[(&str, &str)], body: Value, status: u16, code: i64, kind: &str, text: &str| {
        let sent = bed.client.send(bed.request("dispatch/tool/invoke", headers, &body)).await;
        let (got_status, got_code, got_kind, got_text) = sent.error();
        assert_eq!((got_status, got_code, got_kind.as_str()), (status, code, kind));
        assert!(got_text.starts_with(text), "{got_text}");
    };
    let bad = "PluginDaemonBadRequestError";
    check(&[], tool(), 400, -400, bad, "plugin_id is required").await;
    check(&[("x-plugin-id", "a/b")], tool(), 404, -404, "PluginNotFoundError", "plugin not found").await;
    check(&OF_PLUGIN, json!({"data": null}), 400, -400, bad, "Key: 'data' Error:Field validation for 'data'").await;
    check(&OF_PLUGIN, json!({"data": {}}), 400, -400, bad, "Key: 'data.provider' Error:Field validation").await;
    check(&OF_PLUGIN, json!({"data": [1]}), 400, -400, bad, "data: expected an object, found a list").await;
    let mut body = tool();
    body["context"] = json!("x");
    check(&OF_PLUGIN, body, 400, -400, bad, "context: expected an object, found a string").await;
    let mut body = tool();
    body["user_id"] = json!(5);
    check(&OF_PLUGIN, body, 400, -400, bad, "invalid request: user_id: ").await;
    let wrong = [OF_PLUGIN[0], ("x-api-key", "wrong")];
    let request = bed.request("dispatch/tool/invoke", &[], &tool());
    let (mut parts, body) = request.into_parts();
    parts.headers.insert("x-api-key", wrong[1].1.parse().unwrap());
    assert_eq!(bed.client.send(http::Request::from_parts(parts, body)).await.status, 401);
}

#[tokio::test]
async fn a_version_without_a_tenant_s_installation() {
    let bed = CallBed::new(NO_DIFY).await;
    bed.uninstall().await;
    let mut body = tool();
    let path = "/v2/invoke/dispatch/tool/invoke";
    let identifier = bed.identifier.clone();
    let of_version = [("x-plugin-unique-identifier", identifier.as_str())];
    let sent = bed.client.send(bed.request(path, &of_version, &body)).await;
    assert_eq!(sent.status, 400, "a tenant is required");
    body["tenant_id"] = json!(bed.client.tenant);
    let sent = bed.client.send(bed.request(path, &[], &body)).await;
    assert_eq!(sent.error().3, "X-Plugin-Unique-Identifier header is required");
    let sent = bed.client.send(bed.request(path, &[("x-plugin-unique-identifier", "x")], &body)).await;
    assert_eq!((sent.error().0, sent.error().2.as_str()), (400, "PluginUniqueIdentifierError"));
    let gone = bed.client.send(bed.request(path, &of_version, &body)).await;
    assert_eq!(gone.error().3, "no available node, plugin runtime not found", "its declaration went with it");
}

#[tokio::test]
async fn polling_is_plain_json() {
    let mut bed = CallBed::new(NO_DIFY).await;
    let data = json!({"provider": "p", "model": "m", "model_type": "llm", "plugin_state": {"a": 1}});
    let body = json!({"data": data});
    let request = bed.request("dispatch/model/polling/check", &OF_PLUGIN, &body);
    let (sent, opened) = bed.play(request, |plugin| plugin.says(r#"{"status":"failed","error":"lost"}"#)).await;
    assert_eq!(sent.data(), json!({"status": "failed", "error": "lost"}));
    assert_eq!(request_of(&opened)["data"]["action"], "check_polling");
    let request = bed.request("dispatch/model/polling/check", &OF_PLUGIN, &body);
    let error = Event::Error(ErrorObject::new("InvokeRateLimitError", "slow down"));
    let (sent, _) = bed.play(request, |plugin| _ = plugin.plugin.push(error)).await;
    let (status, code, kind, text) = sent.error();
    assert_eq!((status, code, kind.as_str()), (500, -500, "PluginInvokeError"));
    assert_eq!(text, r#"{"args":null,"error_type":"InvokeRateLimitError","message":"slow down"}"#);
    let request = bed.request("/v2/invoke/dispatch/model/polling/check", &OF_PLUGIN, &body);
    assert_eq!(bed.client.send(request).await.status, 404);
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Status, content type and bytes of an answer.
fn wire(name: &str, sent: &Sent) -> String {
    let kind = sent.headers.get(CONTENT_TYPE).map_or("-", |kind| kind.to_str().unwrap());
    format!("== {name}\n{} {kind}\n{}\n", sent.status, std::str::from_utf8(&sent.body).unwrap().trim_end())
}

/// Every kind of failure of a call that has reached its plugin (http-api 3.3, 4.2).
#[tokio::test]
async fn failures_of_a_stream_on_the_wire() {
    let exited = |exit: &str, out_of_memory, stderr: &str| {
        Event::Failed(Failure::WorkerExited { exit: exit.to_owned(), out_of_memory, stderr: stderr.to_owned() })
    };
    let chunk = |text: &'static str| Event::Chunk(text.into());
    let plugin_error = || ErrorObject::new("InvokeRateLimitError", "slow down");
    let failures = [
        ("plugin error without args", Event::Error(plugin_error())),
        ("plugin error with args", Event::Error(plugin_error().with("retry_after", 3))),
        ("chunk that does not fit the action", chunk(r#"{"type":"text","message":5}"#)),
        ("chunk that is no JSON", chunk("{")),
        ("unknown stream message", Event::Unknown("progress".to_owned())),
        ("malformed call back", Event::Invoke("{}".into())),
        ("debugging connection closed", Event::Failed(Failure::ConnectionClosed)),
        ("worker exited", exited("exit code 1", false, "ValueError: boom")),
        ("worker out of memory", exited("signal 9 (SIGKILL)", true, "")),
        ("worker silent", Event::Failed(Failure::WorkerSilent { seconds: 60, stderr: String::new() })),
        ("plugin removed", Event::Failed(Failure::Stopped("the plugin was removed".to_owned()))),
        ("line too long", Event::Failed(Failure::LineTooLong { length: 11, limit: 10 })),
        ("slow caller", Event::Failed(Failure::ReaderTooSlow { waiting: 11, limit: 10 })),
    ];
    let mut bed = CallBed::new(NO_DIFY).await;
    let mut page = String::new();
    for (name, failure) in failures {
        let request = bed.request("dispatch/tool/invoke", &OF_PLUGIN, &tool());
        let (sent, _) = bed.play(request, |plugin| _ = plugin.plugin.push(failure)).await;
        page.push_str(&wire(name, &sent));
    }
    insta::assert_snapshot!("failures_of_a_stream", page);
}

#[tokio::test]
async fn a_call_whose_time_is_over_on_the_wire() {
    let variables = [("DIFY_INNER_API_URL", NO_DIFY), ("PLUGIN_MAX_EXECUTION_TIMEOUT", "1")];
    let mut bed = CallBed::configured(&variables, everything()).await;
    let request = bed.request("dispatch/tool/invoke", &OF_PLUGIN, &tool());
    let client = std::sync::Arc::clone(&bed.client);
    let (sent, opened) = tokio::join!(client.send(request), bed.opened.recv());
    insta::assert_snapshot!("time_out", wire("time-out", &sent));
    assert!(opened.unwrap().is_dropped());
}

/// Every kind of refusal before a call reaches its plugin (http-api 3.2, 5.2).
#[tokio::test]
async fn refusals_on_the_wire() {
    const TOOL: &str = "dispatch/tool/invoke";
    const VERSION: &str = "x-plugin-unique-identifier";
    let bed = CallBed::new(NO_DIFY).await;
    let absent = format!("a/b:0.0.1@{}", "1".repeat(64));
    let mut of_version = tool();
    of_version["tenant_id"] = json!(bed.client.tenant);
    let mut page = String::new();
    let refused: [(&str, &str, Headers<'_>, &Value); 10] = [
        ("no plugin id", TOOL, &[], &tool()),
        ("plugin that is not installed", TOOL, &[("x-plugin-id", "a/b")], &tool()),
        ("no data", TOOL, &OF_PLUGIN, &json!({})),
        ("data without a provider", TOOL, &OF_PLUGIN, &json!({"data": {}})),
        ("body that is no object", TOOL, &OF_PLUGIN, &json!(1)),
        ("no version", "/v2/invoke/dispatch/tool/invoke", &[], &of_version),
        ("malformed version", "/v2/invoke/dispatch/tool/invoke", &[(VERSION, "x")], &of_version),
        ("version that is not installed", "/v2/invoke/dispatch/tool/invoke", &[(VERSION, &absent)], &of_version),
        ("unknown webhook", "/e/unknown/path", &[], &json!({})),
        ("unknown action", "dispatch/tool/unknown", &OF_PLUGIN, &tool()),
    ];
    for (name, path, headers, body) in refused {
        page.push_str(&wire(name, &bed.client.send(bed.request(path, headers, body)).await));
    }
    let mut request = bed.request(TOOL, &OF_PLUGIN, &tool());
    request.headers_mut().insert("x-api-key", "wrong".parse().unwrap());
    page.push_str(&wire("wrong key", &bed.client.send(request).await));
    insta::assert_snapshot!("refusals", page);
}
