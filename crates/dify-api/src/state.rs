//! What the handlers reach.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use plugin_calls::admission::{AdmissionLimits, Limit};
use plugin_calls::callback::{Callbacks, Dify, DifyConfigError, DifyOptions, Storage, StorageOptions};
use plugin_calls::endpoints::Endpoints;
use plugin_calls::invocation::{Invocations, Limits, Runtimes};
use plugin_calls::routing::Routing;
use plugin_calls::transactions::{Binding, TransactionParts, Transactions};
use plugin_install::Installer;
use plugin_registry::assets::Assets;
use plugin_registry::catalog::Catalog;
use plugin_registry::debugging::DebuggingKeys;
use plugin_registry::management::Management;
use plugin_registry::packages::Packages;
use plugin_registry::readme::Readmes;
use plugin_registry::stores::{Lookups, Stores};
use plugin_service::base::Base;
use plugin_service::config::{Config, Platform};
use plugin_service::per_plugin::PerPlugin;
use plugin_service::telemetry::Metrics;
use plugin_web::upload::UploadLimit;

use crate::forward::Forwarder;

/// What a handler can reach. A clone for each request costs one reference count, however many parts there are.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

impl App {
    /// Of these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Parts {
    /// Configuration, counters, the life of the process.
    pub base: Arc<Base>,
    /// Everything about plugins that is installed or can be.
    pub services: Services,
    /// Calls of plugins.
    pub calls: Calls,
    /// Passes calls on to other nodes, where there can be any.
    pub forwarder: Option<Forwarder>,
}

impl FromRef<App> for Arc<Base> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.base)
    }
}

impl FromRef<App> for Calls {
    fn from_ref(app: &App) -> Self {
        app.calls.clone()
    }
}

impl FromRef<App> for Services {
    fn from_ref(app: &App) -> Self {
        app.services.clone()
    }
}

/// Calls of plugins, and what belongs to them; clones are cheap and the same.
#[derive(Clone, Debug)]
pub struct Calls {
    pub catalog: Arc<Catalog>,
    pub routing: Routing,
    pub invocations: Arc<Invocations>,
    pub endpoints: Arc<Endpoints>,
    /// Calls back of functions, where plugins run as such.
    pub transactions: Option<Arc<Transactions>>,
}

impl Calls {
    /// Everything as it is configured, on these runtimes.
    pub fn new(
        config: &Config,
        stores: &Stores,
        catalog: Arc<Catalog>,
        routing: Routing,
        runtimes: Runtimes,
        metrics: Metrics,
        per_plugin: PerPlugin,
    ) -> Result<Self, DifyConfigError> {
        let dify = Dify::new(DifyOptions {
            url: config.dify.url.clone(),
            key: config.dify.key.as_ref().map(|key| key.expose().to_owned()).unwrap_or_default(),
            silence: config.dify.read_timeout,
            max_document: u32::try_from(config.dify.max_line_bytes).unwrap_or(u32::MAX),
        })?;
        let storage = Storage::new(StorageOptions {
            usage: Arc::clone(&stores.database.storage_usage),
            blobs: Arc::clone(&stores.blobs),
            layout: stores.layout.clone(),
            max_bytes: config.persistence.max_bytes,
        });
        let callbacks = Arc::new(Callbacks::new(dify, storage));
        let limits = Limits {
            total: config.plugins.max_execution_timeout,
            start: config.workers.start_wait,
            idle: Some(config.workers.call_idle_timeout).filter(|limit| *limit > Duration::ZERO),
            slow: config.workers.slow_call,
            serverless_request: usize::try_from(config.serverless.max_request_bytes).unwrap_or(usize::MAX),
            admission: admission(config),
            trace_content: config.otel.trace_content,
        };
        let endpoints =
            Endpoints::new(Arc::clone(&stores.database.endpoints), Arc::clone(&catalog), Arc::clone(&callbacks));
        let transactions = (config.plugins.platform == Platform::Serverless).then(|| {
            Arc::new(Transactions::new(TransactionParts {
                callbacks: Arc::clone(&callbacks),
                catalog: Arc::clone(&catalog),
                shared: Arc::clone(&stores.shared),
                binding: Binding {
                    key: config.serverless.connector_key.clone().unwrap_or_default(),
                    required: config.serverless.require_callback_token,
                },
                timeout: config.serverless.transaction_timeout,
            }))
        });
        let mut invocations = Invocations::new(runtimes, callbacks, metrics, limits).with_per_plugin(per_plugin);
        if let Some(transactions) = &transactions {
            invocations = invocations.with_transactions(Arc::clone(transactions));
        }
        Ok(Self { catalog, routing, invocations: Arc::new(invocations), endpoints: Arc::new(endpoints), transactions })
    }
}

/// How many calls may run.
fn admission(config: &Config) -> AdmissionLimits {
    let workers = &config.workers;
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    AdmissionLimits {
        plugin: Limit { running: count(workers.max_calls), waiting: count(workers.max_queued_calls) },
        tenant: Limit { running: count(workers.tenant_max_calls), waiting: count(workers.tenant_max_queued_calls) },
        wait: workers.queue_wait,
    }
}

/// Largest uploads, as they are.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    pub package: UploadLimit,
    pub bundle: UploadLimit,
}

/// Everything about plugins that is installed or can be; clones are cheap and the same.
#[derive(Debug, Clone)]
pub struct Services {
    pub catalog: Arc<Catalog>,
    pub packages: Arc<Packages>,
    pub installer: Arc<Installer>,
    pub management: Management,
    pub assets: Arc<Assets>,
    pub readmes: Arc<Readmes>,
    pub debugging_keys: DebuggingKeys,
    pub limits: UploadLimits,
}

impl Services {
    /// The services over these stores.
    pub fn new(
        config: &Config,
        stores: &Stores,
        lookups: Lookups,
        installer: Arc<Installer>,
        debugging_keys: DebuggingKeys,
    ) -> Self {
        let Lookups { catalog, packages } = lookups;
        let plugins = &config.plugins;
        let assets =
            Assets::new(Arc::clone(&packages), plugins.media_cache_size.into(), plugins.asset_cache_size.into());
        Self {
            management: Management::new(stores.database.clone(), Arc::clone(&catalog)),
            installer,
            assets: Arc::new(assets),
            readmes: Arc::new(Readmes::new(stores.database.clone(), Arc::clone(&packages))),
            debugging_keys,
            limits: UploadLimits {
                package: UploadLimit { bytes: plugins.max_package_bytes, variable: "MAX_PLUGIN_PACKAGE_SIZE" },
                bundle: UploadLimit { bytes: plugins.max_bundle_bytes, variable: "MAX_BUNDLE_PACKAGE_SIZE" },
            },
            catalog,
            packages,
        }
    }
}
