//! Why a debugging connection is refused.

use std::time::Duration;

use plugin_manifest::RemapError;
use plugin_manifest::registration::RegistrationError;
use plugin_package::IconError;

/// Why a connection is not taken; displays as the line that the plugin is sent before it is closed (plugin-protocol 2.2,
/// cluster-serverless-observability 3.2). The SDK shows the line to the developer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The first line is no handshake, or a later one is no message.
    #[error("handshake failed, invalid handshake message")]
    Message {
        /// What it most likely is instead, for the daemon's log.
        got: &'static str,
    },
    /// The key is not valid, or not any more.
    #[error("handshake failed, invalid key")]
    Key,
    /// The key could not be looked up.
    #[error("failed to get connection info: {0}")]
    Lookup(String),
    /// A second handshake.
    #[error("handshake already completed")]
    Repeated,
    /// As many plugins are connected as may be, or too much is being registered at once.
    #[error("server is busy now, please try again later")]
    Busy,
    /// The tenant has as many connections as it may.
    #[error(
        "this workspace has {limit} debugging connections, which is the limit \
         (PLUGIN_REMOTE_INSTALLING_MAX_SINGLE_TENANT_CONN); end one of them and try again"
    )]
    TenantBusy { limit: usize },
    /// What the plugin declares.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A piece of an asset that cannot be read.
    #[error("transfer assets failed, error: {0}")]
    Chunk(String),
    /// A piece of an asset that is no base64.
    #[error("assets decode failed, error: {0}")]
    Decode(#[from] base64::DecodeError),
    /// All assets together.
    #[error("assets too large, at most 50MB")]
    Assets,
    /// All declarations together.
    #[error("declarations too large, at most {} bytes", super::registration::MAX_DECLARATION_BYTES)]
    Declarations,
    /// One message.
    #[error("message of {length} bytes is too long, at most {limit} (PLUGIN_MAX_LINE_BYTES)")]
    TooLong { length: usize, limit: usize },
    /// An icon is not among the assets.
    #[error("assets remap failed, invalid assets data, cannot remap: {0}")]
    Icons(#[from] RemapError<IconError>),
    /// The registration did not come to its end.
    #[error("registration failed, it was not complete after {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The daemon could not record the plugin.
    #[error("register failed, the plugin could not be installed: {0}")]
    Install(String),
}
