//! A connector: the service that turns plugin packages into functions, for a daemon with `PLATFORM=serverless`.
//!
//! It speaks the protocol that the daemon's client speaks (cluster-serverless-observability 4.1): [`server`] takes the
//! requests, [`backend`] makes, finds and deletes functions. Two back ends are behind one trait: processes of this
//! machine, which start when they are called and stop when they idle, and AWS Lambda.

#![forbid(unsafe_code)]

pub mod backend;
pub mod options;
pub mod plugin;
pub mod secret;
pub mod server;
