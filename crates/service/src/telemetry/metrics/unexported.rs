//! Where nothing can be sent to a collector, nothing is counted for it.

use std::time::Duration;

use super::{Call, Outcome, RuntimeKind, Success};

pub(super) fn installation(_: &str, _: Success, _: Duration) {}

pub(super) fn batches(_: &Call, _: &[usize]) {}

pub(super) fn oversize_item(_: &Call) {}

pub(super) fn batch_mismatch(_: &Call, _: &'static str) {}

pub(super) fn function_failure(_: &'static str, _: Option<u16>) {}

pub(super) fn started(_: &'static str, _: Duration) {}

pub(super) fn storage_operation(_: &'static str, _: &str, _: Success, _: Duration) {}

/// Calls that ended in one way.
#[derive(Debug, Default)]
pub(super) struct Ended {}

impl Ended {
    #[expect(clippy::unused_self, reason = "it is used where there is something to count")]
    pub(super) fn record(&self, _: &Call, _: Outcome, _: Duration) {}
}

/// Waits for a worker.
#[derive(Debug, Default)]
pub(super) struct Waited {}

impl Waited {
    #[expect(clippy::unused_self, reason = "it is used where there is something to count")]
    pub(super) fn record(&self, _: RuntimeKind, _: Duration) {}
}

/// Requests that were answered in one way.
#[derive(Debug, Default)]
pub(super) struct Answered {}

impl Answered {
    #[expect(clippy::unused_self, reason = "it is used where there is something to count")]
    pub(super) fn record(&self, _: &'static str, _: &'static str, _: u16, _: Duration) {}
}
