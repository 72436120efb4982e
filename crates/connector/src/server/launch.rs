//! A launch: streams its stages; closing the stream cancels it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{Shared, refuse, upload};
use crate::backend::{Function, LaunchError, Progress, Stage};
use crate::plugin::Plugin;

/// Events queued for a daemon that reads slowly. Further progress is dropped; results wait.
const WAITING: usize = 64;
/// After this long without an event an empty line is sent, so that no proxy takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One event, as the protocol has it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    stage: &'a str,
    state: &'a str,
    obj: &'a str,
    message: &'a str,
}

fn event(stage: Stage, state: &str, message: &str) -> Bytes {
    let event = Event { stage: stage.as_str(), state, obj: "", message };
    let json = serde_json::to_string(&event).unwrap_or_default();
    format!("data: {json}\n\n").into()
}

pub(super) async fn launch(State(service): State<Shared>, form: Result<Multipart, MultipartRejection>) -> Response {
    let form = match form {
        Ok(form) => form,
        Err(rejection) => return refuse(rejection.status(), &rejection.body_text()),
    };
    let plugin = match upload::read(form, service.options.max_package_bytes, service.limits()).await {
        Ok(plugin) => plugin,
        Err(error) => {
            tracing::warn!(%error, "refused a package");
            return refuse(error.status(), &error.to_string());
        }
    };
    let (events, receiver) = mpsc::channel(WAITING);
    let cancel = service.options.stop.child_token();
    let guard = cancel.clone().drop_guard();
    tokio::spawn(run(service, plugin, events, cancel).in_current_span());
    let stream = ReceiverStream::new(receiver).map(move |event| {
        let _ends_with_the_stream = &guard;
        Ok::<_, Infallible>(event)
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

async fn run(service: Shared, plugin: Plugin, events: mpsc::Sender<Bytes>, cancel: CancellationToken) {
    let begun = Instant::now();
    let identifier = plugin.identifier.clone();
    tracing::info!(plugin = %identifier, verified = plugin.verified, bytes = plugin.package.len(), "a launch begins");
    let stages = events.clone();
    let progress: Progress = Arc::new(move |stage, message| {
        tracing::debug!(stage = stage.as_str(), message, "launch");
        // a slow reader misses progress, not results
        let _missed = stages.try_send(event(stage, "running", message));
    });
    let work = async {
        progress(Stage::Start, "");
        let _lock = service.locks.lock(&plugin.filename).await;
        service.options.backend.launch(&plugin, Arc::clone(&progress), &cancel).await
    };
    tokio::pin!(work);
    let mut keep_alive = interval_at(begun + KEEP_ALIVE, KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let launched = loop {
        tokio::select! {
            launched = &mut work => break launched,
            _ = keep_alive.tick() => {
                let _missed = events.try_send(Bytes::from_static(b"\n"));
            }
        }
    };
    let seconds = begun.elapsed().as_secs_f32();
    match &launched {
        Ok(function) => tracing::info!(plugin = %identifier, seconds, url = function.resource, "a launch is done"),
        Err(_) if cancel.is_cancelled() => tracing::info!(plugin = %identifier, seconds, "a launch was cancelled"),
        Err(error) => {
            tracing::warn!(plugin = %identifier, seconds, stage = error.stage.as_str(), %error, "a launch failed");
        }
    }
    for event in result(launched) {
        if events.send(event).await.is_err() {
            tracing::debug!(plugin = %identifier, "the client of a launch has disconnected");
        }
    }
}

/// The last events of a launch.
fn result(launched: Result<Function, LaunchError>) -> Vec<Bytes> {
    match launched {
        Ok(Function { id, name, url, .. }) => {
            let run = format!("endpoint={url},name={name},id={id}");
            vec![event(Stage::Run, "success", &run), event(Stage::End, "success", "")]
        }
        Err(LaunchError { stage, message }) => vec![event(stage, "failed", &message)],
    }
}
