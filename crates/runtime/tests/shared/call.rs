//! A call of a plugin that speaks the protocol by itself.

use std::sync::Arc;
use std::time::Duration;

use plugin_manifest::UniqueIdentifier;
use plugin_protocol::{Action, Origin, SessionId};
use plugin_runtime::Call;
use serde_json::{Value, json};
use tokio::time::Instant;

/// A call with this request, whose worker may take `start` to come up.
pub(crate) fn call(plugin: UniqueIdentifier, data: &Value, start: Duration) -> Call {
    let id = uuid::Uuid::new_v4().to_string();
    let request = json!({"session_id": id, "event": "request", "data": data}).to_string();
    let now = Instant::now();
    Call {
        plugin,
        session_id: SessionId::from(id.as_str()),
        action: Action::InvokeTool,
        origin: Arc::new(Origin::default()),
        request: request.into(),
        start_by: now + start,
        deadline: now + Duration::from_mins(10),
        traceparent: String::new(),
    }
}
