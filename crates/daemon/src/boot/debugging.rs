//! The port for plugins under development.

use std::path::Path;
use std::sync::Arc;

use plugin_runtime::NodeBudget;
use plugin_runtime::debug::{self, BindError, DebugRuntime, DebugSettings, Security};
use plugin_store::shared::DebugKeys;
use tokio::net::TcpListener;

use super::{BootError, bytes, count};
use plugin_registry::cluster::Cluster;
use plugin_registry::debugging::{Debugging, DebuggingKeys};
use plugin_registry::stores::{Lookups, Stores};
use plugin_service::base::Base;
use plugin_service::config::{CacheType, Config};
use plugin_service::lifecycle::OnEnd;

/// The name in `/ready`.
const PART: &str = "debugging port";

/// Keys, wherever they outlive this process.
pub(super) async fn keys(config: &Config, stores: &Stores) -> DebuggingKeys {
    let keys = DebugKeys::new(Arc::clone(&stores.shared));
    match config.redis.cache_type {
        CacheType::Memory => {
            DebuggingKeys::in_file(keys, config.server.data_path.join("keys").join("debugging.json")).await
        }
        CacheType::Redis => DebuggingKeys::shared(keys),
    }
}

/// Opens the port, before the daemon is known to live: who connects early waits.
pub(super) async fn bind(config: &Config) -> Result<Option<TcpListener>, BindError> {
    let settings = &config.debugging;
    if !settings.enabled {
        return Ok(None);
    }
    let listener = debug::bind(&settings.host, settings.port).await?;
    tracing::info!(host = settings.host, port = settings.port, "waiting for plugins under development");
    Ok(Some(listener))
}

/// Tidies up after connections of daemons that are gone, then takes connections.
pub(super) async fn start(
    base: &Base,
    listener: Option<TcpListener>,
    stores: &Stores,
    lookups: &Lookups,
    cluster: &Arc<Cluster>,
    keys: &DebuggingKeys,
    budget: NodeBudget,
) -> Result<Option<Arc<DebugRuntime>>, BootError> {
    let Lookups { catalog, packages } = lookups.clone();
    let host = Arc::new(Debugging::new(
        place(&base.config).await,
        keys.clone(),
        stores.clone(),
        catalog,
        Arc::clone(cluster),
        packages,
        base.metrics.clone(),
    ));
    let tidied = async {
        if listener.is_some() {
            host.forget_predecessor().await?;
        }
        host.sweep().await
    };
    if let Err(error) = tidied.await {
        tracing::warn!(%error, "failed to look for plugins whose connections are gone");
    }
    let Some(listener) = listener else { return Ok(None) };
    let security = security(&base.config).await?;
    let lifecycle = &base.lifecycle;
    let (soft, hard) = (lifecycle.soft().clone(), lifecycle.hard().clone());
    let watch = Arc::clone(&host);
    let runtime = Arc::new(DebugRuntime::new(debug_settings(&base.config), security, host, budget, soft.clone(), hard));
    let (serving, stopping) = (Arc::clone(&runtime), Arc::clone(&runtime));
    lifecycle.spawn("debugging port", OnEnd::StopDaemon, async move { serving.serve(listener).await });
    lifecycle.supervise("debugged plugins", move || {
        let (watch, soft) = (Arc::clone(&watch), soft.clone());
        async move { watch.watch(soft).await }
    });
    lifecycle.on_stop("debugging connections", move || async move { stopping.ended().await });
    base.readiness.ready(PART);
    Ok(Some(runtime))
}

/// The name of the port among all nodes: the same after a restart, also in a container that is restarted in its place.
async fn place(config: &Config) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // machines may have the same name; there are systems without such a file
    let machine = tokio::fs::read_to_string("/etc/machine-id").await.unwrap_or_default();
    let debugging = &config.debugging;
    format!("{host}/{}/{}:{}", machine.trim(), debugging.host, debugging.port)
}

fn debug_settings(config: &Config) -> DebugSettings {
    let (debugging, workers) = (&config.debugging, &config.workers);
    DebugSettings {
        max_connections: count(debugging.max_connections),
        max_tenant_connections: count(debugging.max_tenant_connections),
        silence_limit: debugging.silence_limit,
        max_line_bytes: bytes(workers.max_line_bytes),
        log_lines_per_second: workers.log_lines_per_second,
        session_buffer_bytes: bytes(workers.session_buffer_bytes),
        ..DebugSettings::default()
    }
}

async fn security(config: &Config) -> Result<Security, BootError> {
    let debugging = &config.debugging;
    let (Some(certificate), Some(key)) = (&debugging.tls_certificate, &debugging.tls_key) else {
        return Ok(Security::none());
    };
    let certificate = read("PLUGIN_REMOTE_INSTALLING_TLS_CERT", certificate).await?;
    let key = read("PLUGIN_REMOTE_INSTALLING_TLS_KEY", key).await?;
    Ok(Security::tls(&certificate, &key)?)
}

async fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, BootError> {
    let read = tokio::fs::read(path).await;
    read.map_err(|source| BootError::File { variable, path: path.to_owned(), source })
}
