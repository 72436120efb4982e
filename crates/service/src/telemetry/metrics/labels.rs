//! What is counted apart.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

macro_rules! label_values {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $word_doc:literal])+ $variant:ident $word:literal,)+ })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            pub enum $name {
                $($(#[doc = $word_doc])+ $variant,)+
            }

            impl $name {
                /// How many there are.
                pub const COUNT: usize = [$($word),+].len();

                /// The word in the label.
                pub const fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$variant => $word,)+
                    }
                }
            }

            impl EncodeLabelValue for $name {
                fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                    EncodeLabelValue::encode(&self.as_str(), encoder)
                }
            }
        )+
    };
}

label_values! {
    /// On what a plugin runs.
    RuntimeKind {
        /// A process of this node.
        Local "local",
        /// A developer's machine.
        Remote "remote",
        /// A function.
        Serverless "serverless",
        /// It was not found out.
        Unknown "unknown",
    }

    /// How a call ended.
    Outcome {
        /// The plugin ended its answer.
        Success "success",
        /// The plugin, its runtime or the daemon failed.
        Error "error",
        /// The client went away.
        ClientDisconnect "client_disconnect",
        /// The time limit was reached.
        Timeout "timeout",
    }

    /// How an installation or a storage operation ended.
    Success {
        /// Well.
        Success "success",
        /// Not well.
        Failed "failed",
    }
}

/// Whose call it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Invocation {
    /// `author/name`.
    pub plugin_id: Arc<str>,
    /// `tool`, `model`, `endpoint`, ...: the type of the protocol.
    pub plugin_type: &'static str,
    /// On what it runs.
    pub runtime_type: RuntimeKind,
    /// The action.
    pub operation: &'static str,
}

/// What a call is counted as: its labels, and the version that it calls, which is a label for a collector alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The labels.
    pub labels: Invocation,
    /// The plugin's version.
    pub version: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct InvocationEnd {
    pub(super) plugin_id: Arc<str>,
    pub(super) plugin_type: &'static str,
    pub(super) runtime_type: RuntimeKind,
    pub(super) operation: &'static str,
    pub(super) status: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ActiveInvocation {
    pub(super) plugin_id: Arc<str>,
    pub(super) plugin_type: &'static str,
    pub(super) runtime_type: RuntimeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HttpRequest {
    pub(super) method: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HttpRoute {
    pub(super) method: &'static str,
    pub(super) endpoint: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Plugin {
    pub(super) plugin_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Installation {
    pub(super) plugin_id: String,
    pub(super) status: Success,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PluginRuntime {
    pub(super) plugin_id: String,
    pub(super) runtime_type: RuntimeKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Runtime {
    pub(super) runtime_type: RuntimeKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StartKind {
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StorageOperation {
    pub(super) operation: &'static str,
    pub(super) storage_type: String,
    pub(super) status: Success,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StorageKind {
    pub(super) operation: &'static str,
    pub(super) storage_type: String,
}

/// The trace of a call that a bucket of a histogram has as its example.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Example {
    pub(super) trace_id: String,
}

/// Calls that a limit keeps out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct InvocationRefusal {
    pub(super) runtime_type: RuntimeKind,
    /// Whose it is: `plugin` or `tenant`.
    pub(super) limit: &'static str,
}
