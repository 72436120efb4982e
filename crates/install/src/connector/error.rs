//! Why the connector gave no function.

use std::fmt::Display;
use std::time::Duration;

use http::{StatusCode, header};
use plugin_runtime::transport;

use super::excerpt;

/// A call of the connector that failed; the texts are messages of install tasks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// No connection came up: the connector is down, or is somewhere else.
    #[error("the serverless connector is out of reach (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL): {0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection to the serverless connector failed (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL): {0}")]
    Transport(String),
    /// It did not answer in time.
    #[error(
        "the serverless connector did not answer within {} s (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL)", .0.as_secs()
    )]
    TimedOut(Duration),
    /// A launch took too long.
    #[error(
        "timed out on waiting for the serverless connector to launch the plugin after {} s \
         (DIFY_PLUGIN_SERVERLESS_CONNECTOR_LAUNCH_TIMEOUT)", .0.as_secs()
    )]
    LaunchTimedOut(Duration),
    /// It refused.
    #[error("request failed with status code: {status} and respond with: {body}")]
    Status { status: u16, body: String },
    /// It answered something else than the protocol has.
    #[error("unexpected response from plugin controller: {0}")]
    Answer(String),
    /// A stage of a launch failed, for the connector's own reason.
    #[error("{0}")]
    Stage(String),
    /// The result of a launch cannot be read.
    #[error("invalid key-value pair: {0}")]
    Pair(String),
    /// A launch came to its end without a function.
    #[error("Internal server error, failed to get lambda url or function name")]
    NoFunction,
    /// A launch ended before its end.
    #[error("the serverless connector broke the launch off, its last stage was: {0}")]
    BrokenOff(String),
}

impl ConnectorError {
    pub(super) fn status(status: StatusCode, body: &[u8]) -> Self {
        Self::Status { status: status.as_u16(), body: excerpt(body) }
    }

    pub(super) fn answer(what: impl Display) -> Self {
        Self::Answer(what.to_string())
    }

    /// What the connector, not the way to it, says: the reference passes it on as it is.
    ///
    /// ```
    /// use plugin_install::connector::ConnectorError;
    ///
    /// let failed = ConnectorError::Stage("no wheel for arm64".to_owned());
    /// assert!(failed.is_verdict());
    /// assert_eq!(failed.to_string(), "no wheel for arm64");
    /// let refused = ConnectorError::Status { status: 401, body: "unauthorized".to_owned() };
    /// assert!(!refused.is_verdict());
    /// assert_eq!(refused.to_string(), "request failed with status code: 401 and respond with: unauthorized");
    /// ```
    pub fn is_verdict(&self) -> bool {
        matches!(self, Self::Stage(_) | Self::Pair(_) | Self::NoFunction | Self::LaunchTimedOut(_) | Self::BrokenOff(_))
    }
}

impl From<reqwest::Error> for ConnectorError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() {
            Self::Unreachable(transport::describe(error))
        } else {
            Self::Transport(transport::describe(error))
        }
    }
}

/// Why a connector cannot be used, with its address; for operators.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct PingError {
    /// Without secrets.
    pub url: String,
    pub error: ConnectorError,
}

impl PingError {
    fn text(&self) -> String {
        let Self { url, error } = self;
        match error {
            ConnectorError::Unreachable(why) => format!(
                "the serverless connector at {url} is out of reach (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL): {why}"
            ),
            ConnectorError::TimedOut(limit) => format!(
                "the serverless connector at {url} accepted the connection, but did not answer within {} s \
                 (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL)",
                limit.as_secs()
            ),
            ConnectorError::Status { status: 401 | 403, body } => format!(
                "the serverless connector at {url} refuses the key (DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY): {body}"
            ),
            other => format!(
                "what answers at {url} is no serverless connector that works (DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL): \
                 {other}"
            ),
        }
    }
}

/// The connector is not configured in a way that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorConfigError {
    #[error("DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY cannot be sent in a header: {0}")]
    Key(#[from] header::InvalidHeaderValue),
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}
