//! Requests that are refused before there is a request: their log.

use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines are at least so far apart: anybody can cause them.
const EVERY: Duration = Duration::from_mins(1);

/// Logs at most one refusal a minute, with how many there were since the last line.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    unlogged: u64,
}

impl Refusals {
    /// Takes note of how a connection ended.
    pub(super) fn log(&self, error: &hyper::Error, peer: SocketAddr) {
        if !error.is_parse() {
            tracing::debug!(%error, %peer, "connection ended early");
            return;
        }
        if let Some(others) = self.is_due() {
            let limit = super::MAX_HEADERS;
            tracing::warn!(%error, %peer, others, "refused a request that is no HTTP/1.1, or has more than {limit} headers or too long a head");
        }
    }

    /// How many were not logged before this one; `None` if it is not logged either.
    fn is_due(&self) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| last.elapsed() < EVERY) {
            state.unlogged += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute() {
        let refusals = Refusals::default();
        assert_eq!((refusals.is_due(), refusals.is_due(), refusals.is_due()), (Some(0), None, None));
        tokio::time::advance(EVERY).await;
        assert_eq!((refusals.is_due(), refusals.is_due()), (Some(2), None));
    }
}
