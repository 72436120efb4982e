//! The platform of plugins that run as functions (lifecycle-and-storage 2.9, cluster-serverless-observability 4.2).
//!
//! A version is ready when the connector has a function for it and the table `serverless_runtimes` says where. Several
//! attempts at one version on this node share one launch ([`flights`]); between nodes a lease keeps launches apart.

mod error;
mod flights;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::Action;
use plugin_runtime::OpenError;
use plugin_runtime::serverless::Functions;
use plugin_store::shared::Lease;
use plugin_store::{Database, NewServerlessRuntime, RuntimeType, SharedState};
use reqwest::Url;
use tokio::time::{Instant, timeout_at};

use self::error::LaunchError;
use self::flights::{Flights, Landing};
use super::platform::{Attempt, EnsureError, Platform};
use crate::connector::{Connector, ConnectorError, Launch};
use plugin_registry::catalog::Catalog;
use plugin_registry::packages::Packages;
use plugin_runtime::serverless::Function;
use plugin_service::lifecycle::{Lifecycle, OnEnd};
use plugin_service::telemetry::TraceContext;
use plugin_service::telemetry::metrics::function_failure;
use tracing::Instrument as _;

pub use self::error::ReinstallError;

/// How long a launch stays with a node that gives no sign of life.
const LEASE: Duration = Duration::from_secs(20);
/// The progress message while a function is made (lifecycle-and-storage 2.9).
const INSTALLING: &str = "Installing...";

/// What the platform stands on.
#[derive(Debug)]
pub struct ServerlessParts {
    pub connector: Connector,
    pub database: Database,
    pub shared: Arc<dyn SharedState>,
    pub packages: Arc<Packages>,
    pub catalog: Arc<Catalog>,
    pub lifecycle: Lifecycle,
}

/// Plugins as functions.
#[derive(Debug, Clone)]
pub struct ServerlessPlatform(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: ServerlessParts,
    flights: Flights,
}

impl ServerlessPlatform {
    /// A platform on a connector.
    pub fn new(parts: ServerlessParts) -> Self {
        Self(Arc::new(Inner { parts, flights: Flights::default() }))
    }

    /// The client of the connector.
    pub fn connector(&self) -> &Connector {
        &self.0.parts.connector
    }

    /// Has the function of an installed version made anew, whatever is there; `progress` gets each stage. The
    /// function that is there goes on until the new one is ready.
    pub async fn reinstall(
        &self,
        identifier: &UniqueIdentifier,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), ReinstallError> {
        if self.0.parts.database.serverless.get(identifier.as_str()).await?.is_none() {
            return Err(ReinstallError::NotLaunched);
        }
        let lease = self.0.lease(identifier).await;
        let launched = self.0.launch(&self.0.parts.connector, identifier, progress).await;
        release(lease).await;
        launched.map_err(ReinstallError::Launch)
    }

    /// Points a version to another function; false if it has none to replace.
    pub async fn switch(
        &self,
        identifier: &UniqueIdentifier,
        function: &Function,
    ) -> Result<bool, plugin_store::Error> {
        let rows = &self.0.parts.database.serverless;
        let switched = rows.switch(identifier.as_str(), function.url.as_str(), &function.name).await?;
        self.0.parts.catalog.version_changed(identifier).await;
        Ok(switched)
    }

    /// Makes sure that a version has a function; shared by all who want it at the same time. The requests to the connector
    /// belong to the trace of the first of them.
    async fn ensure_function(
        &self,
        identifier: &UniqueIdentifier,
        trace: TraceContext,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), LaunchError> {
        let landing = self.0.flights.join(identifier, |flight| {
            let (inner, identifier) = (Arc::clone(&self.0), identifier.clone());
            let work = async move {
                let reporter = flight.clone();
                let progress = move |_: &str| reporter.works();
                flight.land(inner.make_function(&identifier, trace, &progress)).await;
            };
            self.0.parts.lifecycle.spawn("launch of a function", OnEnd::Ignore, work.in_current_span());
        });
        match landing.wait(|| progress(INSTALLING)).await {
            Landing::Landed(result) => result,
            // the task of the launch panicked
            Landing::Lost => Err(LaunchError::Failed("the launch broke off; see the daemon's log".to_owned())),
        }
    }
}

impl Inner {
    /// Finds the function, or has it made.
    async fn make_function(
        &self,
        identifier: &UniqueIdentifier,
        trace: TraceContext,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), LaunchError> {
        let lease = self.lease(identifier).await;
        let connector = self.parts.connector.traced(trace);
        let made = match connector.find(identifier).await {
            Ok(Some(function)) => {
                progress("");
                self.keep(identifier, &function).await
            }
            Ok(None) => self.launch(&connector, identifier, progress).await,
            Err(error @ ConnectorError::Unreachable(_)) => self.known(identifier, error).await,
            Err(error) => Err(error.into()),
        };
        release(lease).await;
        made
    }

    /// While the connector is out of reach: a function that others use already will do.
    async fn known(&self, identifier: &UniqueIdentifier, error: ConnectorError) -> Result<(), LaunchError> {
        let uid = identifier.as_str();
        let database = &self.parts.database;
        let is_used = database.plugins.get(uid).await?.is_some() && database.serverless.get(uid).await?.is_some();
        if !is_used {
            return Err(error.into());
        }
        tracing::warn!(plugin = %identifier, %error, "took the function that is known already");
        Ok(())
    }

    async fn launch(
        &self,
        connector: &Connector,
        identifier: &UniqueIdentifier,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), LaunchError> {
        let package = self.parts.packages.bytes(identifier).await?.ok_or(LaunchError::NoPackage)?;
        let declared = self.parts.catalog.declaration(identifier).await?.ok_or(LaunchError::NoPackage)?;
        let launch = Launch { identifier, package, verified: declared.manifest.verified };
        let begun = Instant::now();
        let function = connector.launch(&launch, progress).await?;
        tracing::info!(
            plugin = %identifier,
            function = function.name,
            seconds = begun.elapsed().as_secs_f32(),
            "the connector made a function"
        );
        self.keep(identifier, &function).await
    }

    async fn keep(&self, identifier: &UniqueIdentifier, function: &Function) -> Result<(), LaunchError> {
        let row = NewServerlessRuntime {
            unique_identifier: identifier.as_str(),
            function_url: function.url.as_str(),
            function_name: &function.name,
            checksum: identifier.checksum(),
        };
        self.parts.database.serverless.upsert(&row).await.map_err(LaunchError::persist)?;
        self.parts.catalog.version_changed(identifier).await;
        Ok(())
    }

    /// The right to launch a version, under the name that nodes of either make use. Without it the launch goes on all the
    /// same: two launches cost more than one, and do no harm.
    async fn lease(&self, identifier: &UniqueIdentifier) -> Option<Lease> {
        let name = format!("serverless_launch_lock_{}", identifier.checksum());
        match Lease::acquire(&self.parts.shared, &name, LEASE, self.parts.connector.launch_timeout()).await {
            Ok(Some(lease)) => return Some(lease),
            Ok(None) => tracing::warn!(plugin = %identifier, "a launch of the same plugin goes on elsewhere for long"),
            Err(error) => tracing::warn!(plugin = %identifier, %error, "cannot keep other nodes from the same launch"),
        }
        None
    }

    /// Takes the function of a version that nobody has installed down, where the connector can, and forgets it.
    async fn take_down(&self, identifier: &UniqueIdentifier) -> Result<(), LaunchError> {
        let lease = self.lease(identifier).await;
        let taken_down = async {
            let (uid, database) = (identifier.as_str(), &self.parts.database);
            // in this order: a job writes its rows before it goes
            if !database.jobs.of_version(uid).await?.is_empty() || database.plugins.get(uid).await?.is_some() {
                return Ok(());
            }
            database.serverless.delete(uid).await?;
            self.parts.catalog.version_changed(identifier).await;
            if self.parts.connector.ping().await.map_err(|error| error.error)?.delete {
                self.parts.connector.delete(identifier).await?;
                tracing::info!(plugin = %identifier, "the connector took a function down");
            }
            Ok(())
        };
        let taken_down = taken_down.await;
        release(lease).await;
        taken_down
    }
}

async fn release(lease: Option<Lease>) {
    if let Some(lease) = lease
        && let Err(error) = lease.release().await
    {
        tracing::warn!(%error, "the right to launch a plugin could not be given up and will run out");
    }
}

#[async_trait]
impl Platform for ServerlessPlatform {
    fn runtime_type(&self) -> RuntimeType {
        RuntimeType::Serverless
    }

    async fn ensure(&self, attempt: Attempt<'_>) -> Result<(), EnsureError> {
        let Attempt { identifier, progress, cancel, trace, .. } = attempt;
        let ensured = self.ensure_function(identifier, trace, &*progress);
        match cancel.run_until_cancelled(ensured).await {
            None => Err(EnsureError::Cancelled),
            Some(result) => result.map_err(EnsureError::from),
        }
    }

    async fn remove(&self, identifier: &UniqueIdentifier) {
        let (inner, identifier) = (Arc::clone(&self.0), identifier.clone());
        self.0.parts.lifecycle.spawn("removal of a function", OnEnd::Ignore, async move {
            if let Err(error) = inner.take_down(&identifier).await {
                tracing::warn!(plugin = %identifier, %error, "an unused function may be left at the connector");
            }
        });
    }

    async fn present(&self) -> Vec<UniqueIdentifier> {
        Vec::new() // nothing of a function is on this node
    }

    async fn installed(&self, _: &[UniqueIdentifier]) {}
}

#[async_trait]
impl Functions for ServerlessPlatform {
    async fn url(&self, plugin: &UniqueIdentifier, start_by: Instant, traceparent: &str) -> Result<Url, OpenError> {
        match self.function(plugin).await? {
            Some(function) => Ok(function.url.clone()),
            // the row is lost, or the plugin was installed on another platform
            None => self.again(plugin, start_by, traceparent).await,
        }
    }

    fn failed(&self, action: Action, status: Option<u16>) {
        function_failure(action.as_str(), status);
    }

    async fn again(&self, plugin: &UniqueIdentifier, start_by: Instant, traceparent: &str) -> Result<Url, OpenError> {
        let begun = Instant::now();
        let unknown = || not_ready(format!("plugin serverless runtime not found: {plugin}"));
        // what is not installed is not launched for a caller
        let used = self.0.parts.database.plugins.get(plugin.as_str()).await;
        used.map_err(|error| not_ready(error.to_string()))?.ok_or_else(unknown)?;
        let trace = TraceContext::continued(Some(traceparent));
        match timeout_at(start_by, self.ensure_function(plugin, trace, &|_| {}).boxed()).await {
            Ok(Ok(())) => Ok(self.function(plugin).await?.ok_or_else(unknown)?.url.clone()),
            Ok(Err(error)) => Err(not_ready(error.to_string())),
            Err(_) => {
                Err(OpenError::StillStarting { waited: begun.elapsed(), state: "launching a function".to_owned() })
            }
        }
    }
}

impl ServerlessPlatform {
    async fn function(&self, plugin: &UniqueIdentifier) -> Result<Option<Arc<Function>>, OpenError> {
        self.0.parts.catalog.function(plugin).await.map_err(|error| not_ready(error.to_string()))
    }
}

fn not_ready(cause: String) -> OpenError {
    OpenError::NotReady { cause, next_try: None }
}

#[cfg(test)]
mod tests;
