//! Settings of debugging connections.

use std::time::Duration;

use crate::channel::ChannelLimits;

/// What an operator decides about debugging connections (lifecycle-and-storage 7.3).
#[derive(Clone, Debug)]
pub struct DebugSettings {
    /// `PLUGIN_REMOTE_INSTALLING_MAX_CONN`: connections that have shaken hands.
    pub max_connections: usize,
    /// `PLUGIN_REMOTE_INSTALLING_MAX_SINGLE_TENANT_CONN`: the same of one tenant.
    pub max_tenant_connections: usize,
    /// Connections that have not shaken hands yet; a further one ends the oldest of them.
    pub max_half_open: usize,
    /// From accept to the end of the handshake (plugin-protocol 2.2).
    pub handshake_timeout: Duration,
    /// From the handshake to the end of the registration.
    pub registration_timeout: Duration,
    /// Bytes of all registrations that are under way, and of the declarations of all plugins that are connected.
    pub registration_bytes: usize,
    /// `PLUGIN_REMOTE_INSTALLING_SILENCE_SECONDS`: silence after which a plugin counts as dead although its machine still
    /// answers. The SDK sends a heartbeat every 10 s, unless its developer has stopped it at a breakpoint.
    pub silence_limit: Duration,
    /// `PLUGIN_MAX_LINE_BYTES`: the longest message after the handshake.
    pub max_line_bytes: usize,
    /// `PLUGIN_SESSION_BUFFER_BYTES`: what may wait for one caller before its session fails.
    pub session_buffer_bytes: usize,
    /// Bytes that may wait to be written to one plugin.
    pub input_buffer_bytes: usize,
    /// How long a message may wait for a plugin that does not read.
    pub write_timeout: Duration,
    /// How much of a plugin's log is kept in memory.
    pub log_bytes: usize,
    /// `PLUGIN_LOG_LINES_PER_SECOND`: how much of it goes to the daemon's log.
    pub log_lines_per_second: u32,
}

impl Default for DebugSettings {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_tenant_connections: 5,
            max_half_open: 512,
            handshake_timeout: Duration::from_secs(10),
            registration_timeout: Duration::from_mins(2),
            registration_bytes: 512 * 1024 * 1024,
            silence_limit: Duration::from_mins(5),
            max_line_bytes: 64 * 1024 * 1024,
            session_buffer_bytes: 64 * 1024 * 1024,
            input_buffer_bytes: 8 * 1024 * 1024,
            write_timeout: Duration::from_secs(30),
            log_bytes: 128 * 1024,
            log_lines_per_second: crate::log::LINES_PER_SECOND,
        }
    }
}

impl DebugSettings {
    /// What of them concerns messages.
    pub(super) fn channel(&self) -> ChannelLimits {
        ChannelLimits {
            line_bytes: self.max_line_bytes,
            session_buffer_bytes: self.session_buffer_bytes,
            input_buffer_bytes: self.input_buffer_bytes,
            write_timeout: self.write_timeout,
        }
    }
}
