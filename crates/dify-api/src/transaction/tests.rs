use axum::body::Body;
use plugin_install::testing::InstallBed;
use plugin_web::testing::ApiClient;
use serde_json::{Value, json};

use crate::testing::client;

const SESSION: &str = "0f7c1f6e-4d5b-4c36-9a0b-0d6f6c1f2a11";

/// A daemon of functions.
async fn functions() -> (InstallBed, ApiClient) {
    let bed = InstallBed::with(&[
        ("PLATFORM", "serverless"),
        ("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL", "http://127.0.0.1:1"),
        ("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY", "key"),
    ])
    .await;
    let api = client(&bed, &bed.node());
    (bed, api)
}

const ROUTES: [&str; 2] =
    ["/backwards-invocation/transaction", "/backwards-invocation/token/backwards-invocation/transaction"];

#[tokio::test]
async fn requests_that_are_none_are_refused_at_once() {
    let (_bed, api) = functions().await;
    let check = async |body: &str, status: u16, message: &str| {
        for route in ROUTES {
            let sent = api.send(api.request("POST", route).body(Body::from(body.to_owned())).unwrap()).await;
            let answer = sent.json();
            assert_eq!((sent.status, &answer["event"]), (status, &json!("backwards_response")), "{answer}");
            assert_eq!(answer["data"]["event"], "error");
            let said = answer["data"]["message"].as_str().unwrap();
            assert!(said.starts_with(message), "{said}");
        }
    };
    let failed = "failed to parse request: ";
    check("", 400, &format!("{failed}it is empty")).await;
    check("not json", 400, &format!("{failed}expected ident")).await;
    check("[]", 400, failed).await;
    check("{}", 400, &format!("{failed}it is not a session event")).await;
    check(r#"{"event":"heartbeat","data":{}}"#, 400, &format!("{failed}it is not a session event")).await;
    check(r#"{"event":"session","session_id":"s","data":{}}"#, 400, &format!("{failed}the session message lacks"))
        .await;
    let message =
        |data: Value| json!({"event": "session", "session_id": SESSION, "data": {"type": "invoke", "data": data}});
    check(&message(json!({})).to_string(), 400, &format!("{failed}invoke request is empty")).await;
    check(&message(json!({"type": "llm"})).to_string(), 400, &format!("{failed}invoke request missing request_id"))
        .await;
    let whole = message(json!({"type": "llm", "backwards_request_id": "r", "request": {}})).to_string();
    check(&whole, 400, "failed to get session info from cache").await;
    check(&" ".repeat(6 * 1024 * 1024 + 1), 413, "the request has more than 6291456 bytes").await;
}

#[tokio::test]
async fn a_local_daemon_has_no_transactions() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    for route in ROUTES {
        assert_eq!(api.post(route, &json!({})).await.status, 404);
    }
}
