use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::testing::{CallBed, crypted, request_of};
use plugin_calls::callback::testing::{FakeDify, Script};

struct Fixture {
    bed: CallBed,
    dify: FakeDify,
    id: Value,
    hook: String,
}

/// A plugin with one endpoint.
async fn fixture() -> Fixture {
    let dify = FakeDify::start().await;
    let bed = Box::pin(CallBed::new(&dify.url)).await;
    dify.script(Script::Body(200, crypted(&json!({"token": "sealed"}))));
    let body = json!({"plugin_unique_identifier": bed.identifier, "user_id": "u", "name": "n",
        "settings": {"token": "t"}});
    assert_eq!(bed.client.post("endpoint/setup", &body).await.data(), true);
    dify.script(Script::Body(200, crypted(&json!({"token": "t"}))));
    let row = bed.client.get("endpoint/list?page=1&page_size=1").await.data()[0].take();
    let hook = row["hook_id"].as_str().unwrap().to_owned();
    Fixture { bed, dify, id: row["id"].clone(), hook }
}

impl Fixture {
    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("/e/{}{path}", self.hook)).header("host", "hooks.example")
    }

    async fn refused(&self, request: http::request::Builder, body: &str) -> (u16, i64, String) {
        let sent = self.bed.client.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        let (status, code, _, text) = sent.error();
        (status, code, text)
    }
}

#[tokio::test]
async fn a_request_reaches_the_plugin_as_it_was_sent() {
    let mut fixture = fixture().await;
    fixture.dify.script(Script::Body(200, crypted(&json!({"token": "t", "n": 3.0}))));
    let request = fixture.request("POST", "/a%2Fb//c?z=1&a=%zz").body(Body::from("\0hi")).unwrap();
    let (sent, opened) = fixture
        .bed
        .play(request, |plugin| plugin.says(r#"{"status":202,"headers":{"X-A":"1"},"result":"6869"}"#))
        .await;
    assert_eq!((sent.status, &sent.body[..]), (202, &b"hi"[..]));
    assert_eq!(sent.headers["x-a"], "1");
    let received = request_of(&opened);
    assert_eq!((&received["endpoint_id"], &received["conversation_id"]), (&fixture.id, &Value::Null));
    let data = &received["data"];
    assert_eq!(
        (&data["type"], &data["action"], &data["user_id"]),
        (&json!("endpoint"), &json!("invoke_endpoint"), &json!(""))
    );
    assert_eq!(data["settings"].to_string(), r#"{"n":3,"token":"t"}"#);
    let raw = hex::decode(data["raw_http_request"].as_str().unwrap()).unwrap();
    let raw = String::from_utf8(raw).unwrap();
    assert!(raw.starts_with("POST /a%2Fb//c?z=1&a=%zz HTTP/1.1\r\nHost: hooks.example\r\n"), "{raw}");
    assert!(raw.contains("\r\nContent-Length: 3\r\n") && raw.ends_with("\r\n\r\n\0hi"), "{raw}");
    let decrypt = fixture.dify.requests().pop().unwrap().body;
    assert_eq!((&decrypt["opt"], &decrypt["data"]), (&json!("decrypt"), &json!({"token": "sealed"})));
}

#[tokio::test]
async fn requests_that_reach_no_plugin() {
    let fixture = fixture().await;
    let to = |target: &str| Request::get(target).header("host", "hooks.example");
    let not_there = |code: i64| (404, code, "endpoint not found".to_owned());
    for unknown in ["/e/no0such0hook0000/x", "/e/%00/x", "/e/%ff/x", "/e/a-b/x"] {
        assert_eq!(fixture.refused(to(unknown), "").await, not_there(-400), "{unknown}");
    }
    let upper = format!("/e/{}/x", fixture.hook.to_ascii_uppercase());
    assert_eq!(fixture.refused(to(&upper), "").await, not_there(-400));
    let large = fixture.request("POST", "/x").header("content-length", "10485761");
    assert_eq!(fixture.refused(large, "x").await.0, 413);
    let body = "x".repeat(10 * 1024 * 1024 + 1);
    assert_eq!(fixture.refused(fixture.request("POST", "/x"), &body).await.0, 413);
    fixture.dify.script(Script::Body(200, br#"{"error":"no key"}"#.to_vec()));
    let (status, code, text) = fixture.refused(fixture.request("GET", "/x"), "").await;
    assert_eq!((status, code, text.as_str()), (500, -500, "failed to decrypt settings: request failed: no key"));
    fixture.bed.client.post("endpoint/disable", &json!({"endpoint_id": fixture.id})).await;
    assert_eq!(fixture.refused(fixture.request("GET", "/x"), "").await, not_there(-404));
    fixture.bed.client.post("endpoint/enable", &json!({"endpoint_id": fixture.id})).await;
    fixture.bed.uninstall().await;
    let gone = fixture.refused(fixture.request("GET", "/x"), "").await;
    assert_eq!(gone, (404, -400, "plugin installation not found".to_owned()));
}
