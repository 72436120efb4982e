//! Where the kinds of plugins run.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use plugin_runtime::{Call, OpenError, Runtime, Session};
use plugin_store::RuntimeType;

/// The runtime of each kind.
#[derive(Clone)]
pub struct Runtimes {
    local: Option<Arc<dyn Runtime>>,
    remote: Option<Arc<dyn Runtime>>,
    serverless: Option<Arc<dyn Runtime>>,
    none: Arc<dyn Runtime>,
}

impl Runtimes {
    /// Without any runtime.
    pub fn none() -> Self {
        Self { local: None, remote: None, serverless: None, none: Arc::new(NoRuntime) }
    }

    /// With the runtime for a kind.
    #[must_use]
    pub fn with(mut self, kind: RuntimeType, runtime: Arc<dyn Runtime>) -> Self {
        match kind {
            RuntimeType::Local => self.local = Some(runtime),
            RuntimeType::Remote => self.remote = Some(runtime),
            RuntimeType::Serverless => self.serverless = Some(runtime),
        }
        self
    }

    /// The runtime for a kind.
    pub fn of(&self, kind: RuntimeType) -> &dyn Runtime {
        let runtime = match kind {
            RuntimeType::Local => &self.local,
            RuntimeType::Remote => &self.remote,
            RuntimeType::Serverless => &self.serverless,
        };
        &**runtime.as_ref().unwrap_or(&self.none)
    }
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtimes")
    }
}

/// A kind that this daemon does not run.
struct NoRuntime;

#[async_trait]
impl Runtime for NoRuntime {
    async fn open(&self, _: Call) -> Result<Session, OpenError> {
        Err(OpenError::NotFound)
    }
}
