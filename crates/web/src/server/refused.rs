//! Requests that are refused before there is a request: their log.

use std::net::SocketAddr;

use plugin_service::telemetry::LineLimit;

/// Logs at most one refusal a minute, with how many there were since the last line: anybody can cause them.
#[derive(Debug, Default)]
pub(super) struct Refusals(LineLimit);

impl Refusals {
    /// Takes note of how a connection ended.
    pub(super) fn log(&self, error: &hyper::Error, peer: SocketAddr) {
        if !error.is_parse() {
            tracing::debug!(%error, %peer, "connection ended early");
            return;
        }
        if let Some(others) = self.0.due() {
            let limit = super::MAX_HEADERS;
            tracing::warn!(%error, %peer, others, "refused a request that is no HTTP/1.1, or has more than {limit} headers or too long a head");
        }
    }
}
