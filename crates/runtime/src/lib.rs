//! Where plugins run: one trait, three kinds of runtime.
//!
//! A [`Runtime`] opens a [`Session`] on a plugin: a stream of [`Event`]s and a way to send replies; dropping the session
//! cancels it. A runtime knows nothing of HTTP, of tenants' databases or of Dify.
//!
//! Invariants: a slow reader of one session never stops another (every session has its own queue, bounded in bytes); the
//! death of a worker ends each of its sessions at once with a typed [`Failure`].

#![forbid(unsafe_code)]

// the support code of the integration tests serves tests in here, too
#[cfg(test)]
extern crate self as plugin_runtime;

mod attempts;
mod channel;
mod copy_map;
pub mod debug;
mod final_output;
mod keyed_locks;
pub mod local;
mod log;
mod owner;
mod permission;
mod proc;
pub mod serverless;
pub mod session;
mod task;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::{Action, Origin, SessionId};
use tokio::time::Instant;

pub use attempts::Attempts;
pub use channel::NodeBudget;
pub use copy_map::CopyMap;
pub use final_output::FinalOutput;
pub use keyed_locks::KeyedLocks;
pub use log::{Level, LogEntry, PluginLog, Source, Tail};
pub use owner::{NotAnOwner, Owner};
pub use permission::permits;
pub use session::{Event, Failure, Replies, Session};
pub use task::panic_text;

/// The call for which a session is opened.
#[derive(Debug)]
pub struct Call {
    pub plugin: UniqueIdentifier,
    pub session_id: SessionId,
    pub action: Action,
    pub origin: Arc<Origin>,
    /// The whole request envelope, without a line end.
    pub request: Bytes,
    /// Until when a worker may take to come up; a call to a plugin that is starting waits.
    pub start_by: Instant,
    /// Until when the call may last in all.
    pub deadline: Instant,
    /// The W3C `traceparent` of the client's request.
    pub traceparent: String,
}

/// Why a session could not be opened. Nothing has reached the plugin then.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// No such plugin on this runtime.
    #[error("plugin runtime not found")]
    NotFound,
    /// The plugin could not be brought up; the text says why and when it is tried again.
    #[error("{cause}")]
    NotReady { cause: String, next_try: Option<Duration> },
    /// It did not come up in the time that the call had for it.
    #[error("plugin is still starting after {} s: {state}", waited.as_secs())]
    StillStarting { waited: Duration, state: String },
    /// The same request was open in worker after worker that ended (see `channel/poison.rs` for the rule). Other requests
    /// are served.
    #[error(
        "this request is refused for {} s, since {ended} workers of the plugin ended while it was open; the last one: {cause}",
        retry_in.as_secs().max(1)
    )]
    Poison { ended: u32, cause: String, retry_in: Duration },
    /// It is being removed, or the daemon stops.
    #[error("plugin runtime is stopping")]
    Stopping,
    /// As much is going on as may; the text says of what, and which limit it is.
    #[error("{cause}")]
    Busy { cause: String },
    /// The request does not fit the runtime (serverless payload limit).
    #[error("{0}")]
    TooLarge(String),
}

/// A place where plugins run.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Sends the request to a worker that runs the plugin, bringing one up where there is none.
    async fn open(&self, call: Call) -> Result<Session, OpenError>;
}
