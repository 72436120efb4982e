//! Installs, upgrades, removals and their tasks, as Dify sees them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{install, upload};
use crate::testing::client;
use plugin_install::testing::{Behaviour, InstallBed};
use plugin_web::testing::masked;

const INSTALL: &str = "management/install/identifiers";

#[tokio::test]
async fn from_upload_to_removal() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    let identifier = upload(&api, "light", "0.0.1").await;
    let body = json!({"plugin_unique_identifiers": [identifier], "source": "github", "metas": [null]});
    let started = api.post(INSTALL, &body).await.data();
    let id = started["task_id"].as_str().unwrap();
    services.ended(api.tenant, id).await;
    let task = api.get(&format!("management/install/tasks/{id}")).await.data();
    insta::assert_json_snapshot!(masked(task.clone()));
    assert_eq!(api.get("management/install/tasks?page=1&page_size=10").await.data(), json!([task]));
    assert_eq!(api.post(INSTALL, &body).await.data(), json!({"all_installed": true, "task_id": ""}));

    let list = api.get("management/list?page=1&page_size=10").await.data();
    let uninstall = json!({"plugin_installation_id": list["list"][0]["installation_id"]});
    assert_eq!(api.for_another().post("management/uninstall", &uninstall).await.data(), json!(true));
    assert_eq!(api.get("management/list?page=1&page_size=10").await.data()["total"], 1, "another tenant's removal");
    for _ in 0..2 {
        assert_eq!(api.post("management/uninstall", &uninstall).await.data(), json!(true));
    }
    assert_eq!(api.get("management/list?page=1&page_size=10").await.data(), json!({"list": [], "total": 0}));
}

#[tokio::test]
async fn an_upgrade_keeps_the_installation() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    let old = install(&api, &services, "light", "0.0.1").await;
    let new = upload(&api, "light", "0.0.2").await;
    let before = api.get("management/list?page=1&page_size=10").await.data();
    let body = json!({
        "original_plugin_unique_identifier": old, "new_plugin_unique_identifier": new, "source": "marketplace",
    });
    let started = api.post("management/install/upgrade", &body).await.data();
    services.ended(api.tenant, started["task_id"].as_str().unwrap()).await;
    let after = api.get("management/list?page=1&page_size=10").await.data();
    let row = |list: &Value, key: &str| list["list"][0][key].clone();
    assert_eq!(row(&after, "id"), row(&before, "id"));
    assert_eq!((row(&after, "version"), row(&after, "meta")), (json!("0.0.2"), json!({})));
    let missing = json!({"plugin_unique_identifiers": [old, new]});
    let missing = api.post("management/installation/missing", &missing).await.data();
    assert_eq!(missing, json!([{"plugin_unique_identifier": old, "current_identifier": new}]));
    let again = api.post("management/install/upgrade", &body).await.error();
    assert_eq!((again.0, again.1, again.2.as_str()), (200, -404, "PluginDaemonNotFoundError"));
}

#[tokio::test]
async fn requests_that_are_refused() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let identifier = upload(&api, "light", "0.0.1").await;
    let one = json!([identifier]);
    for body in [
        json!({}),
        json!([]),
        json!({"plugin_unique_identifiers": one, "metas": [{}]}),
        json!({"plugin_unique_identifiers": one, "metas": [{}], "source": ""}),
        json!({"plugin_unique_identifiers": one, "metas": [1], "source": "package"}),
        json!({"plugin_unique_identifiers": one, "metas": [{}], "source": "nonsense"}),
        json!({"plugin_unique_identifiers": ["x"], "metas": [{}], "source": "package"}),
        json!({"plugin_unique_identifiers": identifier, "metas": [{}], "source": "package"}),
        json!({"plugin_unique_identifiers": vec![&identifier; 65], "metas": vec![json!({}); 65], "source": "package"}),
    ] {
        let refused = api.post(INSTALL, &body).await;
        assert_eq!((refused.status, refused.error().1), (400, -400), "{body}");
    }
    let metas = json!({"plugin_unique_identifiers": one, "metas": [], "source": "package"});
    let (status, code, _, text) = api.post(INSTALL, &metas).await.error();
    assert_eq!((status, code), (200, -400));
    assert_eq!(text, "the number of metas must be equal to the number of plugin unique identifiers");
    for body in [json!({}), json!({"plugin_installation_id": ""}), json!({"plugin_installation_id": 5})] {
        assert_eq!(api.post("management/uninstall", &body).await.status, 400, "{body}");
    }
    let bad_tenant = api.get("/plugin/tenant/management/list?page=1&page_size=1").await;
    assert_eq!((bad_tenant.status, bad_tenant.error().1), (400, -400));
}

#[tokio::test]
async fn tasks_are_deleted_whole_or_by_item() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    let (good, bad) = (upload(&api, "good", "0.0.1").await, upload(&api, "bad", "0.0.1").await);
    bed.platform.set(&bad.parse().unwrap(), Behaviour::Fails("on purpose"));
    let body = json!({"plugin_unique_identifiers": [good, bad], "metas": [{}, {}], "source": "package"});
    let started = api.post(INSTALL, &body).await.data();
    let id = started["task_id"].as_str().unwrap();
    let task = services.ended(api.tenant, id).await;
    assert_eq!((task.total_plugins, task.completed_plugins), (2, 1));

    let delete = |item: &str| format!("management/install/tasks/{id}/delete/{item}");
    assert_eq!(api.post(&delete("garbage"), &json!({})).await.error().1, -400);
    assert_eq!(api.for_another().post(&delete(&bad), &json!({})).await.data(), json!(true));
    assert_eq!(api.post(&delete(&good), &json!({})).await.data(), json!(true));
    let rest = api.get(&format!("management/install/tasks/{id}")).await.data();
    assert_eq!(rest["plugins"].as_array().unwrap().len(), 1);
    assert_eq!(api.post(&delete(&bad), &json!({})).await.data(), json!(true));
    let gone = api.get(&format!("management/install/tasks/{id}")).await.error();
    assert_eq!((gone.0, gone.1, gone.3.as_str()), (200, -500, "record not found"));

    for id in [Uuid::new_v4().to_string(), "no-id".to_owned()] {
        assert_eq!(api.get(&format!("management/install/tasks/{id}")).await.error().3, "record not found");
        assert_eq!(api.post(&format!("management/install/tasks/{id}/delete"), &json!({})).await.data(), json!(true));
    }
    assert_eq!(api.post("management/install/tasks/delete_all", &json!({})).await.data(), json!(true));
}
