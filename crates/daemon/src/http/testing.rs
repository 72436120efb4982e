//! A daemon whose plugins say what a test lets them say, behind the real door.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use plugin_manifest::Declaration;
use plugin_manifest::ProviderConfig;
use plugin_manifest::declaration::{EndpointProvider, Permission};
use plugin_store::{Install, RuntimeType};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::callback::testing::everything;
use crate::catalog::{Catalog, Declared};
use crate::invocation::Runtimes;
use crate::invocation::testing::{Opened, Scripted};
use crate::testing::{Door, Sent, World};

/// A plugin with endpoints whose `token` is secret, installed for the door's tenant.
pub(super) struct Theatre {
    pub(super) door: Arc<Door>,
    pub(super) opened: mpsc::Receiver<Opened>,
    world: World,
    catalog: Arc<Catalog>,
    pub(super) identifier: String,
    installation: Uuid,
}

pub(super) const PLUGIN_ID: &str = "acme/echo";

impl Theatre {
    pub(super) async fn new(dify: &str) -> Self {
        Self::with(dify, everything()).await
    }

    pub(super) async fn with(dify: &str, permission: Permission) -> Self {
        let world = Box::pin(World::with(&[("DIFY_INNER_API_URL", dify)])).await;
        let services = world.services();
        let (runtime, opened) = Scripted::new();
        let runtimes = Runtimes::none().with(RuntimeType::Local, Arc::new(runtime));
        let door = Arc::new(Door::with_runtimes(&world, &services, runtimes));
        let mut manifest = Declaration { name: "echo".to_owned(), ..Declaration::default() };
        manifest.resource.permission = Some(permission);
        let config = |name: &str, kind: &str| ProviderConfig {
            name: name.to_owned(),
            kind: kind.to_owned(),
            required: kind == "secret-input",
            ..ProviderConfig::default()
        };
        let settings = vec![config("token", "secret-input"), config("greeting", "text-input")];
        manifest.endpoint = Some(EndpointProvider { settings, endpoints: Vec::new() });
        let declared = Declared::new(manifest).unwrap();
        let identifier = format!("{PLUGIN_ID}:0.0.1@{}", "0".repeat(64));
        let database = &world.stores.database;
        database.declarations.put_if_absent(&identifier, PLUGIN_ID, &declared.json).await.unwrap();
        let install = Install {
            tenant_id: door.tenant,
            plugin_id: PLUGIN_ID,
            unique_identifier: &identifier,
            runtime_type: RuntimeType::Local,
            source: "package",
            meta: None,
            providers: &[],
        };
        database.installations.install(&install).await.unwrap();
        let row = database.installations.find(door.tenant, PLUGIN_ID).await.unwrap().unwrap();
        Self { door, opened, identifier, installation: row.id, catalog: services.catalog, world }
    }

    pub(super) async fn uninstall(&self) {
        let tenant = self.door.tenant;
        self.world.stores.database.installations.uninstall(tenant, self.installation).await.unwrap();
        self.catalog.installation_changed(tenant, PLUGIN_ID).await;
        self.catalog.version_changed(&self.identifier.parse().unwrap()).await;
    }

    pub(super) fn request(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Request<Body> {
        let mut request = self.door.request("POST", path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(body.to_string())).unwrap()
    }

    /// Sends a request and lets the plugin say its part.
    pub(super) async fn play(&mut self, request: Request<Body>, say: impl FnOnce(&Opened)) -> (Sent, Opened) {
        let door = Arc::clone(&self.door);
        let sent = tokio::spawn(async move { door.send(request).await });
        let opened = self.opened.recv().await.unwrap();
        say(&opened);
        opened.plugin.push(plugin_runtime::Event::End);
        (sent.await.unwrap(), opened)
    }
}

/// The request as the plugin got it.
pub(super) fn request_of(opened: &Opened) -> Value {
    serde_json::from_slice(&opened.call.request).unwrap()
}

/// What Dify answers when it encrypts or decrypts.
pub(super) fn crypted(settings: &Value) -> Vec<u8> {
    json!({"data": {"data": settings}, "error": ""}).to_string().into_bytes()
}
