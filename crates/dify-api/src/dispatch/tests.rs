use http::header::CONTENT_TYPE;
use plugin_protocol::ErrorObject;
use plugin_runtime::{Event, Failure};
use serde_json::{Value, json};

use crate::testing::{CallBed, PLUGIN_ID, request_of};

const NOWHERE: &str = "http://127.0.0.1:1";
const OF_PLUGIN: [(&str, &str); 1] = [("x-plugin-id", PLUGIN_ID)];

fn tool() -> Value {
    json!({"user_id": "u", "data": {"provider": "p", "tool": "t", "tool_parameters": {"n": 9_007_199_254_740_993_i64}}})
}

#[tokio::test]
async fn a_stream_on_the_wire() {
    let mut bed = CallBed::new(NOWHERE).await;
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

/// What the plugin's side of a call makes of it, by name.
fn failures() -> Vec<(&'static str, Event)> {
    let chunk = |text: &str| Event::Chunk(text.to_owned().into());
    let exited =
        Failure::WorkerExited { exit: "signal 9".to_owned(), out_of_memory: true, stderr: "last words\n".to_owned() };
    vec![
        ("error without args", Event::Error(ErrorObject::new("ValueError", "boom"))),
        ("error with args", Event::Error(ErrorObject::new("InvokeRateLimitError", "slow").with("description", "d"))),
        ("chunk of no type", chunk(r#"{"message":{}}"#)),
        ("unknown message", Event::Unknown("odd".to_owned())),
        ("malformed call back", Event::Invoke("{}".into())),
        ("connection closed", Event::Failed(Failure::ConnectionClosed)),
        ("worker exited", Event::Failed(exited)),
    ]
}

#[tokio::test]
async fn every_failure_of_a_call_on_the_wire() {
    let mut page = String::new();
    for (name, event) in failures() {
        let mut bed = CallBed::new(NOWHERE).await;
        let request = bed.request("dispatch/tool/invoke", &OF_PLUGIN, &tool());
        let (sent, _) = bed
            .play(request, |plugin| {
                plugin.plugin.push(event);
            })
            .await;
        page.push_str(&[name, "\n", std::str::from_utf8(&sent.body).unwrap()].concat());
    }
    insta::assert_snapshot!("failures", page);
}

#[tokio::test]
async fn a_plugin_that_says_nothing() {
    let mut bed = CallBed::new(NOWHERE).await;
    let request = bed.request("dispatch/tool/invoke", &OF_PLUGIN, &tool());
    let (sent, _) = bed.play(request, |_| {}).await;
    assert_eq!((sent.status, sent.headers[CONTENT_TYPE].to_str().unwrap()), (200, "text/event-stream"));
    assert!(sent.body.is_empty());
}

#[tokio::test]
async fn what_a_plugin_is_told() {
    let mut bed = CallBed::new(NOWHERE).await;
    let ids =
        json!({"conversation_id": "c", "message_id": null, "app_id": "a", "context": {"credentials": {"n": 1.0}}});
    let mut body = tool();
    body.as_object_mut().unwrap().extend(ids.as_object().unwrap().clone());
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = format!("00-{trace}-b7ad6b7169203331-00");
    let headers = [OF_PLUGIN[0], ("traceparent", traced.as_str())];
    let request = bed.request("dispatch/tool/invoke", &headers, &body);
    let (_, opened) = bed.play(request, |_| {}).await;
    let mut told = request_of(&opened);
    assert_eq!(told["session_id"].take(), opened.call.session_id.as_str());
    assert_eq!(
        told,
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
    let bed = CallBed::new(NOWHERE).await;
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
    let bed = CallBed::new(NOWHERE).await;
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
    let mut bed = CallBed::new(NOWHERE).await;
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
