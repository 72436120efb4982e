//! The environment that workers of an environment are forked from: the one of its SDK alone, made in the background.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::slot::LONGEST_PAUSE;
use crate::local::environment::Environments;
use crate::task::{self, Task};

const BEING_MADE: &str = "the environment that it would be forked from, with the SDK alone, is being made";

/// Knows the environments that hold nothing but an SDK.
#[async_trait]
pub trait SdkEnvironments: Send + Sync {
    /// The one that goes with this environment, if it was made already. Runs nothing.
    async fn known(&self, environment: &Path) -> Option<PathBuf>;

    /// Makes it.
    ///
    /// # Errors
    ///
    /// Why it cannot be made, in words.
    async fn make(&self, environment: &Path) -> Result<PathBuf, String>;

    /// Notes that one of them goes with this environment, too, and is needed as long as this is. Whether it is there.
    async fn remember(&self, environment: &Path, sdk: &Path) -> bool;
}

#[async_trait]
impl SdkEnvironments for Environments {
    async fn known(&self, environment: &Path) -> Option<PathBuf> {
        self.known_sdk(environment).await
    }

    async fn make(&self, environment: &Path) -> Result<PathBuf, String> {
        self.make_sdk(environment).await.map_err(|error| error.message)
    }

    async fn remember(&self, environment: &Path, sdk: &Path) -> bool {
        let noted = self.remember_sdk(environment, sdk).await;
        let failed = |error: &_| tracing::warn!(%error, "cannot remember what plugins are forked from");
        noted.inspect_err(failed).unwrap_or_default()
    }
}

/// Finds them, and has those made that are not there: a start does not wait for that.
pub(super) struct Sdks {
    environments: Arc<dyn SdkEnvironments>,
    /// By the environment that it goes with.
    attempts: Mutex<HashMap<PathBuf, Attempt>>,
}

#[derive(Debug)]
enum Attempt {
    Running,
    Failed { reason: String, until: Instant },
}

impl fmt::Debug for Sdks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sdks").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl Sdks {
    pub(super) fn new(environments: Arc<dyn SdkEnvironments>) -> Arc<Self> {
        Arc::new(Self { environments, attempts: Mutex::default() })
    }

    pub(super) async fn known(&self, environment: &Path) -> Option<PathBuf> {
        self.environments.known(environment).await
    }

    pub(super) async fn remember(&self, environment: &Path, sdk: &Path) -> bool {
        self.environments.remember(environment, sdk).await
    }

    /// Has it made in the background, one at a time: often it will do for the next environment, too. Returns why there is
    /// none for now; `then` is called once it is there.
    pub(super) fn make(self: &Arc<Self>, environment: &Path, then: impl FnOnce(PathBuf) + Send + 'static) -> String {
        {
            let mut attempts = self.attempts.lock();
            if let Some(Attempt::Failed { reason, until }) = attempts.get(environment)
                && *until > Instant::now()
            {
                return reason.clone();
            }
            if attempts.values().any(|attempt| matches!(attempt, Attempt::Running)) {
                return BEING_MADE.into();
            }
            attempts.insert(environment.to_owned(), Attempt::Running);
        }
        let (this, that) = (Arc::clone(self), Arc::clone(self));
        let (wanted, lost) = (environment.to_owned(), environment.to_owned());
        let make = async move {
            let made = this.environments.make(&wanted).await;
            this.made(&wanted, made.as_ref().err());
            made.map_or_else(drop, then);
        };
        task::detach(Task::Sdk, environment.display().to_string(), make, move |_| {
            that.made(&lost, Some(&"an internal error".into()));
        });
        BEING_MADE.into()
    }

    fn made(&self, environment: &Path, failure: Option<&String>) {
        let mut attempts = self.attempts.lock();
        let Some(error) = failure else {
            attempts.remove(environment);
            return;
        };
        let reason = format!("the SDK alone, which it would be forked from, cannot be installed: {error}");
        tracing::info!(environment = %environment.display(), reason, "plugins are not forked for now");
        let until = Instant::now() + LONGEST_PAUSE;
        attempts.insert(environment.to_owned(), Attempt::Failed { reason, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    /// Each attempt takes one permit.
    struct Fake {
        go: Semaphore,
        attempts: AtomicUsize,
        works: bool,
    }

    #[async_trait]
    impl SdkEnvironments for Fake {
        async fn known(&self, _: &Path) -> Option<PathBuf> {
            None
        }

        async fn remember(&self, _: &Path, _: &Path) -> bool {
            false
        }

        async fn make(&self, _: &Path) -> Result<PathBuf, String> {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            self.go.acquire().await.map_err(|error| error.to_string())?.forget();
            if self.works { Ok("/sdk".into()) } else { Err("no index".into()) }
        }
    }

    fn fake(works: bool) -> Arc<Fake> {
        Arc::new(Fake { go: Semaphore::new(0), attempts: AtomicUsize::new(0), works })
    }

    /// Asks until the answer is another one than that it is being made.
    async fn failure(sdks: &Arc<Sdks>) -> String {
        for _ in 0..1000 {
            let reason = sdks.make(Path::new("/a"), drop);
            if reason != BEING_MADE {
                return reason;
            }
            tokio::task::yield_now().await;
        }
        panic!("it is still being made");
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_made_at_a_time_and_not_waited_for() {
        let fake = fake(true);
        let sdks = Sdks::new(fake.clone());
        let (done, made) = tokio::sync::oneshot::channel();
        assert_eq!(sdks.make(Path::new("/a"), |sdk| done.send(sdk).unwrap()), BEING_MADE);
        for other in ["/a", "/b"] {
            assert_eq!(sdks.make(Path::new(other), |_| panic!("not for this one")), BEING_MADE);
            tokio::task::yield_now().await;
        }
        fake.go.add_permits(1);
        assert_eq!(made.await.unwrap(), Path::new("/sdk"));
        assert_eq!(fake.attempts.load(Ordering::SeqCst), 1);
        assert!(sdks.attempts.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_after_a_while() {
        let fake = fake(false);
        let sdks = Sdks::new(fake.clone());
        fake.go.add_permits(2);
        let expected = "the SDK alone, which it would be forked from, cannot be installed: no index";
        assert_eq!(failure(&sdks).await, expected);
        assert_eq!(fake.attempts.load(Ordering::SeqCst), 1);
        tokio::time::advance(LONGEST_PAUSE).await;
        assert_eq!(sdks.make(Path::new("/a"), drop), BEING_MADE);
        assert_eq!(failure(&sdks).await, expected);
        assert_eq!(fake.attempts.load(Ordering::SeqCst), 2);
    }
}
