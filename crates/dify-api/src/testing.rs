//! A daemon in the process, for tests of routes: real services in a temporary folder, behind the routes.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "tests end at the first failure")]

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use plugin_calls::callback::testing::everything;
use plugin_calls::invocation::Runtimes;
use plugin_calls::invocation::testing::{Opened, Scripted};
use plugin_calls::routing::Routing;
use plugin_install::testing::{InstallBed, Installing};
use plugin_manifest::declaration::{EndpointProvider, Permission};
use plugin_manifest::{Declaration, ProviderConfig};
use plugin_registry::catalog::{Catalog, Declared};
use plugin_registry::cluster::Cluster;
use plugin_registry::debugging::DebuggingKeys;
use plugin_registry::stores::Lookups;
use plugin_service::base::Base;
use plugin_service::per_plugin::PerPlugin;
use plugin_store::shared::DebugKeys;
use plugin_store::{Install, RuntimeType};
use plugin_web::testing::{ApiClient, Sent};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::forward::Forwarder;
use crate::state::{App, Calls, Parts, Services};

/// A client of a node's routes.
pub fn client(bed: &InstallBed, node: &Installing) -> ApiClient {
    client_with(bed, node, Runtimes::none(), routing(node, None), None)
}

/// Where calls of a node run.
pub fn routing(node: &Installing, cluster: Option<Arc<Cluster>>) -> Routing {
    Routing::new(Arc::clone(&node.catalog), cluster, RuntimeType::Local)
}

/// The same where plugins can be called, and with other nodes.
pub fn client_with(
    bed: &InstallBed,
    node: &Installing,
    runtimes: Runtimes,
    routing: Routing,
    forwarder: Option<Forwarder>,
) -> ApiClient {
    let base = Base::new(bed.config.clone());
    let catalog = Arc::clone(&node.catalog);
    let (metrics, per_plugin) = (base.metrics.clone(), PerPlugin::default());
    let calls = Calls::new(&bed.config, &bed.stores, catalog, routing, runtimes, metrics, per_plugin).unwrap();
    let keys = DebuggingKeys::shared(DebugKeys::new(Arc::clone(&bed.stores.shared)));
    let lookups = Lookups { catalog: Arc::clone(&node.catalog), packages: Arc::clone(&node.packages) };
    let services = Services::new(&bed.config, &bed.stores, lookups, Arc::clone(&node.installer), keys);
    let app = App::new(Parts { base: Arc::clone(&base), services, calls, forwarder });
    ApiClient::new(&base, crate::routes::all(&app))
}

/// A plugin with endpoints whose `token` is secret, installed for the client's tenant.
#[derive(Debug)]
pub struct CallBed {
    pub client: Arc<ApiClient>,
    pub opened: mpsc::Receiver<Opened>,
    bed: InstallBed,
    catalog: Arc<Catalog>,
    pub identifier: String,
    installation: Uuid,
}

pub const PLUGIN_ID: &str = "acme/echo";

impl CallBed {
    pub async fn new(dify: &str) -> Self {
        Self::with(dify, everything()).await
    }

    pub async fn with(dify: &str, permission: Permission) -> Self {
        Self::configured(&[("DIFY_INNER_API_URL", dify)], permission).await
    }

    pub async fn configured(variables: &[(&str, &str)], permission: Permission) -> Self {
        let bed = Box::pin(InstallBed::with(variables)).await;
        let node = bed.node();
        let (runtime, opened) = Scripted::new();
        let runtimes = Runtimes::none().with(RuntimeType::Local, Arc::new(runtime));
        let client = Arc::new(client_with(&bed, &node, runtimes, routing(&node, None), None));
        let mut manifest = Declaration { name: "echo".to_owned(), ..Declaration::default() };
        manifest.resource.permission = Some(permission);
        let config = |name: &str, kind: &str| ProviderConfig {
            name: name.to_owned(),
            kind: kind.to_owned(),
            required: kind == "secret-input",
            ..ProviderConfig::default()
        };
        let settings =
            vec![config("token", "secret-input"), config("greeting", "text-input"), config("loud", "boolean")];
        manifest.endpoint = Some(EndpointProvider { settings, endpoints: Vec::new() });
        let declared = Declared::new(manifest).unwrap();
        let identifier = format!("{PLUGIN_ID}:0.0.1@{}", "0".repeat(64));
        let database = &bed.stores.database;
        database.declarations.put_if_absent(&identifier, PLUGIN_ID, &declared.json).await.unwrap();
        let install = Install {
            tenant_id: client.tenant,
            plugin_id: PLUGIN_ID,
            unique_identifier: &identifier,
            runtime_type: RuntimeType::Local,
            source: "package",
            meta: None,
            providers: &[],
        };
        database.installations.install(&install).await.unwrap();
        let row = database.installations.find(client.tenant, PLUGIN_ID).await.unwrap().unwrap();
        Self { client, opened, identifier, installation: row.id, catalog: node.catalog, bed }
    }

    pub async fn uninstall(&self) {
        let tenant = self.client.tenant;
        self.bed.stores.database.installations.uninstall(tenant, self.installation).await.unwrap();
        self.catalog.installation_changed(tenant, PLUGIN_ID).await;
        self.catalog.version_changed(&self.identifier.parse().unwrap()).await;
    }

    pub fn request(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Request<Body> {
        let mut request = self.client.request("POST", path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(body.to_string())).unwrap()
    }

    /// Sends a request and has the plugin answer it.
    pub async fn play(&mut self, request: Request<Body>, say: impl FnOnce(&Opened)) -> (Sent, Opened) {
        let client = Arc::clone(&self.client);
        let sent = tokio::spawn(async move { client.send(request).await });
        let opened = self.opened.recv().await.unwrap();
        say(&opened);
        opened.plugin.push(plugin_runtime::Event::End);
        (sent.await.unwrap(), opened)
    }
}

/// The request as the plugin got it.
pub fn request_of(opened: &Opened) -> Value {
    serde_json::from_slice(&opened.call.request).unwrap()
}

/// What Dify answers when it encrypts or decrypts.
pub fn crypted(settings: &Value) -> Vec<u8> {
    json!({"data": {"data": settings}, "error": ""}).to_string().into_bytes()
}
