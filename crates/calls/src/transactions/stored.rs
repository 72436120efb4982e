//! Sessions in the shared state, for the nodes that do not have their calls.
//!
//! Stored is who calls and from where; what the plugin declares is looked up by its identifier. The key is not the
//! reference's: its nodes could not read the value, nor can this one read theirs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::{AccessType, Action, Origin};
use plugin_store::SharedState;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::callback::Caller;
use plugin_registry::catalog::Catalog;
use plugin_service::json::to_json;
use plugin_service::telemetry::TraceContext;

/// How long a session is known after its node's last sign of life.
pub(super) const TTL: Duration = Duration::from_mins(5);

/// Why a function may not call.
#[derive(Debug, thiserror::Error)]
pub enum NoSession {
    /// It is over, or never was.
    #[error("no such session")]
    Unknown,
    /// Whether there is one could not be found out.
    #[error("{0}")]
    Unavailable(String),
    /// The function is not the one that was called in it.
    #[error("the session is another plugin's")]
    OtherPlugin,
}

impl NoSession {
    /// One word for logs and programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "not_found",
            Self::Unavailable(_) => "read_failed",
            Self::OtherPlugin => "not_allowed",
        }
    }

    /// What may be behind it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown => "the call may be over, or another daemon has it",
            Self::Unavailable(_) => "the daemon's shared state or database is out of reach",
            Self::OtherPlugin => "DIFY_PLUGIN_DAEMON_URL of the function may be another function's",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    plugin: UniqueIdentifier,
    tenant_id: Uuid,
    user_id: String,
    access: String,
    origin: Arc<Origin>,
    trace_id: String,
    span_id: String,
}

pub(super) fn key(session: &str) -> String {
    format!("serverless:session:{session}")
}

/// What is stored of a session.
pub(super) fn value(caller: &Caller, plugin: &UniqueIdentifier) -> Bytes {
    let stored = Stored {
        plugin: plugin.clone(),
        tenant_id: caller.tenant_id,
        user_id: caller.user_id.clone(),
        access: caller.access.as_str().to_owned(),
        origin: Arc::clone(&caller.origin),
        trace_id: caller.trace.trace_id.clone(),
        span_id: caller.trace.span_id.clone(),
    };
    to_json(&stored).into()
}

/// Whether this can be the id of a session: nothing else is looked for.
pub(super) fn is_id(session: &str) -> bool {
    Uuid::try_parse(session).is_ok()
}

/// The session that some node has stored.
pub(super) async fn load(
    shared: &dyn SharedState,
    catalog: &Catalog,
    session: &str,
) -> Result<(Caller, UniqueIdentifier), NoSession> {
    if !is_id(session) {
        return Err(NoSession::Unknown);
    }
    let unavailable = |error: &dyn std::fmt::Display| NoSession::Unavailable(error.to_string());
    let found = shared.get(&key(session)).await.map_err(|error| unavailable(&error))?.ok_or(NoSession::Unknown)?;
    let stored: Stored = serde_json::from_slice(&found).map_err(|error| unavailable(&error))?;
    let declared = catalog.declaration(&stored.plugin).await.map_err(|error| unavailable(&error))?;
    let caller = Caller {
        tenant_id: stored.tenant_id,
        user_id: stored.user_id,
        session_id: session.into(),
        origin: stored.origin,
        access: access(&stored.access).ok_or(NoSession::Unknown)?,
        plugin_id: stored.plugin.plugin_id().as_str().into(),
        declared: declared.ok_or(NoSession::Unknown)?,
        trace: TraceContext::of_ids(stored.trace_id, stored.span_id),
    };
    Ok((caller, stored.plugin))
}

fn access(name: &str) -> Option<AccessType> {
    Action::ALL.iter().map(|action| action.access_type()).find(|access| access.as_str() == name)
}
