//! Functions of a serverless platform; a local one has none.

use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use plugin_manifest::identifier::UniqueIdentifier;
use serde::Deserialize;

use crate::app::App;
use crate::error::ApiError;
use crate::http::{Bound, Managed, Validate, Violations, sse};

#[derive(Debug, Deserialize)]
pub(super) struct Reinstall {
    #[expect(dead_code, reason = "checked for its form; a local platform has no use for it")]
    plugin_unique_identifier: UniqueIdentifier,
}

impl Validate for Reinstall {
    fn validate(&self, _: &mut Violations) {}
}

/// Makes the function of a version anew.
pub(super) async fn reinstall(State(app): State<App>, Bound(_): Bound<Reinstall>) -> Response {
    let refusal = br#"{"event":"error","data":"reinstall is not supported on local platform"}"#;
    let events = stream::iter([Ok::<_, ApiError>(refusal)]);
    sse::respond(events, app.base.lifecycle.hard().clone()).await
}

#[derive(Debug, Deserialize)]
pub(super) struct Switch {
    #[expect(dead_code, reason = "checked for its form; a local platform has no use for it")]
    plugin_unique_identifier: UniqueIdentifier,
    #[serde(default)]
    function_name: String,
    #[serde(default)]
    function_url: String,
}

impl Validate for Switch {
    fn validate(&self, violations: &mut Violations) {
        violations.required("function_name", &self.function_name);
        violations.required("function_url", &self.function_url);
    }
}

/// Points a version to another function.
pub(super) async fn switch_endpoint(Bound(_): Bound<Switch>) -> Managed<bool> {
    Err(ApiError::internal("switch serverless runtime is not supported on local platform").into())
}
