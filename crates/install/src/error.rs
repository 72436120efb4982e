//! Why an upload, an install, an upgrade or a removal was refused or failed.

use plugin_manifest::identifier::InvalidIdentifier;
use plugin_package::bundle::BundleError;
use plugin_package::signature::PolicyError;

use plugin_registry::catalog::CatalogError;
use plugin_registry::packages::PackagesError;

/// A refusal or failure; its text is what the client reads.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The package cannot be used as it is (package-format 17).
    #[error("{0}")]
    Package(PackagesError),
    /// The package breaks a rule of uploads.
    #[error("{0}\nfailed to decode package")]
    Decode(PackagesError),
    /// The author looks like a debugging tenant (lifecycle-and-storage 2.1).
    #[error("cannot set author to an UUID")]
    AuthorIsUuid,
    /// The signature is not what the policy asks for.
    #[error(transparent)]
    Signature(#[from] PolicyError),
    /// The package could not be kept.
    #[error("{0}\nfailed to save package")]
    Save(PackagesError),
    /// The bundle cannot be used as it is.
    #[error("{0}\nfailed to decode bundle")]
    Bundle(BundleError),
    /// A package that the bundle names is not in it.
    #[error("failed to fetch package from bundle\n{0}")]
    BundleAsset(BundleError),
    /// A package in a bundle cannot be used; `context` says what failed.
    #[error("{context}\n{cause}")]
    BundlePackage { context: &'static str, cause: String },
    /// A package in a bundle could not be kept; the ones before it were taken back.
    #[error("failed to save package\n{0}")]
    BundleSave(String),
    /// Upgrade to the same version (lifecycle-and-storage 2.7).
    #[error("original and new plugin unique identifier are the same")]
    SameVersion,
    /// Upgrade to another plugin.
    #[error("original and new plugin id are different")]
    OtherPlugin,
    /// Nothing to upgrade.
    #[error("plugin installation not found for this tenant")]
    NothingToUpgrade,
    /// The version was never uploaded, or is damaged.
    #[error("{cause}\nfailed to get plugin declaration")]
    NoDeclaration { cause: String },
    /// The new version of an upgrade was never uploaded.
    #[error("plugin not found")]
    NewVersionNotFound,
    /// No such task.
    #[error("record not found")]
    TaskNotFound,
    /// An identifier is malformed.
    #[error(transparent)]
    Identifier(#[from] InvalidIdentifier),
    /// A look-up failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Database or storage failed.
    #[error(transparent)]
    Store(#[from] plugin_store::Error),
    /// A package in the storage could not be read or written.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// A task of the daemon failed.
    #[error("a task of the daemon failed: {0}")]
    Task(String),
}
