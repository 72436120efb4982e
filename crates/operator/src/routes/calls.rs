//! Calls that operators look into.

use std::sync::Arc;

use axum::extract::State;
use plugin_calls::recent::EndedCall;
use plugin_web::{Bound, Success, Validate, Violations};
use serde::Deserialize;

use super::Answer;
use crate::fleet::Fleet;

/// Which calls are shown.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    kind: Kind,
    /// Of one plugin, `author/name`.
    plugin_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Slow,
    Failed,
}

impl Validate for Filter {
    fn validate(&self, _: &mut Violations) {}
}

pub(super) async fn list(State(fleet): State<Fleet>, Bound(filter): Bound<Filter>) -> Answer<Vec<Arc<EndedCall>>> {
    let mut calls = match filter.kind {
        Kind::Slow => fleet.calls().slow(),
        Kind::Failed => fleet.calls().failed(),
    };
    if let Some(plugin_id) = &filter.plugin_id {
        let is_of_plugin = |call: &Arc<EndedCall>| {
            call.plugin_unique_identifier.split_once(':').is_some_and(|(id, _)| id == plugin_id)
        };
        calls.retain(is_of_plugin);
    }
    Ok(Success(calls))
}
