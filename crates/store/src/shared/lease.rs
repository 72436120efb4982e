//! Locks that are renewed while they are held.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{Result, SharedState};

const POLL: Duration = Duration::from_millis(50);

/// A lock across nodes, renewed until the value is dropped, which releases it.
///
/// The lease is lost if the backend cannot be reached for the length of the lease, or if another owner holds the lock.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use std::{sync::Arc, time::Duration};
/// use plugin_store::SharedState;
/// use plugin_store::shared::{Lease, MemoryState};
///
/// let state: Arc<dyn SharedState> = Arc::new(MemoryState::new());
/// let minute = Duration::from_mins(1);
/// let lease = Lease::acquire(&state, "a job", minute, Duration::ZERO).await.unwrap().unwrap();
/// assert!(lease.is_held());
/// assert!(Lease::acquire(&state, "a job", minute, Duration::ZERO).await.unwrap().is_none());
/// lease.release().await.unwrap();
/// assert!(Lease::acquire(&state, "a job", minute, Duration::ZERO).await.unwrap().is_some());
/// # });
/// ```
#[derive(Debug)]
pub struct Lease {
    state: Arc<dyn SharedState>,
    name: Arc<str>,
    owner: Arc<str>,
    lost: watch::Receiver<bool>,
    renewal: AbortHandle,
}

impl Lease {
    /// Waits up to `wait` for the lease; `None` if another owner holds it all that time.
    pub async fn acquire(
        state: &Arc<dyn SharedState>,
        name: &str,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Option<Self>> {
        let owner: Arc<str> = Uuid::new_v4().to_string().into();
        let deadline = Instant::now() + wait;
        while !state.lock(name, &owner, ttl).await? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            sleep(POLL.min(left)).await;
        }
        let name: Arc<str> = name.into();
        let (loss, lost) = watch::channel(false);
        let renewal =
            tokio::spawn(keep(Arc::clone(state), Arc::clone(&name), Arc::clone(&owner), ttl, loss)).abort_handle();
        Ok(Some(Self { state: Arc::clone(state), name, owner, lost, renewal }))
    }

    /// False once the lease is known to be lost.
    pub fn is_held(&self) -> bool {
        !*self.lost.borrow()
    }

    /// The owner's name at the lock.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns when the lease is lost.
    pub async fn lost(&self) {
        // An error means that the renewal ended, which it does by losing the lease.
        let _ = self.lost.clone().wait_for(|lost| *lost).await;
    }

    /// Releases the lock and waits until it is free.
    pub async fn release(self) -> Result<()> {
        self.renewal.abort();
        self.state.unlock(&self.name, &self.owner).await.map(|_| ())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.renewal.is_finished() {
            return;
        }
        self.renewal.abort();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (state, name, owner) = (Arc::clone(&self.state), Arc::clone(&self.name), Arc::clone(&self.owner));
        runtime.spawn(async move {
            if let Err(error) = state.unlock(&name, &owner).await {
                tracing::warn!(%name, %error, "failed to release a lease; it will expire");
            }
        });
    }
}

async fn keep(state: Arc<dyn SharedState>, name: Arc<str>, owner: Arc<str>, ttl: Duration, loss: watch::Sender<bool>) {
    let mut held_until = Instant::now() + ttl;
    loop {
        sleep(ttl / 3).await;
        let asked = Instant::now();
        match tokio::time::timeout_at(held_until, state.renew(&name, &owner, ttl)).await {
            Ok(Ok(true)) => held_until = asked + ttl,
            Ok(Err(error)) if asked < held_until => tracing::warn!(%name, %error, "failed to renew a lease"),
            Ok(Ok(false) | Err(_)) | Err(_) => break,
        }
    }
    tracing::warn!(%name, "lost a lease");
    loss.send_replace(true);
}
