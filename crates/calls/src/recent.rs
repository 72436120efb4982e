//! The last slow and the last failed calls of this node with their steps, for operators. Of what was asked and answered nothing
//! is kept but what a plugin says of its own error.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use plugin_service::config::masked;
use serde::Serialize;
use uuid::Uuid;

/// Calls that are kept of each kind; the oldest go first.
const KEPT: usize = 256;
/// Bytes of a cause that are kept.
const LONGEST_CAUSE: usize = 512;

/// A call that has ended.
#[derive(Clone, Debug, Serialize)]
pub struct EndedCall {
    pub began_at: Timestamp,
    /// Of the client's `traceparent`: what other services call the same trace.
    pub trace_id: String,
    pub plugin_unique_identifier: String,
    /// `local`, `remote` or `serverless`.
    pub runtime_type: &'static str,
    pub tenant_id: Uuid,
    pub action: &'static str,
    /// `success`, `error`, `client_disconnect` or `timeout`.
    pub outcome: &'static str,
    /// Why it failed; cut if it is long, without secrets.
    pub cause: Option<String>,
    pub duration_ms: u64,
    /// What the plugin sent.
    pub chunks: u64,
    pub bytes: u64,
    pub steps: Vec<CallStep>,
}

/// A part of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallStep {
    /// `worker`: until a worker had the request, with the start of one where there was none; `first chunk`; `answer`: from
    /// there to the end; `call back`.
    pub step: &'static str,
    /// What is called back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<&'static str>,
    /// From the beginning of the call.
    pub after_ms: u64,
    pub duration_ms: u64,
}

/// The calls that are kept.
#[derive(Debug)]
pub struct Recent {
    slow_from: Duration,
    slow: Mutex<VecDeque<Arc<EndedCall>>>,
    failed: Mutex<VecDeque<Arc<EndedCall>>>,
}

impl Recent {
    /// Of calls, those that take `slow_from` are slow.
    pub fn new(slow_from: Duration) -> Self {
        Self { slow_from, slow: Mutex::default(), failed: Mutex::default() }
    }

    /// Whether a call that ended like this is to be kept.
    pub(crate) fn keeps(&self, has_failed: bool, duration: Duration) -> bool {
        has_failed || self.is_slow(duration)
    }

    /// Keeps a call for which [`Recent::keeps`] is true.
    pub(crate) fn add(&self, mut call: EndedCall, has_failed: bool) {
        if let Some(cause) = &mut call.cause {
            *cause = masked(cause);
            cut(cause);
        }
        let call = Arc::new(call);
        if has_failed {
            keep(&self.failed, Arc::clone(&call));
        }
        if self.is_slow(Duration::from_millis(call.duration_ms)) {
            keep(&self.slow, call);
        }
    }

    /// Those that took long, the last one first.
    pub fn slow(&self) -> Vec<Arc<EndedCall>> {
        self.slow.lock().iter().rev().cloned().collect()
    }

    /// Those that failed, the last one first.
    pub fn failed(&self) -> Vec<Arc<EndedCall>> {
        self.failed.lock().iter().rev().cloned().collect()
    }

    fn is_slow(&self, duration: Duration) -> bool {
        !self.slow_from.is_zero() && duration >= self.slow_from
    }
}

fn keep(calls: &Mutex<VecDeque<Arc<EndedCall>>>, call: Arc<EndedCall>) {
    let mut calls = calls.lock();
    if calls.len() == KEPT {
        calls.pop_front();
    }
    calls.push_back(call);
}

fn cut(text: &mut String) {
    if text.len() > LONGEST_CAUSE {
        let end = (0..=LONGEST_CAUSE).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64, cause: Option<&str>) -> EndedCall {
        EndedCall {
            began_at: Timestamp::UNIX_EPOCH,
            trace_id: number.to_string(),
            plugin_unique_identifier: "a/b:0.0.1@c".to_owned(),
            runtime_type: "local",
            tenant_id: Uuid::nil(),
            action: "invoke_tool",
            outcome: "error",
            cause: cause.map(str::to_owned),
            duration_ms: number,
            chunks: 0,
            bytes: 0,
            steps: Vec::new(),
        }
    }

    #[test]
    fn the_last_of_each_kind_are_kept() {
        let recent = Recent::new(Duration::from_millis(300));
        assert!(recent.keeps(true, Duration::ZERO) && !recent.keeps(false, Duration::from_millis(299)));
        for number in 0..600 {
            recent.add(call(number, None), number % 2 == 0);
        }
        let ids = |calls: Vec<Arc<EndedCall>>| calls.iter().map(|call| call.trace_id.clone()).collect::<Vec<_>>();
        let (slow, failed) = (ids(recent.slow()), ids(recent.failed()));
        assert_eq!((slow.len(), slow[0].as_str(), slow[KEPT - 1].as_str()), (KEPT, "599", "344"));
        assert_eq!((failed.len(), failed[0].as_str(), failed[KEPT - 1].as_str()), (KEPT, "598", "88"));
        assert!(Recent::new(Duration::ZERO).slow().is_empty());
    }

    #[test]
    fn causes_are_short_and_have_no_secrets() {
        let recent = Recent::new(Duration::ZERO);
        assert!(!recent.keeps(false, Duration::MAX), "zero is never");
        recent.add(call(0, Some(&format!("https://u:p@h/ {}", "é".repeat(LONGEST_CAUSE)))), true);
        let cause = recent.failed()[0].cause.clone().unwrap();
        assert!(cause.starts_with("https://(hidden)@h/ é") && cause.ends_with("é…"), "{cause}");
        assert!(cause.len() <= LONGEST_CAUSE + '…'.len_utf8());
    }
}
