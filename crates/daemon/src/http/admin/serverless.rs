//! Functions of a serverless platform; a local one has none (http-api 9).

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, stream};
use plugin_manifest::identifier::UniqueIdentifier;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::app::App;
use crate::connector::Function;
use crate::error::ApiError;
use crate::http::envelope::to_json;
use crate::http::{Bound, Managed, Success, Validate, Violations, sse};
use crate::install::ServerlessPlatform;

/// The longest time of a reinstallation.
const LONGEST: Duration = Duration::from_mins(30);
/// Events that may wait for an administrator who reads slowly; further progress is not told.
const WAITING: usize = 16;

#[derive(Debug, Deserialize)]
pub(super) struct Reinstall {
    plugin_unique_identifier: UniqueIdentifier,
}

impl Validate for Reinstall {
    fn validate(&self, _: &mut Violations) {}
}

/// What an administrator is told.
#[derive(Serialize)]
struct Event<'a> {
    event: &'a str,
    data: &'a str,
}

fn event(event: &str, data: &str) -> Bytes {
    to_json(&Event { event, data }).into()
}

/// Makes the function of a version anew.
pub(super) async fn reinstall(State(app): State<App>, Bound(params): Bound<Reinstall>) -> Response {
    let cutoff = app.base.lifecycle.hard().clone();
    if let Some(platform) = app.serverless {
        return sse::respond(events(platform, params.plugin_unique_identifier), cutoff).await;
    }
    let refusal = event("error", "reinstall is not supported on local platform");
    sse::respond(stream::iter([Ok::<_, ApiError>(refusal)]), cutoff).await
}

/// The events of a reinstallation, which goes on as long as somebody reads them.
fn events(
    platform: ServerlessPlatform,
    identifier: UniqueIdentifier,
) -> impl Stream<Item = Result<Bytes, ApiError>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(WAITING);
    let work = async move {
        let progress = |_: &str| {
            // whoever has not read the last ones yet knows that work goes on
            let _told = sender.try_send(event("info", "reinstalling..."));
        };
        let last = match timeout(LONGEST, platform.reinstall(&identifier, &progress)).await {
            Ok(Ok(())) => event("done", "successfully reinstalled"),
            Ok(Err(error)) => {
                tracing::warn!(plugin = %identifier, %error, "a function was not made anew");
                event("error", &error.to_string())
            }
            Err(_) => event("error", "failed to reinstall plugin to serverless: it took too long"),
        };
        // there is nobody to tell if the administrator has left
        let _told = sender.send(last).await;
    };
    let state = (Some(Box::pin(work)), receiver);
    stream::unfold(state, |(mut work, mut receiver)| async move {
        loop {
            let Some(working) = &mut work else {
                return receiver.recv().await.map(|event| (Ok(event), (work, receiver)));
            };
            tokio::select! {
                biased;
                Some(event) = receiver.recv() => return Some((Ok(event), (work, receiver))),
                () = working => work = None,
            }
        }
    })
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

/// Points a version to another function.
pub(super) async fn switch_endpoint(State(app): State<App>, Bound(params): Bound<Switch>) -> Managed<bool> {
    let Some(platform) = &app.serverless else {
        return Err(ApiError::internal("switch serverless runtime is not supported on local platform").into());
    };
    let function = Function::parse(&params.function_name, &params.function_url).map_err(ApiError::bad_request)?;
    let switched = platform.switch(&params.plugin_unique_identifier, &function).await;
    if switched.map_err(|error| ApiError::internal(error.to_string()))? {
        return Ok(Success(true));
    }
    let unknown = format!("plugin serverless runtime not found: {}", params.plugin_unique_identifier);
    Err(ApiError::internal(unknown).into())
}
