//! What operators see and do: the fleet of plugins, workers and installs, and the routes below `/admin` (http-api 9).
//! No call of a plugin needs it.

#![forbid(unsafe_code)]

pub mod fleet;
pub mod routes;

pub use fleet::{Fleet, FleetError, FleetParts};
