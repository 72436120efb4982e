//! Functions of a serverless platform; a local one has none (http-api 9).

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_service::json::to_json;
use plugin_web::envelope;
use plugin_web::{ApiError, Bound, Success, Validate, Violations, sse};
use serde::{Deserialize, Serialize};

use crate::fleet::{Fleet, FleetError, Reinstalling};

#[derive(Debug, Deserialize)]
pub(super) struct Reinstall {
    plugin_unique_identifier: UniqueIdentifier,
}

impl Validate for Reinstall {
    fn validate(&self, _: &mut Violations) {}
}

/// An event as the contract has it.
#[derive(Serialize)]
struct Event<'a> {
    event: &'a str,
    data: &'a str,
}

fn event(event: &str, data: &str) -> Bytes {
    to_json(&Event { event, data }).into()
}

/// Makes the function of a version anew.
pub(super) async fn reinstall(State(fleet): State<Fleet>, Bound(params): Bound<Reinstall>) -> Response {
    let cutoff = fleet.cutoff();
    let events = match fleet.reinstall(params.plugin_unique_identifier) {
        Ok(events) => events,
        Err(error) => {
            let refusal = event("error", &error.to_string());
            return sse::respond(stream::iter([Ok::<_, ApiError>(refusal)]), cutoff).await;
        }
    };
    let events = events.map(|step| {
        Ok::<_, ApiError>(match step {
            Reinstalling::Progress => event("info", "reinstalling..."),
            Reinstalling::Done => event("done", "successfully reinstalled"),
            Reinstalling::Failed(why) => event("error", &why),
        })
    });
    sse::respond(events, cutoff).await
}

#[derive(Debug, Deserialize)]
pub(super) struct Switch {
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

/// Points a version to another function. Errors are answered with HTTP 200, as in the contract.
pub(super) async fn switch_endpoint(State(fleet): State<Fleet>, Bound(params): Bound<Switch>) -> Response {
    let Switch { plugin_unique_identifier, function_name, function_url } = params;
    match fleet.switch_function(&plugin_unique_identifier, &function_name, &function_url).await {
        Ok(()) => Success(true).into_response(),
        Err(error) => in_band(error),
    }
}

fn in_band(error: FleetError) -> Response {
    tracing::warn!(%error, "failed to switch a function");
    envelope::respond(http::StatusCode::OK, ApiError::from(error).to_envelope())
}
