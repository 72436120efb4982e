//! A call's answer as Dify gets it: every chunk checked, and mended where the contract demands it.

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use plugin_protocol::Action;
use plugin_protocol::chunk::{self, BlobMerger, Merged};
use plugin_protocol::shape::{Checker, Shape};

use super::{CallError, Invocation};

/// The checked chunks of one call.
#[derive(Debug)]
pub struct Chunks {
    call: Invocation,
    action: Action,
    shape: Option<&'static Shape>,
    checker: Checker,
    /// For the action whose files in pieces are put together here.
    blobs: Option<BlobMerger>,
}

impl Chunks {
    /// The chunks of a call for an action.
    pub fn new(call: Invocation, action: Action) -> Self {
        let blobs = (action == Action::InvokeAgentStrategy).then(BlobMerger::default);
        Self { call, action, shape: chunk::shape(action), checker: Checker::default(), blobs }
    }

    /// The next chunk; after an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        loop {
            let chunk = match self.call.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some(Err(error)),
            };
            match self.mend(chunk) {
                Ok(None) => {}
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                Err(reason) => return Some(Err(self.call.malformed(reason))),
            }
        }
    }

    /// The chunk as Dify gets it, if it gets it at all.
    fn mend(&mut self, chunk: Bytes) -> Result<Option<Bytes>, String> {
        let Some(shape) = self.shape else { return Ok(Some(chunk)) };
        let mended = self.checker.check("", shape, &chunk).map_err(|problems| problems.to_string())?;
        if chunk::says_nothing(self.action, &chunk) {
            return Ok(None);
        }
        let whole = if mended.is_unchanged() {
            chunk
        } else {
            let mut whole = Vec::with_capacity(chunk.len() + 64);
            mended.append_to(&mut whole);
            whole.into()
        };
        let Some(blobs) = &mut self.blobs else { return Ok(Some(whole)) };
        match blobs.take(&whole).map_err(|error| error.to_string())? {
            Merged::Untouched => Ok(Some(whole)),
            Merged::Taken => Ok(None),
            Merged::File(file) => Ok(Some(file.into())),
        }
    }

    /// The chunks as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, CallError>> + Send + 'static {
        unfold(Box::new(self), |mut chunks| async move {
            let next = chunks.next().await?;
            Some((next, chunks))
        })
    }
}
