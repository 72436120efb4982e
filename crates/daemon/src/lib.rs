//! The plugin daemon: what Dify calls to install plugins, to run them and to call them. Wires the other crates together.

#![forbid(unsafe_code)]

pub mod boot;
pub mod command;
