//! One call of a plugin from its request to its end: where it runs, its session, its calls back into Dify, the
//! transactions of functions, webhooks and endpoints. Makes no HTTP answers.

#![forbid(unsafe_code)]

pub mod admission;
pub mod callback;
pub mod endpoints;
pub mod invocation;
pub mod recent;
pub mod routing;
pub mod transactions;
pub mod webhook;
