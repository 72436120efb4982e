//! What the routes reach that call plugins: their installations, their runtimes, their endpoints.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;

use crate::app::App;
use crate::callback::{Callbacks, Dify, DifyConfigError, DifyOptions, Storage, StorageOptions};
use crate::catalog::Catalog;
use crate::config::{Config, Platform};
use crate::endpoints::Endpoints;
use crate::invocation::{Invocations, Limits, Runtimes};
use crate::services::Stores;
use crate::telemetry::Metrics;
use crate::transactions::{Binding, TransactionParts, Transactions};

/// Calls of plugins, and what belongs to them; clones are cheap and the same.
#[derive(Clone, Debug)]
pub struct Calls {
    pub catalog: Arc<Catalog>,
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
        runtimes: Runtimes,
        metrics: Metrics,
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
            serverless_request: usize::try_from(config.serverless.max_request_bytes).unwrap_or(usize::MAX),
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
        let mut invocations = Invocations::new(runtimes, callbacks, metrics, limits);
        if let Some(transactions) = &transactions {
            invocations = invocations.with_transactions(Arc::clone(transactions));
        }
        Ok(Self { invocations: Arc::new(invocations), endpoints: Arc::new(endpoints), transactions, catalog })
    }
}

impl FromRef<App> for Calls {
    fn from_ref(app: &App) -> Self {
        app.calls.clone()
    }
}
