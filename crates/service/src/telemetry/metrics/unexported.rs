//! Where nothing can be sent to a collector, nothing is counted for it.

use std::time::Duration;

use super::{Call, Outcome, RuntimeKind, Success};

pub(super) fn invocation(_: Call<'_>, _: Outcome, _: Duration) {}

pub(super) fn installation(_: &str, _: Success, _: Duration) {}

pub(super) fn batches(_: Call<'_>, _: &[usize]) {}

pub(super) fn oversize_item(_: Call<'_>) {}

pub(super) fn batch_mismatch(_: Call<'_>, _: &'static str) {}

pub(super) fn function_failure(_: &'static str, _: Option<u16>) {}

pub(super) fn waited(_: RuntimeKind, _: Duration) {}

pub(super) fn started(_: &'static str, _: Duration) {}

pub(super) fn storage_operation(_: &'static str, _: &str, _: Success, _: Duration) {}
