//! Tells the operator that Dify does not answer. The plugin gets the cause without the address.

use plugin_service::config::masked;
use plugin_service::telemetry::LineLimit;

use super::DifyError;

#[derive(Debug)]
pub(super) struct Report {
    /// Where Dify should be, without what authenticates.
    url: String,
    limit: LineLimit,
}

impl Report {
    pub(super) fn new(url: &str) -> Self {
        Self { url: masked(url), limit: LineLimit::default() }
    }

    /// Logs that a callback did not reach Dify or was not answered.
    pub(super) fn unanswered(&self, error: &DifyError) {
        if let Some(others) = self.limit.due() {
            tracing::warn!(
                url = self.url,
                %error,
                others,
                "Dify does not answer the calls of plugins; is it running, and is DIFY_INNER_API_URL right?"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_shown_without_what_authenticates() {
        let report = Report::new("http://user:secret@dify:5001/x?token=secret");
        assert_eq!(report.url, "http://(hidden)@dify:5001/x?(hidden)");
    }
}
