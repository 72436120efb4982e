//! Assets and the debugging key.

use axum::body::Body;
use serde_json::json;

use super::{UPLOAD, upload};
use crate::testing::client;
use plugin_install::testing::{InstallBed, package};
use plugin_service::telemetry::testing::Logged;
use plugin_web::testing::Sent;

fn header<'a>(sent: &'a Sent, name: &str) -> &'a str {
    sent.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn icons_have_a_type_and_a_tag() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let uploaded = api.upload(UPLOAD, "dify_pkg", &package("light", "0.0.1", &[])).await.data();
    let path = format!("asset/{}", uploaded["manifest"]["icon"].as_str().unwrap());
    let icon = api.for_another().get(&path).await;
    assert_eq!((icon.status, header(&icon, "content-type")), (200, "image/svg+xml"));
    assert!(icon.body.starts_with(b"<svg"));
    let tag = header(&icon, "etag").to_owned();
    let again = api.request("GET", &path).header("if-none-match", &tag).body(Body::empty()).unwrap();
    let again = api.send(again).await;
    assert_eq!((again.status, again.body.len(), header(&again, "etag")), (304, 0, tag.as_str()));

    let identifier = uploaded["unique_identifier"].as_str().unwrap();
    let packed = api.get(&format!("extract-asset/?plugin_unique_identifier={identifier}&file_path=icon.svg")).await;
    assert_eq!((packed.status, &packed.body), (200, &icon.body));
}

#[tokio::test]
async fn what_is_no_asset_is_not_found() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let identifier = upload(&api, "light", "0.0.1").await;
    for path in ["asset/none.svg", "asset/..%2f..%2fdaemon.db", "asset/..", "asset/.", "asset/%2e%2e", "asset/a%5cb"] {
        assert_eq!(api.get(path).await.status, 404, "{path}");
    }
    for file in ["none.svg", "../manifest.yaml", "manifest.yaml", "/etc/passwd", ".."] {
        let path = format!("extract-asset/?plugin_unique_identifier={identifier}&file_path={file}");
        assert_eq!(api.get(&path).await.status, 404, "{file}");
    }
    let nowhere = format!("testkit/none:0.0.1@{}", "0".repeat(64));
    let path = format!("extract-asset/?plugin_unique_identifier={nowhere}&file_path=icon.svg");
    assert_eq!(api.get(&path).await.status, 404);
}

#[tokio::test]
async fn the_debugging_key_stays_the_same() {
    let bed = InstallBed::with(&[("PLUGIN_REMOTE_INSTALLING_ENABLED", "true")]).await;
    let api = client(&bed, &bed.node());
    let key = api.post("debugging/key", &json!({})).await.data();
    assert_eq!(api.post("debugging/key", &json!({})).await.data(), key);
    assert_ne!(api.for_another().post("debugging/key", &json!({})).await.data(), key);
    let off = InstallBed::with(&[("PLUGIN_REMOTE_INSTALLING_ENABLED", "false")]).await;
    let (node, logged) = (off.node(), Logged::on_this_thread());
    let answer = client(&off, &node).post("debugging/key", &json!({})).await;
    assert_eq!((answer.status, answer.json()), (404, json!({"code": "not_found", "message": "route not found"})));
    let reason = "debugging is off (PLUGIN_REMOTE_INSTALLING_ENABLED=false)";
    assert!(logged.text().contains(reason), "{}", logged.text());
}
