//! Why a look-up failed.

use std::sync::Arc;

use plugin_manifest::identifier::InvalidIdentifier;

/// A look-up that gave no answer. Cloned for everyone who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// The database failed.
    #[error("{0}")]
    Store(Arc<plugin_store::Error>),
    /// A stored identifier is malformed.
    #[error(transparent)]
    Identifier(#[from] InvalidIdentifier),
    /// A stored declaration or package cannot be read.
    #[error("the declaration of {identifier} cannot be read: {cause}")]
    Declaration { identifier: Arc<str>, cause: Arc<str> },
    /// A package, or a task of the daemon, failed.
    #[error("{0}")]
    Other(Arc<str>),
}

impl CatalogError {
    pub(super) fn package(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string().into())
    }

    pub(super) fn internal(error: &tokio::task::JoinError) -> Self {
        Self::Other(format!("a task of the daemon failed: {error}").into())
    }

    /// The same, with the version whose declaration it was.
    pub(super) fn of(self, unique_identifier: &str) -> Self {
        Self::Declaration { identifier: unique_identifier.into(), cause: self.to_string().into() }
    }
}

impl From<plugin_store::Error> for CatalogError {
    fn from(error: plugin_store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}
