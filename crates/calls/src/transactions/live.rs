//! Sessions whose calls run on this node.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::SessionId;
use plugin_store::SharedState;
use tokio_util::sync::CancellationToken;

use super::stored::{TTL, key, value};
use crate::callback::Caller;

/// All of them.
#[derive(Debug)]
pub(super) struct Live {
    shared: Arc<dyn SharedState>,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
}

#[derive(Debug)]
struct Session {
    caller: Arc<Caller>,
    plugin: UniqueIdentifier,
    running: AtomicUsize,
    ended: CancellationToken,
}

impl Live {
    pub(super) fn new(shared: Arc<dyn SharedState>) -> Self {
        Self { shared, sessions: Mutex::default() }
    }

    pub(super) fn register(self: &Arc<Self>, caller: Arc<Caller>, plugin: &UniqueIdentifier) -> Registered {
        let session = Arc::new(Session {
            caller,
            plugin: plugin.clone(),
            running: AtomicUsize::new(0),
            ended: CancellationToken::new(),
        });
        self.lock().insert(session.caller.session_id.clone(), Arc::clone(&session));
        let registered = Registered { live: Arc::clone(self), session: Arc::clone(&session) };
        tokio::spawn(keep_stored(Arc::clone(&self.shared), session));
        registered
    }

    pub(super) fn get(&self, id: &str) -> Option<(Ongoing, UniqueIdentifier)> {
        let session = Arc::clone(self.lock().get(id)?);
        let plugin = session.plugin.clone();
        Some((Ongoing::new(session), plugin))
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.sessions.lock()
    }
}

/// Keeps a session in the shared state until it has ended. The call does not wait for it: a node that is asked for the
/// session meanwhile looks again.
async fn keep_stored(shared: Arc<dyn SharedState>, session: Arc<Session>) {
    let id = session.caller.session_id.as_str();
    let key = key(id);
    let value = value(&session.caller, &session.plugin);
    loop {
        if let Err(error) = shared.set(&key, value.clone(), TTL).await {
            tracing::warn!(session = id, %error, "failed to store a session: only this node takes its calls back");
        }
        if session.ended.run_until_cancelled(tokio::time::sleep(TTL / 3)).await.is_none() {
            break;
        }
    }
    if let Err(error) = shared.delete(&key).await {
        tracing::warn!(session = id, %error, "failed to delete a session that is over");
    }
}

/// A session that is known as long as this lives.
#[derive(Debug)]
pub struct Registered {
    live: Arc<Live>,
    session: Arc<Session>,
}

impl Registered {
    /// Whether the function waits for Dify, as far as this node knows.
    pub fn is_calling(&self) -> bool {
        self.session.running.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.live.lock().remove(&self.session.caller.session_id);
        self.session.ended.cancel();
    }
}

/// One transaction of a session whose call runs here.
#[derive(Debug)]
pub(super) struct Ongoing {
    session: Arc<Session>,
    /// How many there are with this one.
    pub(super) number: usize,
}

impl Ongoing {
    fn new(session: Arc<Session>) -> Self {
        let number = session.running.fetch_add(1, Ordering::Relaxed) + 1;
        Self { session, number }
    }

    pub(super) fn caller(&self) -> &Arc<Caller> {
        &self.session.caller
    }

    /// Cancelled when the call is over.
    pub(super) fn ended(&self) -> CancellationToken {
        self.session.ended.clone()
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.session.running.fetch_sub(1, Ordering::Relaxed);
    }
}
