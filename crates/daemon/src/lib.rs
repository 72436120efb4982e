//! The plugin daemon: what Dify calls to install plugins, to run them and to call them.

#![forbid(unsafe_code)]

pub mod app;
pub mod assets;
pub mod base;
pub mod boot;
pub mod callback;
pub mod calls;
pub mod catalog;
pub mod cluster;
pub mod command;
pub mod config;
pub mod connector;
pub mod debugging;
pub mod endpoints;
pub mod error;
mod headers;
pub mod http;
pub mod install;
pub mod invocation;
pub mod lifecycle;
pub mod management;
pub mod packages;
pub mod readme;
pub mod services;
pub mod telemetry;
pub mod transactions;
pub mod webhook;

#[cfg(test)]
mod testing;
