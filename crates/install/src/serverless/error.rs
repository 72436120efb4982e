//! Why there is no function.

use crate::EnsureError;
use crate::connector::ConnectorError;
use plugin_registry::catalog::CatalogError;
use plugin_registry::packages::PackagesError;

/// A launch that gave no function. Cloned for everyone who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LaunchError {
    /// Something that the daemon depends on was out of reach.
    #[error("{0}")]
    Unreachable(String),
    /// The launch itself failed; the text is the connector's.
    #[error("{0}")]
    Failed(String),
    /// The connector could not be asked (lifecycle-and-storage 2.9).
    #[error("failed to start installation: failed to install plugin to serverless\n{0}")]
    Call(ConnectorError),
    /// The package is gone.
    #[error("plugin package not found, please upload it firstly")]
    NoPackage,
    /// Where the function is could not be written down.
    #[error("failed to persist serverless runtime: {0}")]
    NotPersisted(String),
}

impl LaunchError {
    pub(super) fn persist(error: plugin_store::Error) -> Self {
        if error.is_retryable() { error.into() } else { Self::NotPersisted(error.to_string()) }
    }
}

impl From<ConnectorError> for LaunchError {
    fn from(error: ConnectorError) -> Self {
        match error {
            ConnectorError::Unreachable(_) => Self::Unreachable(error.to_string()),
            error if error.is_verdict() => Self::Failed(error.to_string()),
            error => Self::Call(error),
        }
    }
}

impl From<plugin_store::Error> for LaunchError {
    fn from(error: plugin_store::Error) -> Self {
        if error.is_retryable() { Self::Unreachable(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

impl From<PackagesError> for LaunchError {
    fn from(error: PackagesError) -> Self {
        if error.is_retryable() { Self::Unreachable(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

impl From<CatalogError> for LaunchError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Store(error) if error.is_retryable() => Self::Unreachable(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<LaunchError> for EnsureError {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Unreachable(cause) => Self::Retry(cause),
            error => Self::Refused(error.to_string()),
        }
    }
}

/// Why a function was not made anew (lifecycle-and-storage 2.9).
#[derive(Debug, thiserror::Error)]
pub enum ReinstallError {
    /// The version has no function.
    #[error("failed to get serverless runtime model")]
    NotLaunched,
    /// Whether it has one could not be read.
    #[error("failed to get serverless runtime model: {0}")]
    Store(#[from] plugin_store::Error),
    /// The launch failed.
    #[error("failed to reinstall plugin to serverless: {0}")]
    Launch(LaunchError),
}
