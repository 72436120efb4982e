//! Where the kinds of plugins run.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use plugin_runtime::{Call, OpenError, Runtime, Session};
use plugin_store::RuntimeType;

/// The runtime of each kind.
#[derive(Clone)]
pub struct Runtimes {
    local: Arc<dyn Runtime>,
    remote: Arc<dyn Runtime>,
    serverless: Arc<dyn Runtime>,
}

impl Runtimes {
    /// Without any runtime.
    pub fn none() -> Self {
        let nowhere: Arc<dyn Runtime> = Arc::new(Nowhere);
        Self { local: Arc::clone(&nowhere), remote: Arc::clone(&nowhere), serverless: nowhere }
    }

    /// With the runtime for a kind.
    #[must_use]
    pub fn with(mut self, kind: RuntimeType, runtime: Arc<dyn Runtime>) -> Self {
        match kind {
            RuntimeType::Local => self.local = runtime,
            RuntimeType::Remote => self.remote = runtime,
            RuntimeType::Serverless => self.serverless = runtime,
        }
        self
    }

    /// The runtime for a kind.
    pub fn of(&self, kind: RuntimeType) -> &dyn Runtime {
        match kind {
            RuntimeType::Local => &*self.local,
            RuntimeType::Remote => &*self.remote,
            RuntimeType::Serverless => &*self.serverless,
        }
    }
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtimes")
    }
}

/// A kind that this daemon does not run.
struct Nowhere;

#[async_trait]
impl Runtime for Nowhere {
    async fn open(&self, _: Call) -> Result<Session, OpenError> {
        Err(OpenError::NotFound)
    }
}
