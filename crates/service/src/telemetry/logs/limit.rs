//! Log lines that anybody can cause: at most one a minute.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines are at least this far apart.
const EVERY: Duration = Duration::from_mins(1);

/// Lets one line a minute through and counts the others.
#[derive(Debug, Default)]
pub struct LineLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl LineLimit {
    /// How many lines were suppressed since the last one; `None` if this one is suppressed, too.
    pub fn due(&self) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| last.elapsed() < EVERY) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute() {
        let limit = LineLimit::default();
        assert_eq!((limit.due(), limit.due(), limit.due()), (Some(0), None, None));
        tokio::time::advance(EVERY / 2).await;
        assert_eq!(limit.due(), None);
        tokio::time::advance(EVERY / 2).await;
        assert_eq!((limit.due(), limit.due()), (Some(3), None));
    }
}
