mod assets;
mod installs;
mod lists;
mod packages;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use plugin_install::testing::{Installing, package};
use plugin_web::testing::ApiClient;

const UPLOAD: &str = "management/install/upload/package";

/// Uploads a package through the client; its identifier.
async fn upload(client: &ApiClient, name: &str, version: &str) -> String {
    let uploaded = client.upload(UPLOAD, "dify_pkg", &package(name, version, &[])).await.data();
    uploaded["unique_identifier"].as_str().unwrap().to_owned()
}

/// Uploads and installs, and waits for the end.
async fn install(client: &ApiClient, services: &Installing, name: &str, version: &str) -> String {
    let identifier = upload(client, name, version).await;
    let body = json!({"plugin_unique_identifiers": [identifier], "source": "package", "metas": [{"n": 1.50}]});
    let started = client.post("management/install/identifiers", &body).await.data();
    let task = services.ended(client.tenant, started["task_id"].as_str().unwrap()).await;
    assert_eq!(task.status, plugin_store::TaskStatus::Success);
    identifier
}

#[tokio::test]
async fn a_change_is_made_to_its_end_although_nobody_waits() {
    let (go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let work = {
        let (go_on, done) = (Arc::clone(&go_on), Arc::clone(&done));
        async move {
            go_on.notified().await;
            done.notify_one();
        }
    };
    let mut change = Box::pin(super::detached(work));
    assert!(futures_util::poll!(change.as_mut()).is_pending());
    drop(change);
    go_on.notify_one();
    done.notified().await;
}

/// The texts under a key of all items.
fn texts(items: &Value, key: &str) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}
