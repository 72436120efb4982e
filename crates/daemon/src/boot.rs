//! The way from a configuration to services: each part is opened in turn and says in `/ready` how far it is.
//!
//! What cannot be reached at the start (a database that is not up yet) is waited for; requests wait meanwhile.

mod cluster;
mod debugging;
mod local;
mod serverless;
mod shared;
mod storage;
mod stores;

use std::path::PathBuf;
use std::sync::Arc;

use plugin_package::signature::TrustedKeys;
use plugin_runtime::NodeBudget;
use plugin_runtime::debug::{BindError, SecurityError};
use plugin_store::RuntimeType;
use tokio::net::TcpListener;

use plugin_calls::callback::DifyConfigError;
use plugin_calls::invocation::Runtimes;
use plugin_calls::routing::Routing;
use plugin_dify_api::state::{App, Calls, Parts, Services};
use plugin_install::connector::ConnectorConfigError;
use plugin_install::{InstallSettings, Installer, LocalPlatform, Platform, ServerlessPlatform};
use plugin_operator::{Fleet, FleetParts};
use plugin_registry::stores::Lookups;
use plugin_service::base::Base;
use plugin_service::config::address::AddressError;
use plugin_service::config::{Config, Platform as PlatformKind, sample_keys};
use plugin_service::lifecycle::OnEnd;
use plugin_service::per_plugin::PerPlugin;
use plugin_web::Routes;

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    /// A store cannot be opened, and waiting would not help.
    #[error("failed to open the {what}: {source}")]
    Store { what: &'static str, source: plugin_store::Error },
    /// A part of the operating system is missing.
    #[error("{what}: {source}")]
    System { what: &'static str, source: std::io::Error },
    /// This build cannot do what is configured.
    #[error("{0}")]
    Unsupported(String),
    /// Dify's inner API cannot be called as it is configured.
    #[error(transparent)]
    Dify(#[from] DifyConfigError),
    /// The address for other nodes cannot be used.
    #[error("SERVER_NODE_ADDRESS, SERVER_HOST: {0}")]
    Address(#[from] AddressError),
    /// The serverless connector cannot be called as it is configured.
    #[error(transparent)]
    Connector(#[from] ConnectorConfigError),
    /// A configured file cannot be read.
    #[error("{variable}: {} cannot be read: {source}", path.display())]
    File { variable: &'static str, path: PathBuf, source: std::io::Error },
    /// Certificate or key of that port cannot be used.
    #[error("PLUGIN_REMOTE_INSTALLING_TLS_CERT, PLUGIN_REMOTE_INSTALLING_TLS_KEY: {0}")]
    DebuggingSecurity(#[from] SecurityError),
    /// Plugins cannot be kept apart as it is required.
    #[error(transparent)]
    Isolation(#[from] plugin_runtime::local::isolation::IsolationError),
    /// It was stopped meanwhile.
    #[error("stopped while starting")]
    Stopped,
}

/// Announces what runs plugins, which comes last, and keys that are those of published sample files: `/ready` is asked from
/// the moment the port answers, and says yes as long as nothing is missed.
pub(crate) fn announce(base: &Base) {
    let runs_plugins = match base.config.plugins.platform {
        PlatformKind::Local => local::COMPONENT,
        PlatformKind::Serverless => serverless::COMPONENT,
    };
    base.readiness.not_ready(runs_plugins, "starting");
    let names = sample_keys(&base.config);
    if !names.is_empty() {
        let names = names.join(", ");
        base.readiness.ready_as("keys", format!("insecure, the key of a published sample file: {names}"));
    }
}

/// Opens the port for plugins under development, if they may connect.
pub(crate) async fn bind_debugging(config: &Config) -> Result<Option<TcpListener>, BindError> {
    debugging::bind(config).await
}

/// Where installed plugins run.
enum Home {
    Local(Arc<LocalPlatform>),
    Serverless(ServerlessPlatform),
}

/// Opens everything and starts what runs in the background; the routes are what the daemon serves from then on.
/// `debugging_port` is what [`bind_debugging`] gave.
pub(crate) async fn start(
    base: &Arc<Base>,
    per_plugin: &PerPlugin,
    debugging_port: Option<TcpListener>,
) -> Result<Routes, BootError> {
    let config = &base.config;
    let stores = Box::pin(stores::open(base)).await?;
    let (watching, watched) = (Arc::clone(base), stores.clone());
    base.lifecycle.supervise("watch over the stores", move || {
        stores::watch(Arc::clone(&watching), watched.clone(), watching.lifecycle.soft().clone())
    });
    let lookups = Lookups::new(config, &stores, trusted_keys(config));
    let cluster = cluster::start(base, &stores, &lookups.catalog).await?;
    let home = match config.plugins.platform {
        PlatformKind::Local => Home::Local(local::start(base, per_plugin, Arc::clone(&lookups.packages))?),
        PlatformKind::Serverless => Home::Serverless(serverless::start(base, &stores, &lookups)?),
    };
    let debugging_keys = debugging::keys(config, &stores).await;
    let budget = match &home {
        Home::Local(platform) => platform.runtime().node_budget(),
        Home::Serverless(_) => NodeBudget::new(bytes(config.workers.node_buffer_bytes)),
    };
    let debugged = debugging::start(base, debugging_port, &stores, &lookups, &cluster, &debugging_keys, budget).await?;
    let mut runtimes = match &home {
        Home::Local(platform) => Runtimes::none().with(RuntimeType::Local, platform.runtime()),
        Home::Serverless(platform) => {
            Runtimes::none().with(RuntimeType::Serverless, serverless::runtime(config, platform)?)
        }
    };
    if let Some(debugged) = &debugged {
        runtimes = runtimes.with(RuntimeType::Remote, Arc::clone(debugged) as _);
    }
    let platform_type = match &home {
        Home::Local(_) => RuntimeType::Local,
        Home::Serverless(_) => RuntimeType::Serverless,
    };
    let others = cluster::others(config, &cluster);
    let routing = Routing::new(Arc::clone(&lookups.catalog), others, platform_type);
    let (catalog, metrics) = (Arc::clone(&lookups.catalog), base.metrics.clone());
    let calls = Calls::new(config, &stores, catalog, routing.clone(), runtimes, metrics, per_plugin.clone())?;
    let (platform, local, serverless): (Arc<dyn Platform>, _, _) = match home {
        Home::Local(platform) => (Arc::clone(&platform) as _, Some(platform), None),
        Home::Serverless(platform) => (Arc::new(platform.clone()), None, Some(platform)),
    };
    let forwarder = cluster::forwarder(base, per_plugin, &cluster, &lookups.catalog, routing);
    let installer = Arc::new(Installer::new(
        stores.database.clone(),
        Arc::clone(&lookups.catalog),
        Arc::clone(&lookups.packages),
        platform,
        InstallSettings::new(config),
        base.metrics.clone(),
    ));
    let services = Services::new(config, &stores, lookups, installer, debugging_keys);
    run(base, &services);
    let fleet = config.admin.enabled.then(|| {
        Fleet::new(FleetParts {
            local,
            serverless,
            debugged,
            installer: Arc::clone(&services.installer),
            management: services.management.clone(),
            calls: calls.invocations.recent(),
            base: Arc::clone(base),
            per_plugin: per_plugin.clone(),
            stop: base.lifecycle.soft().clone(),
            cutoff: base.lifecycle.hard().clone(),
        })
    });
    let app = App::new(Parts { base: Arc::clone(base), services, calls, forwarder });
    let routes = plugin_dify_api::all(&app);
    Ok(match fleet {
        Some(fleet) => routes.merge(plugin_operator::routes::all(base, &fleet)),
        None => routes,
    })
}

/// The keys whose signatures count; one that cannot be used is logged and does not stop the others.
fn trusted_keys(config: &Config) -> TrustedKeys {
    let signatures = &config.signatures;
    if !signatures.third_party_enabled {
        return TrustedKeys::official();
    }
    let (keys, errors) = TrustedKeys::load(&signatures.third_party_keys);
    for error in errors {
        tracing::error!(%error, "a key of THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS is not used");
    }
    keys
}

/// Starts what the services do by themselves.
fn run(base: &Base, services: &Services) {
    let lifecycle = &base.lifecycle;
    let (catalog, stop) = (Arc::clone(&services.catalog), lifecycle.hard().clone());
    lifecycle.supervise("changes of other nodes", move || {
        let (catalog, stop) = (Arc::clone(&catalog), stop.clone());
        async move { catalog.listen(stop).await }
    });
    let (installer, stop) = (Arc::clone(&services.installer), lifecycle.soft().clone());
    lifecycle.spawn("installer", OnEnd::StopDaemon, Installer::run(installer, stop));
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn bytes(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_not_ready_before_anything_has_started() {
        for (platform, component) in [("local", "isolation"), ("serverless", "connector")] {
            let variables = [
                ("SERVER_KEY", "k"),
                ("PLATFORM", platform),
                ("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL", "http://127.0.0.1:9"),
                ("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY", "k"),
            ];
            let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let base = Base::new(Config::from_vars(variables.into()).unwrap());
            announce(&base);
            let report = base.readiness.report();
            assert!(!report.ready, "{platform}");
            assert_eq!(report.components[component], "starting");
        }
    }
}
