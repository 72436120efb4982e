//! Embedding more texts than one request to a function can hold: several calls, one answer (plugin-protocol 4.8).

mod merge;
mod split;

use bytes::Bytes;
use plugin_protocol::{Action, ErrorObject, SessionId, envelope};
use plugin_runtime::OpenError;
use plugin_runtime::serverless::too_large;
use plugin_store::RuntimeType;
use tokio::time::Instant;

use super::{CallError, CallRequest, Chunks, Invocations, Plugin, counted, new_session};
use merge::Merger;
use plugin_service::telemetry::metrics;
use split::{Batch, Split, TooLarge};

/// Why the texts of a request could not be embedded in several calls.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The request has no texts to be cut by.
    #[error("data: {0}")]
    Malformed(String),
    /// One text alone is more than a function takes.
    #[error("{0}")]
    TooLarge(String),
    /// A call did not reach its plugin.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Invocations {
    /// Whether the request has to be cut because its runtime takes no more at a time.
    pub fn needs_batches(&self, plugin: &Plugin, ask: &CallRequest) -> bool {
        plugin.runtime_type == RuntimeType::Serverless
            && matches!(ask.action, Action::InvokeTextEmbedding | Action::GetTextEmbeddingNumTokens)
            && envelope_size(ask, &ask.data) > self.limits().serverless_request
    }

    /// Makes the calls one after the other; the first failure fails all.
    pub async fn in_batches(&self, plugin: &Plugin, ask: &CallRequest) -> Result<Bytes, BatchError> {
        let began = Instant::now();
        let split = Split::new(&ask.data).map_err(|error| BatchError::Malformed(error.to_string()))?;
        let room = self.limits().serverless_request;
        let head = envelope_size(ask, &split.data(&[]));
        let counted = counted(plugin, ask);
        let refused = |TooLarge { bytes, index }| {
            metrics::oversize_item(&counted);
            BatchError::TooLarge(too_large(ask.action, bytes, room, index))
        };
        let batches = split.batches(head, room).map_err(refused)?;
        let sizes: Vec<_> = batches.iter().map(|batch| batch.bytes).collect();
        metrics::batches(&counted, &sizes);
        let session = new_session();
        let mut merger = Merger::new(ask.action);
        for (index, Batch { texts, .. }) in batches.iter().enumerate() {
            let part = CallRequest { data: split.data(texts), ..ask.clone() };
            let answers = self.answers(session.clone(), plugin, &part, began).await?;
            merger
                .add(&answers, texts.len())
                .inspect_err(|mismatch| metrics::batch_mismatch(&counted, mismatch.reason()))
                .map_err(|mismatch| CallError::Answer(ErrorObject::daemon(mismatch.text(ask.action, index))))?;
        }
        Ok(merger.whole().into())
    }

    /// Every chunk that one batch answers.
    async fn answers(
        &self,
        session: SessionId,
        plugin: &Plugin,
        ask: &CallRequest,
        began: Instant,
    ) -> Result<Vec<Bytes>, BatchError> {
        let call = self.open(session, plugin, ask, began).await?;
        let mut chunks = Chunks::new(call, ask.action);
        let mut answers = Vec::new();
        while let Some(chunk) = chunks.next().await {
            answers.push(chunk?);
        }
        Ok(answers)
    }
}

fn envelope_size(ask: &CallRequest, data: &str) -> usize {
    // a session's id is always as long as this one
    let session = SessionId::from("00000000-0000-4000-8000-000000000000");
    envelope::request(&session, &ask.origin, ask.action, &ask.user_id, data).len()
}

#[cfg(test)]
mod tests;
