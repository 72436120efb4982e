//! Why an operator's request could not be met.

use plugin_install::InstallError;
use plugin_registry::catalog::CatalogError;

/// A request that could not be met; the text says why.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Plugins run as functions here.
    #[error("this daemon runs no plugins itself (PLATFORM=serverless)")]
    NotLocal,
    /// Functions are asked for where plugins are processes.
    #[error("{0} is not supported on local platform")]
    NotServerless(&'static str),
    /// No call and no install has asked for the plugin here.
    #[error("this plugin has not been requested on this node since the daemon started")]
    NotRequested,
    /// The plugin is not installed in any workspace.
    #[error("plugin not found")]
    NotInstalled,
    /// The environment was there already.
    #[error("no tool had to prepare this plugin on this node")]
    NoBuildLog,
    /// The task does not install the plugin, or has ended.
    #[error("this task is not installing such a plugin")]
    NoSuchInstall,
    /// No such function is known.
    #[error("plugin serverless runtime not found: {0}")]
    NoFunction(String),
    /// A parameter cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// A look-up failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The installer failed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// Something failed that should not.
    #[error("{0}")]
    Failed(String),
}
