//! How many calls may run: of one plugin, and of one workspace. What is above waits for its turn, and not for long.
//!
//! Who floods a plugin waits behind its own calls: at a plugin workspaces take turns, and at a workspace its plugins do.
//! A call that waits for its plugin has taken its place in its workspace already, so a workspace can fill no plugin's queue
//! beyond its own limit. Calls that a plugin makes by way of Dify are calls like any other.

mod semaphore;

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use plugin_manifest::identifier::UniqueIdentifier;
use plugin_runtime::CopyMap;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use self::semaphore::{Key, Semaphore, Taken};

/// Fewer semaphores than this are not worth a sweep.
const SWEEP_AT_LEAST: usize = 256;

/// Calls at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Calls that run.
    pub running: usize,
    /// Calls that wait for one of those to end.
    pub waiting: usize,
}

/// The limits of a node.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionLimits {
    /// Of a plugin (`PLUGIN_MAX_CALLS`, `PLUGIN_MAX_QUEUED_CALLS`), if it has none of its own.
    pub plugin: Limit,
    /// Of a workspace (`PLUGIN_TENANT_MAX_CALLS`, `PLUGIN_TENANT_MAX_QUEUED_CALLS`).
    pub tenant: Limit,
    /// Longest wait (`PLUGIN_CALL_QUEUE_SECONDS`).
    pub wait: Duration,
}

/// Whose limit has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the plugin.
    Plugin,
    /// That of the workspace.
    Tenant,
}

impl Whose {
    /// The value of a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Tenant => "tenant",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Tenant => "workspace",
        }
    }

    fn variables(self) -> (&'static str, &'static str) {
        match self {
            Self::Plugin => ("PLUGIN_MAX_CALLS", "PLUGIN_MAX_QUEUED_CALLS"),
            Self::Tenant => ("PLUGIN_TENANT_MAX_CALLS", "PLUGIN_TENANT_MAX_QUEUED_CALLS"),
        }
    }
}

/// Why a call may not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As many wait as may.
    #[error(
        "{} is busy: as many calls as may are running, {} ({}), and waiting, {} ({})",
        whose.subject(), limit.running, whose.variables().0, limit.waiting, whose.variables().1
    )]
    Full { whose: Whose, limit: Limit },
    /// Its turn has not come in time.
    #[error(
        "{} is busy: as many calls as may are running, {} ({}), and the turn of this one has not come within {} s \
         (PLUGIN_CALL_QUEUE_SECONDS)",
        whose.subject(), limit.running, whose.variables().0, waited.as_secs()
    )]
    Late { whose: Whose, limit: Limit, waited: Duration },
}

impl Refused {
    /// Whose limit has been reached.
    pub fn whose(&self) -> Whose {
        match self {
            Self::Full { whose, .. } | Self::Late { whose, .. } => *whose,
        }
    }
}

/// Lets calls in.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: AdmissionLimits,
    plugins: Semaphores<UniqueIdentifier, Uuid>,
    tenants: Semaphores<Uuid, UniqueIdentifier>,
}

/// A call that may run. Its end lets the next one in.
#[derive(Debug)]
pub(crate) struct Admitted {
    _plugin: semaphore::Permit<Uuid>,
    _tenant: semaphore::Permit<UniqueIdentifier>,
}

impl Admission {
    pub(crate) fn new(limits: AdmissionLimits) -> Self {
        Self { limits, plugins: Semaphores::default(), tenants: Semaphores::default() }
    }

    /// Waits until the call may run. Dropped, it gives up its place.
    pub(crate) async fn admit(
        &self,
        tenant: Uuid,
        plugin: &UniqueIdentifier,
        plugin_limit: Limit,
    ) -> Result<Admitted, Refused> {
        let until = Instant::now() + self.limits.wait;
        let of_tenant = self.tenants.take(&tenant, plugin, self.limits.tenant);
        let tenant_permit = self.turn(of_tenant, Whose::Tenant, self.limits.tenant, until).await?;
        let of_plugin = self.plugins.take(plugin, &tenant, plugin_limit);
        let plugin_permit = self.turn(of_plugin, Whose::Plugin, plugin_limit, until).await?;
        Ok(Admitted { _plugin: plugin_permit, _tenant: tenant_permit })
    }

    async fn turn<K: Key>(
        &self,
        taken: Taken<K>,
        whose: Whose,
        limit: Limit,
        until: Instant,
    ) -> Result<semaphore::Permit<K>, Refused> {
        match taken {
            Taken::Permit(permit) => Ok(permit),
            Taken::Full => Err(Refused::Full { whose, limit }),
            Taken::Waiter(waiter) => match timeout_at(until, waiter.turn()).await {
                Ok(Some(permit)) => Ok(permit),
                Ok(None) | Err(_) => Err(Refused::Late { whose, limit, waited: self.limits.wait }),
            },
        }
    }
}

/// A semaphore for each of `O`, whose waiters take turns by `K`.
#[derive(Debug)]
struct Semaphores<O, K: Key> {
    all: CopyMap<O, Arc<Semaphore<K>>>,
    /// Those that nobody uses are removed at this length: twice what the last sweep has left.
    sweep_at: AtomicUsize,
}

impl<O: Clone + Eq + Hash, K: Key> Semaphores<O, K> {
    fn take(&self, of: &O, turns_by: &K, limit: Limit) -> Taken<K> {
        loop {
            let semaphore = self.all.get(of).unwrap_or_else(|| self.add(of));
            // it has been removed in this moment otherwise
            if let Some(taken) = semaphore.take(turns_by, limit) {
                return taken;
            }
        }
    }

    fn add(&self, of: &O) -> Arc<Semaphore<K>> {
        self.all.change(|all| {
            if all.len() >= self.sweep_at.load(Ordering::Relaxed) {
                all.retain(|_, semaphore| !semaphore.close_if_unused());
                self.sweep_at.store(SWEEP_AT_LEAST.max(2 * all.len()), Ordering::Relaxed);
            }
            Arc::clone(all.entry(of.clone()).or_default())
        })
    }
}

impl<O: Clone + Eq + Hash, K: Key> Default for Semaphores<O, K> {
    fn default() -> Self {
        Self { all: CopyMap::default(), sweep_at: AtomicUsize::new(SWEEP_AT_LEAST) }
    }
}

#[cfg(test)]
mod tests;
