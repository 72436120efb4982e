//! What limits a call, as the variables say and as the settings of its plugin do.

use std::time::Duration;

use plugin_service::config::per_plugin::Overrides;

use crate::admission::{AdmissionLimits, Limit};

/// How long a call may take, and what is kept of it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all (`PLUGIN_MAX_EXECUTION_TIMEOUT`).
    pub total: Duration,
    /// Until a plugin that is being installed or started can take it (`PLUGIN_CALL_START_TIMEOUT_SECONDS`).
    pub start: Duration,
    /// Calls that take at least this long are kept for operators; zero for none (`PLUGIN_SLOW_CALL_SECONDS`).
    pub slow: Duration,
    /// Between two signs of the plugin, if there is such a limit (`PLUGIN_CALL_IDLE_TIMEOUT_SECONDS`).
    pub idle: Option<Duration>,
    /// Bytes of one request to a function (`MAX_SERVERLESS_REQUEST_BYTES`).
    pub serverless_request: usize,
    /// Calls at a time.
    pub admission: AdmissionLimits,
    /// Whether what is asked and answered is in the trace, if that is exported (`PLUGIN_TRACE_CONTENT`).
    pub trace_content: bool,
}

impl Limits {
    /// The same with what a plugin has of its own, but for the size of requests.
    pub(super) fn with(self, own: Overrides) -> Self {
        let plugin = self.admission.plugin;
        let count = |own: u32| usize::try_from(own).unwrap_or(usize::MAX);
        Self {
            admission: AdmissionLimits {
                plugin: Limit {
                    running: own.max_calls.map_or(plugin.running, |own| count(own.value)),
                    waiting: own.max_queued_calls.map_or(plugin.waiting, |own| count(own.value)),
                },
                ..self.admission
            },
            total: own.call_timeout_seconds.map_or(self.total, |own| own.value),
            start: own.call_start_timeout_seconds.map_or(self.start, |own| own.value),
            idle: own.call_idle_timeout_seconds.map_or(self.idle, |own| Some(own.value).filter(|it| !it.is_zero())),
            trace_content: own.trace_content.map_or(self.trace_content, |own| own.value),
            ..self
        }
    }
}
