//! What must survive: rows, shared state and blobs.
//!
//! - [`Database`]: one repository trait per aggregate ([`Installations`], [`Declarations`], [`Providers`],
//!   [`InstallTasks`], [`InstallJobs`], [`Endpoints`], [`ServerlessRuntimes`], [`StorageUsage`], [`Readmes`],
//!   [`Plugins`]) over the tables that every daemon of this kind shares (lifecycle-and-storage 3).
//! - [`SharedState`]: what several nodes must agree on without a table: keys with a lifetime, leases, invalidations and
//!   memberships.
//! - [`BlobStore`]: packages, media and plugin storage, with the key layout of lifecycle-and-storage 5.2.
//!
//! Not found is `Ok(None)`; every other failure is an [`Error`] with a [`kind`](Error::kind).
//! This crate knows nothing of HTTP, of plugins' declarations or of processes: identifiers are text that callers have
//! checked, JSON is [`RawJson`] that callers understand.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("plugin-store needs one of the features sqlite, postgres and mysql");

pub mod blob;
mod database;
mod declarations;
mod endpoints;
mod error;
mod installations;
mod json;
mod page;
mod plugins;
mod providers;
mod readmes;
mod serverless;
pub mod shared;
mod sql;
mod storage_usage;
mod tasks;

pub use blob::{BlobEntry, BlobKey, BlobStore, Layout};
pub use database::{Database, DatabaseConfig, ServerConfig, SslMode};
pub use declarations::{Declaration, Declarations};
pub use endpoints::{Endpoint, EndpointChange, Endpoints, NewEndpoint};
pub use error::{Error, ErrorKind, Result};
pub use installations::{
    DebugInstall, DebugOutcome, Install, InstallOutcome, Installation, Installations, RuntimeType, Uninstalled,
    Upgrade, UpgradeOutcome,
};
pub use json::RawJson;
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
