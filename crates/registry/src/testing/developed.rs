//! A small tool plugin, `a/b`, as it is under development and as it is installed for good.

use plugin_runtime::debug::registration::{Plugin, Registering};
use plugin_store::{Install, InstallOutcome, Installation, RawJson, RuntimeType};
use serde_json::json;
use uuid::Uuid;

use crate::catalog::{Catalog, Declared};
use crate::stores::Stores;

/// Its id.
pub const DEVELOPED: &str = "a/b";

/// What it registers with when it connects.
pub fn developed(tenant_id: Uuid, version: &str) -> Plugin {
    let identity = json!({"author": "a", "name": "t", "label": {"en_US": "T"}, "icon": "i.svg",
        "description": {"en_US": "own"}});
    let manifest = json!({
        "version": version, "type": "plugin", "author": "a", "name": "b", "label": {"en_US": "B"},
        "description": {"en_US": "D"}, "icon": "i.svg", "created_at": "2024-07-12T08:03:44Z",
        "resource": {"memory": 1}, "plugins": {"tools": ["t.yaml"]},
        "meta": {"version": "0.0.1", "arch": ["amd64"],
            "runner": {"language": "python", "version": "3.12", "entrypoint": "main"}},
    });
    let tools = json!([{"identity": identity, "credentials_schema": [], "tools": []}]);
    let mut registering = Registering::default();
    for (kind, data) in [
        ("manifest_declaration", manifest),
        ("tool_declaration", tools),
        ("asset_chunk", json!({"filename": "i.svg", "data": "PHN2Zy8+", "end": true})),
    ] {
        registering.line(json!({"type": kind, "data": data}).to_string().as_bytes()).unwrap();
    }
    registering.finish(tenant_id).unwrap()
}

/// Installs a version of it for good.
pub async fn install_developed(stores: &Stores, catalog: &Catalog, tenant_id: Uuid, version: &str) -> Installation {
    let plugin = developed(Uuid::nil(), version);
    let identifier = plugin.identity.identifier;
    let declared = Declared::new(plugin.declaration).unwrap();
    stores.database.declarations.put_if_absent(identifier.as_str(), DEVELOPED, &declared.json).await.unwrap();
    let install = Install {
        tenant_id,
        plugin_id: DEVELOPED,
        unique_identifier: identifier.as_str(),
        runtime_type: RuntimeType::Local,
        source: "package",
        meta: Some(&RawJson::empty_object()),
        providers: &declared.providers(),
    };
    match stores.database.installations.install(&install).await.unwrap() {
        InstallOutcome::Installed(row) => {
            catalog.installation_changed(tenant_id, DEVELOPED).await;
            row
        }
        InstallOutcome::AlreadyInstalled(row) => panic!("{row:?}"),
    }
}
