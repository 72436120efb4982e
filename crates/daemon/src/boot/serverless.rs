//! Plugins as functions, made by a connector.

use std::sync::Arc;
use std::time::Duration;

use plugin_runtime::serverless::{ServerlessRuntime, ServerlessSettings};
use tokio_util::sync::CancellationToken;

use super::{BootError, bytes};
use plugin_install::connector::{Connector, ConnectorConfigError, ConnectorOptions};
use plugin_install::{ServerlessParts, ServerlessPlatform};
use plugin_registry::stores::{Lookups, Stores};
use plugin_service::base::Base;
use plugin_service::config::Config;

/// The connector's name in `/ready`.
pub(super) const COMPONENT: &str = "connector";
/// First and longest pause before a connector that does not answer is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) fn start(base: &Arc<Base>, stores: &Stores, lookups: &Lookups) -> Result<ServerlessPlatform, BootError> {
    let serverless = &base.config.serverless;
    let connector = Connector::new(&ConnectorOptions {
        url: serverless.connector_url.clone().unwrap_or_default(),
        key: serverless.connector_key.as_ref().map(|key| key.expose().to_owned()).unwrap_or_default(),
        launch_timeout: serverless.launch_timeout,
    })?;
    let platform = ServerlessPlatform::new(ServerlessParts {
        connector,
        database: stores.database.clone(),
        shared: Arc::clone(&stores.shared),
        packages: Arc::clone(&lookups.packages),
        catalog: Arc::clone(&lookups.catalog),
        lifecycle: base.lifecycle.clone(),
    });
    let (waiting, connecting) = (Arc::clone(base), platform.clone());
    base.lifecycle.supervise("search for the serverless connector", move || {
        await_connector(Arc::clone(&waiting), connecting.clone(), waiting.lifecycle.soft().clone())
    });
    Ok(platform)
}

/// The runtime that calls the functions of a platform.
pub(super) fn runtime(config: &Config, platform: &ServerlessPlatform) -> Result<Arc<ServerlessRuntime>, BootError> {
    let settings = ServerlessSettings {
        attempts: config.serverless.max_retries,
        max_request_bytes: bytes(config.serverless.max_request_bytes),
        max_line_bytes: bytes(config.workers.max_line_bytes),
        accept_missing_end: config.serverless.accept_missing_end,
        ..ServerlessSettings::default()
    };
    let runtime = ServerlessRuntime::new(settings, Arc::new(platform.clone()));
    Ok(Arc::new(runtime.map_err(ConnectorConfigError::Client)?))
}

/// Waits until the connector has answered once. Functions that are there can be called meanwhile; `/ready` says what
/// cannot be done.
async fn await_connector(base: Arc<Base>, platform: ServerlessPlatform, stop: CancellationToken) {
    base.readiness.not_ready(COMPONENT, "connecting");
    let mut pause = FIRST_PAUSE;
    while let Some(answer) = stop.run_until_cancelled(platform.connector().ping()).await {
        match answer {
            Ok(features) => {
                tracing::info!(?features, "the serverless connector answers");
                base.readiness.ready(COMPONENT);
                return;
            }
            Err(error) => {
                tracing::warn!(%error, seconds = pause.as_secs_f32(), "plugins cannot be installed yet");
                base.readiness.not_ready(COMPONENT, error.to_string());
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
