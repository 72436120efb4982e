//! How calls fail, and what Dify reads of it.

use std::time::Duration;

use plugin_protocol::ErrorObject;
use plugin_runtime::Failure;

/// Why a call that had reached its plugin did not end well.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The plugin's own error.
    #[error("{}: {}", .0.error_type, .0.message)]
    Plugin(ErrorObject),
    /// The plugin answered what it may not.
    #[error("{}: {}", .0.error_type, .0.message)]
    Answer(ErrorObject),
    /// The plugin, or the way to it, is gone.
    #[error(transparent)]
    Failed(Failure),
    /// The time of the call is over.
    #[error("killed by timeout")]
    TimedOut,
    /// The plugin has sent nothing for this long.
    #[error("killed by timeout: the plugin sent nothing for {} s (PLUGIN_CALL_IDLE_TIMEOUT_SECONDS)", .0.as_secs())]
    Silent(Duration),
}

impl CallError {
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Silent(_))
    }

    /// The document that Dify reads inside a `PluginInvokeError` (http-api 3.3); `None` for what is no such error.
    ///
    /// ```
    /// use plugin_calls::invocation::CallError;
    /// use plugin_runtime::Failure;
    ///
    /// let document = CallError::Failed(Failure::ConnectionClosed).document().unwrap();
    /// assert_eq!(
    ///     document.to_json(),
    ///     r#"{"args":{},"error_type":"ConnectionClosedError","message":"Connection closed unexpectedly"}"#,
    /// );
    /// assert_eq!(CallError::TimedOut.document(), None);
    /// ```
    pub fn document(&self) -> Option<ErrorObject> {
        match self {
            Self::Plugin(error) | Self::Answer(error) => Some(error.clone()),
            Self::Failed(failure) => Some(failed(failure)),
            Self::TimedOut | Self::Silent(_) => None,
        }
    }
}

/// A failure as an error object. Dify knows the type of a lost debugging connection; the others are reported the same way.
fn failed(failure: &Failure) -> ErrorObject {
    match failure {
        Failure::Other(object) => object.clone(),
        Failure::ConnectionClosed => ErrorObject::connection_closed(),
        Failure::WorkerExited { exit, out_of_memory, stderr } => {
            ErrorObject::connection_closed_because(failure.to_string())
                .with("exit", exit.as_str())
                .with("out_of_memory", *out_of_memory)
                .with("stderr", stderr.as_str())
        }
        Failure::WorkerSilent { stderr, .. } => {
            ErrorObject::connection_closed_because(failure.to_string()).with("stderr", stderr.as_str())
        }
        Failure::Stopped(_) => ErrorObject::connection_closed_because(failure.to_string()),
        _ => ErrorObject::daemon(failure.to_string()),
    }
}
