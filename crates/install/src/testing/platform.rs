//! A platform on which plugins come up as the test says.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::RuntimeType;
use tokio::sync::Notify;

use super::Crash;
use crate::{Attempt, EnsureError, Platform};

/// What an attempt comes to.
#[derive(Debug, Clone, Default)]
pub enum Behaviour {
    /// It is ready at once.
    #[default]
    Ready,
    Fails(&'static str),
    /// It panics.
    Panics,
    /// So often something is out of reach.
    Retries(usize),
    /// It comes up when the test says so, or is cancelled.
    Waits(Arc<Notify>),
}

/// See the module. Every version is ready at once unless a test says otherwise.
#[derive(Debug, Default, Clone)]
pub struct FakePlatform {
    state: Arc<State>,
    crash: Option<Arc<Crash>>,
}

#[derive(Debug, Default)]
struct State {
    behaviours: Mutex<HashMap<UniqueIdentifier, Behaviour>>,
    present: Mutex<BTreeSet<UniqueIdentifier>>,
    attempts: AtomicUsize,
    cancelled: AtomicUsize,
}

impl FakePlatform {
    pub(super) fn that_crashes(&self, crash: &Arc<Crash>) -> Self {
        Self { state: Arc::clone(&self.state), crash: Some(Arc::clone(crash)) }
    }

    pub fn set(&self, identifier: &UniqueIdentifier, behaviour: Behaviour) {
        self.state.behaviours.lock().unwrap().insert(identifier.clone(), behaviour);
    }

    /// Attempts so far.
    pub fn attempts(&self) -> usize {
        self.state.attempts.load(Ordering::Relaxed)
    }

    /// Attempts that ended because they were cancelled.
    pub fn cancelled(&self) -> usize {
        self.state.cancelled.load(Ordering::Relaxed)
    }

    pub fn is_present(&self, identifier: &UniqueIdentifier) -> bool {
        self.state.present.lock().unwrap().contains(identifier)
    }

    /// Forgets what runs, as the end of the process does.
    pub fn die(&self) {
        self.state.present.lock().unwrap().clear();
    }

    async fn step(&self) {
        if let Some(crash) = &self.crash {
            crash.step().await;
        }
    }
}

#[async_trait]
impl Platform for FakePlatform {
    fn runtime_type(&self) -> RuntimeType {
        RuntimeType::Local
    }

    async fn ensure(&self, attempt: Attempt<'_>) -> Result<(), EnsureError> {
        self.step().await;
        self.state.attempts.fetch_add(1, Ordering::Relaxed);
        (attempt.progress)("installing dependencies");
        self.state.present.lock().unwrap().insert(attempt.identifier.clone());
        let behaviour = self.state.behaviours.lock().unwrap().get(attempt.identifier).cloned().unwrap_or_default();
        match behaviour {
            Behaviour::Ready | Behaviour::Retries(0) => Ok(()),
            Behaviour::Fails(why) => Err(EnsureError::Failed(why.to_owned())),
            Behaviour::Panics => panic!("injected"),
            Behaviour::Retries(times) => {
                self.set(attempt.identifier, Behaviour::Retries(times - 1));
                Err(EnsureError::Retry("the index is out of reach".to_owned()))
            }
            Behaviour::Waits(ready) => tokio::select! {
                () = ready.notified() => Ok(()),
                () = attempt.cancel.cancelled() => {
                    self.state.cancelled.fetch_add(1, Ordering::Relaxed);
                    Err(EnsureError::Cancelled)
                }
            },
        }
    }

    async fn remove(&self, identifier: &UniqueIdentifier) {
        self.step().await;
        self.state.present.lock().unwrap().remove(identifier);
    }

    async fn present(&self) -> Vec<UniqueIdentifier> {
        self.state.present.lock().unwrap().iter().cloned().collect()
    }

    async fn installed(&self, _: &[UniqueIdentifier]) {}
}
