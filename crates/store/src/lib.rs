//! Persistent and shared data: rows, shared state and blobs.
//!
//! - [`Database`]: one repository trait per aggregate ([`Installations`], [`Declarations`], [`Providers`],
//!   [`InstallTasks`], [`InstallJobs`], [`Endpoints`], [`ServerlessRuntimes`], [`StorageUsage`], [`Readmes`],
//!   [`Plugins`], [`KeyUses`]) over the tables of the reference (lifecycle-and-storage 3).
//! - [`SharedState`]: state that nodes share and that needs no table: keys that expire, leases, invalidations and
//!   memberships.
//! - [`BlobStore`]: packages, media and plugin storage, with the key layout of lifecycle-and-storage 5.2.
//!
//! Not found is `Ok(None)`; every other failure is an [`Error`] with a [`kind`](Error::kind). Errors of opening name the
//! server or path, the cause, and the variables of lifecycle-and-storage 7.5 to 7.7 to look at; they contain no secrets.
//! This crate knows nothing of HTTP, of plugins' declarations or of processes: identifiers are text that callers have
//! checked, JSON is [`RawJson`] that callers understand.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use plugin_store::{Database, DatabaseConfig, Install, InstallOutcome, RuntimeType};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let config = DatabaseConfig::Sqlite { path: folder.path().join("daemon.db") };
//! let database = Database::open(&config).await.unwrap();
//! let install = Install {
//!     tenant_id: plugin_store::new_id(),
//!     plugin_id: "langgenius/openai",
//!     unique_identifier: "langgenius/openai:0.2.7@9f",
//!     runtime_type: RuntimeType::Local,
//!     source: "marketplace",
//!     meta: None,
//!     providers: &[],
//! };
//! let installed = database.installations.install(&install).await.unwrap();
//! assert!(matches!(installed, InstallOutcome::Installed(_)));
//! assert_eq!(database.plugins.all().await.unwrap()[0].refers, 1);
//! # });
//! ```
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("plugin-store needs one of the features sqlite, postgres and mysql");

pub mod blob;
mod config;
mod database;
mod declarations;
mod endpoints;
mod error;
mod folder;
mod installations;
mod json;
mod key_uses;
mod page;
mod plugins;
mod providers;
mod readmes;
mod serverless;
pub mod shared;
mod silence;
mod sql;
mod storage_usage;
mod tasks;

pub use blob::{BlobEntry, BlobKey, BlobStore, Layout};
pub use config::{DatabaseConfig, ServerConfig, SslMode};
pub use database::Database;
pub use declarations::{Declaration, Declarations};
pub use endpoints::{Endpoint, EndpointChange, Endpoints, NewEndpoint};
pub use error::{Error, ErrorKind, Result};
pub use installations::{
    DebugInstall, DebugOutcome, Install, InstallOutcome, Installation, Installations, RuntimeType, Uninstalled,
    Upgrade, UpgradeOutcome,
};
pub use json::RawJson;
pub use key_uses::{KeyUse, KeyUses};
pub use page::Page;
pub use plugins::{Plugin, Plugins};
pub use providers::{Category, Provider, ProviderName, Providers};
pub use readmes::{Readme, Readmes};
pub use serverless::{NewServerlessRuntime, ServerlessRuntime, ServerlessRuntimes};
pub use shared::SharedState;
pub use storage_usage::{Reservation, StorageUsage};
pub use tasks::{
    InstallJob, InstallJobs, InstallTask, InstallTasks, JobKind, NewJob, NewTask, TaskItem, TaskStatus, cut_message,
};

/// A new row id: UUID version 7, so that ids sort by time (lifecycle-and-storage 3.2).
pub fn new_id() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}
