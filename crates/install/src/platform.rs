//! What the installer asks of the platform that runs plugins.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use plugin_manifest::Declaration;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_service::telemetry::TraceContext;
use plugin_store::RuntimeType;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One attempt to make a version ready to be called.
pub struct Attempt<'a> {
    pub identifier: &'a UniqueIdentifier,
    /// What the plugin declares.
    pub manifest: &'a Declaration,
    /// Gets what is being done, in a few words; must not block.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
    /// Ends the attempt and every process it started. Other attempts at the same version go on.
    pub cancel: &'a CancellationToken,
    /// When the attempt is given up.
    pub deadline: Instant,
    /// What is asked of others for it belongs to this trace.
    pub trace: TraceContext,
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("identifier", self.identifier).finish_non_exhaustive()
    }
}

/// Why a version is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnsureError {
    /// The plugin cannot be prepared or does not start; the text says why.
    #[error("failed to launch plugin: {0}")]
    Failed(String),
    /// The platform does not take it, in words of its own.
    #[error("{0}")]
    Refused(String),
    /// The attempt was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Something that the daemon depends on was out of reach; later it may work.
    #[error("{0}")]
    Retry(String),
}

/// Where installed plugins run: as processes of this node, or as functions elsewhere.
#[async_trait]
pub trait Platform: Send + Sync + fmt::Debug {
    /// What new installations are marked with.
    fn runtime_type(&self) -> RuntimeType;

    /// Makes a version ready to be called: prepared, started once and proven alive. Safe to repeat; attempts at one
    /// version share the work.
    async fn ensure(&self, attempt: Attempt<'_>) -> Result<(), EnsureError>;

    /// Takes a version out of service: no new calls, running ones may end in their time. Returns at once; the version may
    /// be ensured again at any moment.
    async fn remove(&self, identifier: &UniqueIdentifier);

    /// The versions that have anything running or prepared to run on this node.
    async fn present(&self) -> Vec<UniqueIdentifier>;

    /// What is installed, reported at boot and whenever it may have changed: to warm up what should be warm, and to know
    /// what is garbage.
    async fn installed(&self, identifiers: &[UniqueIdentifier]);
}
