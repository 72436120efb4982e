//! What functions call back into Dify: not in the answer to their call, but by a request of their own, a *transaction*
//! (cluster-serverless-observability 4.5).
//!
//! The id of the session is the only secret that the SDK sends, so a session is known only while its call runs. Any node
//! serves the transaction: what it has to know of a session is in the shared state ([`stored`]); the node that has the
//! call ends its transactions with it.

mod answers;
mod bound;
mod live;
mod refusal;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_store::SharedState;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::callback::{Callbacks, Caller};
use plugin_registry::catalog::Catalog;

pub use answers::Answers;
pub use bound::Binding;
pub use live::Registered;
pub use refusal::Refusal;
pub use stored::NoSession;

use live::{Live, Ongoing};

/// Transactions of one session at a time; each has a request in memory and a connection to Dify.
const MAX_RUNNING: usize = 256;

/// How long a session may take to be stored by the node that has its call, and how often it is looked for meanwhile.
const STORED_WITHIN: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What transactions need.
#[derive(Debug)]
pub struct TransactionParts {
    pub callbacks: Arc<Callbacks>,
    pub catalog: Arc<Catalog>,
    pub shared: Arc<dyn SharedState>,
    pub binding: Binding,
    /// `MAX_SERVERLESS_TRANSACTION_TIMEOUT`.
    pub timeout: Duration,
}

/// Sessions of functions, and their transactions.
#[derive(Debug)]
pub struct Transactions {
    parts: TransactionParts,
    live: Arc<Live>,
}

/// A session from which a function may call.
#[derive(Debug)]
pub struct CallingSession {
    caller: Arc<Caller>,
    /// Where the session has its call on this node.
    ongoing: Option<Ongoing>,
}

impl Transactions {
    /// Without sessions.
    pub fn new(parts: TransactionParts) -> Self {
        let live = Arc::new(Live::new(Arc::clone(&parts.shared)));
        Self { parts, live }
    }

    /// Makes a session known, before its function is called, until the result is dropped.
    pub fn register(&self, caller: Arc<Caller>, plugin: &UniqueIdentifier) -> Registered {
        self.live.register(caller, plugin)
    }

    /// The session of an id, if its call runs, here or elsewhere. `token` is what the function's URL binds it by.
    pub async fn session(&self, id: &str, token: Option<&str>) -> Result<CallingSession, NoSession> {
        let (session, plugin) = if let Some((ongoing, plugin)) = self.live.get(id) {
            (CallingSession { caller: Arc::clone(ongoing.caller()), ongoing: Some(ongoing) }, plugin)
        } else {
            let (caller, plugin) = self.stored(id).await?;
            (CallingSession { caller: Arc::new(caller), ongoing: None }, plugin)
        };
        if self.parts.binding.allows(token, plugin.as_str()) { Ok(session) } else { Err(NoSession::OtherPlugin) }
    }

    /// The session that another node has stored. It may be storing it this moment: calls do not wait for that.
    async fn stored(&self, id: &str) -> Result<(Caller, UniqueIdentifier), NoSession> {
        let give_up = Instant::now() + STORED_WITHIN;
        loop {
            match stored::load(&*self.parts.shared, &self.parts.catalog, id).await {
                Err(NoSession::Unknown) if stored::is_id(id) && Instant::now() < give_up => sleep(LOOK_AGAIN).await,
                found => return found,
            }
        }
    }

    /// Begins a transaction whose form has been checked. It ends with its session, after its time, or with `cutoff`.
    pub fn begin(&self, session: CallingSession, invoke: Bytes, cutoff: CancellationToken) -> Answers {
        Answers::new(Arc::clone(&self.parts.callbacks), session, invoke, self.parts.timeout, cutoff)
    }

    /// How many sessions are known here.
    pub fn sessions(&self) -> usize {
        self.live.len()
    }
}
