//! The language between the daemon and a plugin: envelopes, events, actions, chunks and calls back, and the codecs that
//! cut byte streams into them.
//!
//! Pure: no I/O, no clock, no tasks. Payloads stay raw JSON ([`serde_json::value::RawValue`] or [`bytes::Bytes`]) and are
//! looked into only where the contract demands it.
//!
//! Source of the rules: the plugin protocol chapter of the specification.

#![forbid(unsafe_code)]

pub mod action;
pub mod callback;
pub mod chunk;
pub mod endpoint;
pub mod envelope;
pub mod error;
pub mod event;
pub mod frame;
pub mod line;
mod message;
pub mod request;
pub mod shape;

pub use action::{AccessType, Action};
pub use envelope::{Origin, SessionId};
pub use error::{Args, ErrorObject};
pub use event::{LogRecord, Message, MessageKind, PluginEvent};
pub use line::{Line, LineSplitter};
