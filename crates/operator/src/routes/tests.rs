use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use plugin_calls::recent::Recent;
use plugin_install::testing::InstallBed;
use plugin_registry::management::Management;
use plugin_service::base::Base;
use plugin_service::per_plugin::PerPlugin;
use plugin_web::testing::{ApiClient, Sent};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fleet::{Fleet, FleetParts};

const KEY: &str = "the-administrators-key";

/// A node that has neither processes nor functions, and a client of its operators' routes.
async fn admin() -> (InstallBed, ApiClient) {
    let bed = InstallBed::with(&ENABLED).await;
    let node = bed.node();
    let base = Base::new(bed.config.clone());
    let fleet = Fleet::new(FleetParts {
        base: Arc::clone(&base),
        per_plugin: PerPlugin::default(),
        local: None,
        serverless: None,
        debugged: None,
        management: Management::new(bed.stores.database.clone(), node.catalog),
        installer: node.installer,
        calls: Arc::new(Recent::new(Duration::ZERO)),
        stop: CancellationToken::new(),
        cutoff: CancellationToken::new(),
    });
    let client = ApiClient::new(&base, super::all(&base, &fleet));
    (bed, client)
}

async fn send(client: &ApiClient, method: &str, path: &str, key: (&str, &str), body: &Value) -> Sent {
    let request = Request::builder().method(method).uri(path).header("host", "daemon").header(key.0, key.1);
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
    client.send(request).await
}

const ENABLED: [(&str, &str); 2] = [("ADMIN_API_ENABLED", "true"), ("ADMIN_API_KEY", KEY)];
const GOOD: (&str, &str) = ("x-admin-api-key", KEY);

#[tokio::test]
async fn the_administrators_key_is_needed() {
    let (_bed, client) = admin().await;
    for key in [("x-admin-api-key", "the-server-key"), ("x-api-key", KEY), ("x-api-key", "the-server-key"), ("a", "b")]
    {
        let sent = send(&client, "GET", "/admin/installs", key, &json!({})).await;
        assert_eq!((sent.status, sent.error().1), (401, -401), "{key:?}");
    }
    let installs = send(&client, "GET", "/admin/installs", GOOD, &json!({})).await;
    assert_eq!(installs.data(), json!([]));
    assert_eq!(send(&client, "GET", "/admin/unlisted", GOOD, &json!({})).await.data(), json!([]));
    assert_eq!(send(&client, "GET", "/admin/debugging", GOOD, &json!({})).await.data(), json!([]));
    for kind in ["slow", "failed"] {
        let calls = send(&client, "GET", &format!("/admin/calls?kind={kind}&plugin_id=a/b"), GOOD, &json!({})).await;
        assert_eq!(calls.data(), json!([]));
    }
    assert_eq!(send(&client, "GET", "/admin/calls?kind=odd", GOOD, &json!({})).await.status, 400);
}

#[tokio::test]
async fn a_local_platform_has_no_functions() {
    let (_bed, client) = admin().await;
    let version = format!("a/b:1.0.0@{}", "0".repeat(64));
    let body = json!({"plugin_unique_identifier": version, "function_name": "f", "function_url": "http://x"});
    let reinstall = send(&client, "POST", "/admin/plugin/serverless/reinstall", GOOD, &body).await;
    insta::assert_snapshot!(String::from_utf8_lossy(&reinstall.body), @r#"data: {"code":0,"message":"success","data":{"event":"error","data":"reinstall is not supported on local platform"}}"#);
    let switch = send(&client, "POST", "/admin/plugin/serverless/switch-endpoint", GOOD, &body).await.error();
    assert_eq!((switch.0, switch.1), (200, -500));
    assert_eq!(switch.3, "switch serverless runtime is not supported on local platform");
    let isolation = send(&client, "GET", "/admin/isolation", GOOD, &json!({})).await;
    assert_ne!(isolation.status, 200, "functions are kept apart by where they run");
    for path in ["reinstall", "switch-endpoint"] {
        let path = format!("/admin/plugin/serverless/{path}");
        assert_eq!(send(&client, "POST", &path, GOOD, &json!({})).await.status, 400);
    }
}

#[tokio::test]
async fn what_is_not_being_installed_is_not_cancelled() {
    let (_bed, client) = admin().await;
    let version = format!("a/b:1.0.0@{}", "0".repeat(64));
    let body = json!({"plugin_unique_identifier": version, "task_id": uuid::Uuid::new_v4()});
    let sent = send(&client, "POST", "/admin/installs/cancel", GOOD, &body).await.error();
    assert_eq!((sent.0, sent.1), (404, -404));
}
