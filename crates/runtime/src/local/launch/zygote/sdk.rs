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
}

#[async_trait]
impl SdkEnvironments for Environments {
    async fn known(&self, environment: &Path) -> Option<PathBuf> {
        self.known_sdk(environment).await
    }

    async fn make(&self, environment: &Path) -> Result<PathBuf, String> {
        self.make_sdk(environment).await.map_err(|error| error.message)
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

    /// The environment of the SDK alone, or why there is none for now.
    pub(super) async fn of(self: &Arc<Self>, environment: &Path) -> Result<PathBuf, String> {
        if let Some(sdk) = self.environments.known(environment).await {
            return Ok(sdk);
        }
        {
            let mut attempts = self.attempts.lock();
            match attempts.get(environment) {
                Some(Attempt::Running) => return Err(BEING_MADE.into()),
                Some(Attempt::Failed { reason, until }) if *until > Instant::now() => return Err(reason.clone()),
                _ => attempts.insert(environment.to_owned(), Attempt::Running),
            };
        }
        let (this, that) = (Arc::clone(self), Arc::clone(self));
        let (wanted, lost) = (environment.to_owned(), environment.to_owned());
        let make = async move {
            let made = this.environments.make(&wanted).await;
            this.made(&wanted, made.map(drop));
        };
        task::detach(Task::Sdk, environment.display().to_string(), make, move |_| {
            that.made(&lost, Err("an internal error".into()));
        });
        Err(BEING_MADE.into())
    }

    fn made(&self, environment: &Path, made: Result<(), String>) {
        let mut attempts = self.attempts.lock();
        match made {
            Ok(()) => drop(attempts.remove(environment)),
            Err(error) => {
                let reason = format!("the SDK alone, which it would be forked from, cannot be installed: {error}");
                tracing::info!(environment = %environment.display(), reason, "plugins are not forked for now");
                let until = Instant::now() + LONGEST_PAUSE;
                attempts.insert(environment.to_owned(), Attempt::Failed { reason, until });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    /// Each attempt takes one permit, and fails unless there is a place for the result.
    struct Fake {
        go: Semaphore,
        made: Mutex<Option<PathBuf>>,
        attempts: AtomicUsize,
        works: bool,
    }

    #[async_trait]
    impl SdkEnvironments for Fake {
        async fn known(&self, _: &Path) -> Option<PathBuf> {
            self.made.lock().clone()
        }

        async fn make(&self, _: &Path) -> Result<PathBuf, String> {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            self.go.acquire().await.map_err(|error| error.to_string())?.forget();
            if !self.works {
                return Err("no index".into());
            }
            *self.made.lock() = Some("/sdk".into());
            Ok("/sdk".into())
        }
    }

    fn fake(works: bool) -> Arc<Fake> {
        Arc::new(Fake { go: Semaphore::new(0), made: Mutex::default(), attempts: AtomicUsize::new(0), works })
    }

    async fn until(sdks: &Arc<Sdks>, expected: &Result<PathBuf, String>) {
        for _ in 0..1000 {
            if sdks.of(Path::new("/a")).await == *expected {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{:?}", sdks.of(Path::new("/a")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_made_once_and_not_waited_for() {
        let fake = fake(true);
        let sdks = Sdks::new(fake.clone());
        for _ in 0..3 {
            assert_eq!(sdks.of(Path::new("/a")).await, Err(BEING_MADE.into()));
            tokio::task::yield_now().await;
        }
        fake.go.add_permits(1);
        until(&sdks, &Ok("/sdk".into())).await;
        assert_eq!(fake.attempts.load(Ordering::SeqCst), 1);
        assert!(sdks.attempts.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_tried_again_after_a_while() {
        let fake = fake(false);
        let sdks = Sdks::new(fake.clone());
        fake.go.add_permits(2);
        let failure = Err("the SDK alone, which it would be forked from, cannot be installed: no index".to_owned());
        until(&sdks, &failure).await;
        assert_eq!(fake.attempts.load(Ordering::SeqCst), 1);
        tokio::time::advance(LONGEST_PAUSE).await;
        assert_eq!(sdks.of(Path::new("/a")).await, Err(BEING_MADE.into()));
        until(&sdks, &failure).await;
        assert_eq!(fake.attempts.load(Ordering::SeqCst), 2);
    }
}
