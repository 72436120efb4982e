use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::testing::{Door, Sent, World};

const KEY: &str = "the-administrators-key";

async fn admin(variables: &[(&str, &str)]) -> (World, Door) {
    let world = World::with(variables).await;
    let door = Door::new(&world, &world.services());
    (world, door)
}

async fn send(door: &Door, method: &str, path: &str, key: (&str, &str), body: &Value) -> Sent {
    let request = Request::builder().method(method).uri(path).header(key.0, key.1);
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
    door.send(request).await
}

const ENABLED: [(&str, &str); 2] = [("ADMIN_API_ENABLED", "true"), ("ADMIN_API_KEY", KEY)];
const GOOD: (&str, &str) = ("x-admin-api-key", KEY);

#[tokio::test]
async fn the_administrators_key_is_needed() {
    let (_world, door) = admin(&ENABLED).await;
    for key in [("x-admin-api-key", "the-server-key"), ("x-api-key", KEY), ("x-api-key", "the-server-key"), ("a", "b")]
    {
        let sent = send(&door, "GET", "/admin/installs", key, &json!({})).await;
        assert_eq!((sent.status, sent.error().1), (401, -401), "{key:?}");
    }
    let installs = send(&door, "GET", "/admin/installs", GOOD, &json!({})).await;
    assert_eq!(installs.data(), json!([]));
    assert_eq!(send(&door, "GET", "/admin/debugging", GOOD, &json!({})).await.data(), json!([]));
    let (_world, off) = admin(&[]).await;
    assert_eq!(send(&off, "GET", "/admin/installs", GOOD, &json!({})).await.status, 404);
}

#[tokio::test]
async fn a_local_platform_has_no_functions() {
    let (_world, door) = admin(&ENABLED).await;
    let version = format!("a/b:1.0.0@{}", "0".repeat(64));
    let body = json!({"plugin_unique_identifier": version, "function_name": "f", "function_url": "http://x"});
    let reinstall = send(&door, "POST", "/admin/plugin/serverless/reinstall", GOOD, &body).await;
    insta::assert_snapshot!(String::from_utf8_lossy(&reinstall.body), @r#"data: {"code":0,"message":"success","data":{"event":"error","data":"reinstall is not supported on local platform"}}"#);
    let switch = send(&door, "POST", "/admin/plugin/serverless/switch-endpoint", GOOD, &body).await.error();
    assert_eq!((switch.0, switch.1), (200, -500));
    assert_eq!(switch.3, "switch serverless runtime is not supported on local platform");
    for path in ["reinstall", "switch-endpoint"] {
        let path = format!("/admin/plugin/serverless/{path}");
        assert_eq!(send(&door, "POST", &path, GOOD, &json!({})).await.status, 400);
    }
}

#[tokio::test]
async fn what_is_not_being_installed_is_not_cancelled() {
    let (_world, door) = admin(&ENABLED).await;
    let version = format!("a/b:1.0.0@{}", "0".repeat(64));
    let body = json!({"plugin_unique_identifier": version, "task_id": uuid::Uuid::new_v4()});
    let sent = send(&door, "POST", "/admin/installs/cancel", GOOD, &body).await.error();
    assert_eq!((sent.0, sent.1), (404, -404));
}
