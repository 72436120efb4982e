//! Fatal errors (cli 10.3).

use serde_json::json;

use crate::failure::OutputClosed;

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidInput,
    InvalidArgsJson,
    ConfigLoad,
    ConfigInvalid,
    UnknownMode,
    UnknownAction,
    StreamRead,
    StreamParse,
    PluginNotFound,
    InitError,
    ExecError,
    PackageInvalid,
    PackageTooLarge,
    ExtractError,
    Network,
    Download,
    DownloadTimeout,
    Daemon,
}

impl Code {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "INVALID_INPUT",
            Self::InvalidArgsJson => "INVALID_ARGS_JSON",
            Self::ConfigLoad => "CONFIG_LOAD_ERROR",
            Self::ConfigInvalid => "CONFIG_INVALID",
            Self::UnknownMode => "UNKNOWN_MODE",
            Self::UnknownAction => "UNKNOWN_ACTION",
            Self::StreamRead => "STREAM_READ_ERROR",
            Self::StreamParse => "STREAM_PARSE_ERROR",
            Self::PluginNotFound => "PLUGIN_NOT_FOUND",
            Self::InitError => "PLUGIN_INIT_ERROR",
            Self::ExecError => "PLUGIN_EXEC_ERROR",
            Self::PackageInvalid => "PLUGIN_PACKAGE_INVALID",
            Self::PackageTooLarge => "PLUGIN_PACKAGE_TOO_LARGE",
            Self::ExtractError => "PLUGIN_EXTRACT_ERROR",
            Self::Network => "NETWORK_ERROR",
            Self::Download => "PLUGIN_DOWNLOAD_ERROR",
            Self::DownloadTimeout => "PLUGIN_DOWNLOAD_TIMEOUT",
            Self::Daemon => "DAEMON_ERROR",
        }
    }

    pub(super) fn exit_status(self) -> u8 {
        match self {
            Self::StreamRead
            | Self::StreamParse
            | Self::PluginNotFound
            | Self::InitError
            | Self::ExecError
            | Self::PackageInvalid
            | Self::PackageTooLarge
            | Self::ExtractError => 1,
            Self::InvalidInput
            | Self::InvalidArgsJson
            | Self::ConfigLoad
            | Self::ConfigInvalid
            | Self::UnknownMode
            | Self::UnknownAction => 2,
            Self::Network | Self::Download | Self::DownloadTimeout => 3,
            Self::Daemon => 4,
        }
    }
}

/// A fatal error: a JSON line on standard error, and an exit status.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub(crate) struct SlimError {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl SlimError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn to_json(&self) -> String {
        json!({"code": self.code.as_str(), "message": self.message}).to_string()
    }
}

/// Standard output is closed, so there is no reason to go on.
impl From<OutputClosed> for SlimError {
    fn from(error: OutputClosed) -> Self {
        Self::new(Code::ExecError, error.to_string())
    }
}
