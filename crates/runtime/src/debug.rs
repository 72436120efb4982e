//! The debug runtime: plugins on developers' machines, which connect over TCP (plugin-protocol 2.2,
//! cluster-serverless-observability 3).
//!
//! A connection has four stages: it is [`half_open`] until it has sent its key, takes one of the [`slots`], registers what
//! it is ([`registration`]), and serves calls as a [`connection`] on a [`crate::channel`] like any worker does.
//!
//! Invariants: a peer without a key costs little memory and time, and does not keep others from connecting; the newest
//! connection of a plugin gets the calls; the end of a connection ends its own sessions at once, and no other's.

mod assets;
mod connection;
mod half_open;
mod host;
mod listener;
mod memory;
mod refusal;
mod refusal_log;
pub mod registration;
mod routes;
mod security;
mod settings;
mod slots;
mod status;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use plugin_manifest::identifier::UniqueIdentifier;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::host::{Host, HostError};
pub use self::listener::{BindError, bind};
pub use self::refusal::Refusal;
pub use self::registration::{Identity, Plugin};
pub use self::security::{Security, SecurityError};
pub use self::settings::DebugSettings;
pub use self::status::ConnectionStatus;

use self::half_open::HalfOpen;
use self::memory::Memory;
use self::refusal_log::RefusalLog;
use self::routes::Routes;
use self::slots::Slots;
use crate::channel::{NodeBudget, Refused};
use crate::log::PluginLog;
use crate::session::Session;
use crate::{Call, OpenError, Runtime};

/// Plugins that connect from elsewhere.
#[derive(Debug)]
pub struct DebugRuntime(Arc<Shared>);

/// What all connections share.
#[derive(Debug)]
struct Shared {
    settings: DebugSettings,
    security: Security,
    host: Arc<dyn Host>,
    budget: NodeBudget,
    half_open: Arc<HalfOpen>,
    slots: Arc<Slots>,
    memory: Arc<Memory>,
    routes: Routes,
    refusals: RefusalLog,
    numbers: AtomicU64,
    tasks: TaskTracker,
    /// Nothing new is taken.
    soft: CancellationToken,
    /// What still runs is cut.
    hard: CancellationToken,
}

impl DebugRuntime {
    /// A runtime without connections, until [`DebugRuntime::serve`] runs. The output that waits for slow callers counts in
    /// `budget`. With `soft`, nothing new is taken and connections end with their last call; with `hard` all end at once.
    pub fn new(
        settings: DebugSettings,
        security: Security,
        host: Arc<dyn Host>,
        budget: NodeBudget,
        soft: CancellationToken,
        hard: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            half_open: HalfOpen::new(settings.max_half_open),
            slots: Slots::new(settings.max_connections, settings.max_tenant_connections),
            memory: Memory::new(settings.registration_bytes),
            routes: Routes::default(),
            refusals: RefusalLog::default(),
            numbers: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            settings,
            security,
            host,
            budget,
            soft,
            hard,
        }))
    }

    /// Takes connections until the soft stop; returns when all have ended and the host was notified.
    pub async fn serve(&self, listener: TcpListener) {
        listener::accept(&self.0, listener).await;
        self.ended().await;
    }

    /// Resolves after a stop, when all connections have ended and the host was notified.
    pub async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// The connections whose plugins are registered, in no order.
    pub fn status(&self) -> Vec<ConnectionStatus> {
        self.0.routes.all().iter().map(|connection| ConnectionStatus::of(connection)).collect()
    }

    /// What the newest connection of a plugin has said beside its answers.
    pub fn log(&self, plugin: &UniqueIdentifier) -> Option<Arc<PluginLog>> {
        self.0.routes.of(plugin).first().map(|connection| Arc::clone(&connection.channel.log))
    }
}

#[async_trait]
impl Runtime for DebugRuntime {
    async fn open(&self, call: Call) -> Result<Session, OpenError> {
        let connections = self.0.routes.of(&call.plugin);
        for connection in &connections {
            match connection.channel.open(&call).await {
                Ok(session) => return Ok(session),
                Err(Refused::Stalled(cause)) => return Err(OpenError::NotReady { cause, next_try: None }),
                // it has just ended: an older one may still be there
                Err(Refused::Gone) => {}
            }
        }
        Err(if self.0.soft.is_cancelled() { OpenError::Stopping } else { OpenError::NotFound })
    }
}
