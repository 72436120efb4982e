//! Why a package could not be read or kept.

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_manifest::{InvalidManifest, RemapError};
use plugin_package::{IconError, PackageError, ZipError};

/// A failure with a package.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The package itself is at fault.
    #[error("{}{}", .0, limit_of(.0))]
    Package(#[from] PackageError),
    /// What it says of itself breaks a rule.
    #[error("{0}\nillegal plugin manifest")]
    Manifest(#[from] InvalidManifest),
    /// It names an icon that it does not have.
    #[error("{0}\nfailed to remap assets")]
    Icon(#[from] RemapError<IconError>),
    /// The stored package is another one than its name says.
    #[error("the package stored for {asked} is {found}: upload it again")]
    Swapped { asked: UniqueIdentifier, found: UniqueIdentifier },
    /// Database or storage failed.
    #[error(transparent)]
    Store(#[from] plugin_store::Error),
    /// An uploaded file cannot be read back.
    #[error("failed to read the uploaded file: {0}")]
    File(#[from] std::io::Error),
    /// A task of the daemon failed.
    #[error("a task of the daemon failed: {0}")]
    Task(String),
    /// The daemon stops.
    #[error("the plugin daemon is shutting down")]
    Stopped,
}

impl PackagesError {
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub(super) fn task(error: tokio::task::JoinError) -> Self {
        Self::Task(error.to_string())
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_retryable())
    }
}

/// The variable of the limit that a package breaks.
fn limit_of(error: &PackageError) -> &'static str {
    if matches!(error, PackageError::Zip(ZipError::TooLarge { .. })) { " (MAX_PLUGIN_PACKAGE_SIZE)" } else { "" }
}
