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
    nowhere: Arc<dyn Runtime>,
}

impl Runtimes {
    /// Without any runtime.
    pub fn none() -> Self {
        Self { local: None, remote: None, serverless: None, nowhere: Arc::new(Nowhere) }
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

    /// The kind as which a plugin runs here that was installed as another. A daemon has one platform, and everything that
    /// is installed runs on it (cluster-serverless-observability 2.6).
    pub fn kind(&self, installed: RuntimeType) -> RuntimeType {
        match installed {
            RuntimeType::Local if self.local.is_none() && self.serverless.is_some() => RuntimeType::Serverless,
            RuntimeType::Serverless if self.serverless.is_none() && self.local.is_some() => RuntimeType::Local,
            installed => installed,
        }
    }

    /// The runtime for a kind.
    pub fn of(&self, kind: RuntimeType) -> &dyn Runtime {
        let runtime = match kind {
            RuntimeType::Local => &self.local,
            RuntimeType::Remote => &self.remote,
            RuntimeType::Serverless => &self.serverless,
        };
        &**runtime.as_ref().unwrap_or(&self.nowhere)
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

#[cfg(test)]
mod tests {
    use RuntimeType::{Local, Remote, Serverless};

    use super::*;

    #[test]
    fn what_was_installed_on_the_other_platform_runs_on_this_one() {
        let all = [RuntimeType::Local, RuntimeType::Remote, RuntimeType::Serverless];
        let check = |platforms: &[RuntimeType], expected: [RuntimeType; 3]| {
            let with = |runtimes: Runtimes, kind: &RuntimeType| runtimes.with(*kind, Arc::new(Nowhere));
            let runtimes = platforms.iter().fold(Runtimes::none(), with);
            assert_eq!(all.map(|kind| runtimes.kind(kind)), expected);
        };
        check(&[], all);
        check(&all, all);
        check(&[Local], [Local, Remote, Local]);
        check(&[Serverless, Remote], [Serverless, Remote, Serverless]);
    }
}
