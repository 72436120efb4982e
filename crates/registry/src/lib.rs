//! What is installed and where: the catalog of installations, endpoints and declarations, packages with their assets
//! and readmes, the nodes of the cluster, and plugins under development. Runs nothing.

#![forbid(unsafe_code)]

pub mod assets;
pub mod catalog;
pub mod cluster;
pub mod debugging;
mod loading;
pub mod management;
pub mod packages;
pub mod readme;
pub mod stores;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;

pub use stores::{Lookups, Stores};
