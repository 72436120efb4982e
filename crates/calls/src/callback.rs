//! What plugins call back into Dify ("backwards invocation", plugin-protocol 5): permissions, Dify's inner API, storage.
//!
//! Every call runs as a task of its session's and is answered in order; its last answer is always `end`. Dropping
//! the task cancels the call.

mod answers;
mod dify;
mod encrypt;
mod remote;
mod storage;

use std::sync::Arc;

use plugin_protocol::callback::{Form, Invoke, Kind, StorageRequest};
use plugin_protocol::shape::Checker;
use plugin_protocol::{AccessType, Origin, SessionId};
use plugin_runtime::{Replies, permits};
use tokio::time::Instant;
use uuid::Uuid;

use answers::{Answers, Stop};
use plugin_registry::catalog::Declared;
use plugin_service::telemetry::TraceContext;

pub use dify::{Dify, DifyConfigError, DifyError, DifyOptions};
pub use encrypt::{Cipher, Sealed};
pub use storage::{Storage, StorageOptions};

/// On whose behalf a plugin calls: the session that it calls from.
#[derive(Debug)]
pub struct Caller {
    pub tenant_id: Uuid,
    /// Empty where nobody is signed in.
    pub user_id: String,
    pub session_id: SessionId,
    pub origin: Arc<Origin>,
    pub access: AccessType,
    /// `author/name`.
    pub plugin_id: Arc<str>,
    /// Says what the plugin may call.
    pub declared: Arc<Declared>,
    pub trace: TraceContext,
}

/// Answers calls back.
#[derive(Debug)]
pub struct Callbacks {
    dify: Dify,
    storage: Storage,
}

impl Callbacks {
    /// Over Dify and the storage of plugins.
    pub fn new(dify: Dify, storage: Storage) -> Self {
        Self { dify, storage }
    }

    /// Dify's inner API.
    pub fn dify(&self) -> &Dify {
        &self.dify
    }

    /// Runs one call and sends the plugin all of its answers. Returns when the end is sent, or cannot be sent because
    /// the plugin is gone.
    pub async fn answer(&self, caller: &Caller, invoke: &Invoke<'_>, replies: Replies) {
        let answers = Answers::new(caller, &invoke.id, replies, Instant::now());
        let done = match self.run(caller, invoke, &answers).await {
            Ok(()) => answers.end().await,
            Err(Stop::Failed(text)) => {
                tracing::debug!(plugin = &*caller.plugin_id, kind = &*invoke.kind, error = text, "a call back failed");
                answers.fail(&text).await
            }
            Err(gone @ Stop::Gone(_)) => Err(gone),
        };
        if let Err(Stop::Gone(error)) = done {
            tracing::debug!(plugin = &*caller.plugin_id, kind = &*invoke.kind, %error, "the plugin no longer reads replies");
        }
    }

    /// Refuses a call of the plugin: too many are running.
    pub async fn refuse(&self, caller: &Caller, invoke: &Invoke<'_>, replies: Replies, reason: &str) {
        if let Err(Stop::Gone(error)) = Answers::new(caller, &invoke.id, replies, Instant::now()).fail(reason).await {
            tracing::debug!(plugin = &*caller.plugin_id, %error, "the plugin no longer reads replies");
        }
    }

    async fn run(&self, caller: &Caller, invoke: &Invoke<'_>, answers: &Answers<'_>) -> Result<(), Stop> {
        if caller.access == AccessType::Model {
            return Err(Stop::failed("you can not invoke dify from model"));
        }
        let kind = Kind::parse(&invoke.kind)
            .ok_or_else(|| Stop::failed(format!("unsupported invoke type: {}", invoke.kind)))?;
        if let Some(grant) = kind.grant().filter(|grant| !permits(caller.declared.manifest.permission(), *grant)) {
            return Err(Stop::failed(grant.denial()));
        }
        let mut checker = Checker::default();
        let request = checker.check("", kind.request(), invoke.request.get().as_bytes()).map_err(|problems| {
            let what = if problems.are_rules() { "error validating struct" } else { "error decoding map" };
            Stop::failed(format!("unmarshal backwards invoke request failed: {what}: {problems}"))
        })?;
        match kind.form() {
            Form::Here => {
                let mut text = Vec::new();
                request.append_to(&mut text);
                let request: StorageRequest = serde_json::from_slice(&text).map_err(|error| {
                    Stop::failed(format!("unmarshal backwards invoke request failed: error decoding map: {error}"))
                })?;
                let answer =
                    self.storage.answer(caller, request).await.map_err(|error| Stop::failed(error.to_string()))?;
                answers.until_it_listens().await;
                answers.only(&answer).await
            }
            Form::Struct => remote::single(&self.dify, caller, kind, request, answers).await,
            Form::Stream => remote::stream(&self.dify, caller, kind, request, answers).await,
        }
    }
}

#[cfg(any(test, feature = "test-util"))]
pub mod testing;
#[cfg(test)]
mod tests;
