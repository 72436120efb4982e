//! What the operator is told when Dify does not answer: a plugin learns the cause, but not where Dify is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::DifyError;

/// However many plugins ask, it is told once in this time.
const EVERY: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Report {
    /// Where Dify should be, without user-info.
    target: String,
    last: Mutex<Option<Instant>>,
}

impl Report {
    pub(super) fn new(url: &str) -> Self {
        let parsed = reqwest::Url::parse(url).ok();
        let without_user = parsed.and_then(|mut url| {
            url.set_username("").ok()?;
            url.set_password(None).ok()?;
            Some(url.to_string())
        });
        // what is no URL is refused when it is configured, and not shown here
        Self { target: without_user.unwrap_or_default(), last: Mutex::new(None) }
    }

    /// Logs that a call back did not reach Dify or was not answered.
    pub(super) fn unanswered(&self, error: &DifyError) {
        if self.is_due() {
            tracing::warn!(
                url = self.target,
                %error,
                "Dify does not answer the calls of plugins; is it running, and is DIFY_INNER_API_URL right?"
            );
        }
    }

    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| last.elapsed() >= EVERY);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn once_a_minute() {
        let report = Report::new("http://user:secret@dify:5001/x");
        assert_eq!(report.target, "http://dify:5001/x");
        assert!(report.is_due());
        tokio::time::advance(EVERY / 2).await;
        assert!(!report.is_due());
        tokio::time::advance(EVERY / 2).await;
        assert!(report.is_due());
        assert!(!report.is_due());
    }
}
