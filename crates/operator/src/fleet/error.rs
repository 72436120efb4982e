//! Why an operator's request could not be met.

use plugin_install::InstallError;
use plugin_registry::catalog::CatalogError;

/// A request that could not be met; the text says why.
///
/// ```
/// use plugin_operator::FleetError;
/// use plugin_web::ApiError;
///
/// let answer = |error| {
///     let error = ApiError::from(error);
///     (error.status().as_u16(), error.message().to_owned())
/// };
/// let refused = answer(FleetError::NotLocal);
/// assert_eq!(refused, (404, "this daemon runs no plugins itself (PLATFORM=serverless)".to_owned()));
/// let refused = answer(FleetError::NotServerless("reinstall"));
/// assert_eq!(refused, (500, "reinstall is not supported on local platform".to_owned()));
/// ```
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
