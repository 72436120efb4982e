//! The plugin daemon: what Dify calls to install plugins, to run them and to call them.

#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod http;
