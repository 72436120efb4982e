use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{Result, SharedState};

const POLL: Duration = Duration::from_millis(50);

/// An exclusive right that is held across nodes, renewed while the value lives and given up when it is dropped.
///
/// If the backend cannot be reached for the length of the lease, or somebody else holds it, the lease is lost.
#[derive(Debug)]
pub struct Lease {
    state: Arc<dyn SharedState>,
    name: Arc<str>,
    owner: Arc<str>,
    lost: watch::Receiver<bool>,
    renewal: AbortHandle,
}

impl Lease {
    /// Waits up to `wait` for the lease; `None` if somebody else holds it all that time.
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

    /// True while nothing says that the lease is lost.
    pub fn is_held(&self) -> bool {
        !*self.lost.borrow()
    }

    /// Names this holder among all others.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Returns when the lease is lost.
    pub async fn lost(&self) {
        // An error means that the renewal ended, which it does by losing the lease.
        let _ = self.lost.clone().wait_for(|lost| *lost).await;
    }

    /// Gives the lease up and waits for it to be free.
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
                tracing::warn!(%name, %error, "a lease could not be given up and will run out");
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
            Ok(Err(error)) if asked < held_until => tracing::warn!(%name, %error, "a lease could not be renewed"),
            Ok(Ok(false) | Err(_)) | Err(_) => break,
        }
    }
    tracing::warn!(%name, "a lease was lost");
    loss.send_replace(true);
}
