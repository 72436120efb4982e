//! One connection from its accept to its end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::LineSplitter;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, MissedTickBehavior, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Shared;
use super::half_open::Entry;
use super::memory::Held;
use super::refusal::Refusal;
use super::registration::{Identity, Plugin, Registering, Step, handshake};
use super::slots::Slot;
use super::wire::{Reader, Wire, Writer};
use crate::channel::{BLOCK, Channel, Input, LARGE, Router, Sessions, TURN, Vitals, apart};
use crate::log::{Level, PluginLog};
use crate::session::Failure;
use crate::task::{self, Panicked, Running, Task};

/// How often silence is looked at.
const CHECK: Duration = Duration::from_secs(5);
/// How long it may take to record a plugin.
const INSTALL: Duration = Duration::from_secs(30);
/// How long sending the reason of a disconnection may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection whose plugin is registered.
#[derive(Debug)]
pub(super) struct Connection {
    /// Counts up with each registration.
    pub(super) number: u64,
    pub(super) plugin: UniqueIdentifier,
    pub(super) tenant_id: Uuid,
    pub(super) peer: SocketAddr,
    pub(super) since: Timestamp,
    pub(super) channel: Channel,
}

/// Why a connection that was alive has ended.
enum End {
    /// The peer has closed it, or the network has.
    Lost(String),
    /// The peer was silent for too long.
    Silent(Duration),
    /// The daemon stops.
    Stopped,
    /// It could not be recorded.
    NotInstalled(String),
    /// A task of the daemon that served it panicked.
    Panicked(Panicked),
}

impl End {
    /// The failure of its open sessions.
    fn failure(&self) -> Failure {
        match self {
            Self::Stopped => Failure::Stopped("the daemon stops".to_owned()),
            Self::Panicked(panicked) => Failure::from(panicked),
            Self::Lost(_) | Self::Silent(_) | Self::NotInstalled(_) => Failure::ConnectionClosed,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(why) => f.write_str(why),
            Self::Silent(limit) => write!(f, "nothing was heard of it for {} s", limit.as_secs()),
            Self::Stopped => f.write_str("the daemon stops"),
            Self::NotInstalled(why) => write!(f, "it could not be installed: {why}"),
            Self::Panicked(panicked) => panicked.fmt(f),
        }
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, half_open: Entry) {
    let by = Instant::now() + shared.settings.handshake_timeout;
    let Some((wire, tenant_id, slot)) = welcome(&shared, stream, peer, half_open, by).await else { return };
    let Some((wire, registered)) = register(&shared, wire, tenant_id, peer).await else { return };
    live(&shared, wire, registered, peer, slot).await;
}

/// The part before the tenant is known.
async fn welcome(
    shared: &Shared,
    stream: TcpStream,
    peer: SocketAddr,
    half_open: Entry,
    by: Instant,
) -> Option<(Wire, Uuid, Slot)> {
    let greeted = async {
        let (reader, writer) = match shared.security.accept(stream).await {
            Ok(ends) => ends,
            Err(error) => {
                shared.refusals.add(peer, &format!("TLS handshake failed: {error}"));
                return None;
            }
        };
        let mut wire = Wire::new(reader, writer, shared.settings.max_line_bytes);
        match greet(shared, &mut wire).await {
            Ok(known) => known.map(|(tenant_id, slot)| (wire, tenant_id, slot)),
            Err(refusal) => {
                let got = if let Refusal::Message { got } = refusal { format!(": {got}") } else { String::new() };
                shared.refusals.add(peer, &format!("{refusal}{got}"));
                wire.refuse(&refusal).await;
                None
            }
        }
    };
    tokio::select! {
        greeted = timeout_at(by, greeted) => greeted.unwrap_or_else(|_| {
            shared.refusals.add(peer, &format!("no handshake within {} s", shared.settings.handshake_timeout.as_secs()));
            None
        }),
        () = half_open.evicted.cancelled() => None,
        () = shared.soft.cancelled() => None,
    }
}

async fn greet(shared: &Shared, wire: &mut Wire) -> Result<Option<(Uuid, Slot)>, Refusal> {
    let Some(line) = wire.first_line().await? else { return Ok(None) };
    let key = handshake(&line)?;
    let tenant = shared.host.tenant(&key).await.map_err(|error| Refusal::Lookup(error.to_string()))?;
    let tenant_id = tenant.ok_or(Refusal::Key)?;
    Ok(Some((tenant_id, shared.slots.take(tenant_id)?)))
}

/// A declaration that was read and one that was written down again, in terms of its text.
const DECLARATION_WEIGHT: usize = 4;

/// A plugin that has registered, and the memory that it is counted with.
struct Registered {
    plugin: Plugin,
    held: Held,
    /// What is left of it when its media are stored.
    lasting_bytes: usize,
}

/// From the handshake to the end of the registration; `None` when it came to no good one.
async fn register(shared: &Shared, mut wire: Wire, tenant_id: Uuid, peer: SocketAddr) -> Option<(Wire, Registered)> {
    let limit = shared.settings.registration_timeout;
    let registered = async {
        let registered = timeout(limit, registration(shared, &mut wire, tenant_id)).await;
        registered.unwrap_or(Err(Refusal::TooSlow(limit)))
    };
    let registered = tokio::select! {
        registered = registered => registered,
        () = shared.soft.cancelled() => Ok(None),
    };
    match registered {
        Ok(registered) => registered.map(|registered| (wire, registered)),
        Err(refusal) => {
            tracing::info!(%peer, tenant = %tenant_id, reason = %refusal, "debugging connection refused");
            wire.refuse(&refusal).await;
            None
        }
    }
}

/// Takes messages until the last one; `None` when the peer leaves before it.
async fn registration(shared: &Shared, wire: &mut Wire, tenant_id: Uuid) -> Result<Option<Registered>, Refusal> {
    let mut registering = Registering::default();
    let mut held = shared.memory.hold();
    while let Some(line) = wire.line().await? {
        let step = if line.len() < LARGE { registering.line(&line) } else { apart(|| registering.line(&line)) }?;
        held.grow(registering.bytes())?;
        if step == Step::Last {
            let lasting_bytes = registering.declared_bytes() * DECLARATION_WEIGHT;
            held.grow(registering.bytes().max(lasting_bytes))?;
            let finished = tokio::task::spawn_blocking(move || registering.finish(tenant_id)).await;
            let plugin = finished.unwrap_or_else(|error| Err(Refusal::Install(error.to_string())))?;
            return Ok(Some(Registered { plugin, held, lasting_bytes }));
        }
    }
    Ok(None)
}

/// The part after the registration: sessions come and go until the connection ends.
async fn live(shared: &Shared, wire: Wire, registered: Registered, peer: SocketAddr, slot: Slot) {
    let Wire { reader, writer, splitter, .. } = wire;
    let Registered { plugin, mut held, lasting_bytes } = registered;
    let identity = plugin.identity.clone();
    let (connection, mut writing) = Connection::new(shared, &identity, peer, writer);
    let number = connection.number;
    shared.routes.add(Arc::clone(&connection));
    let life = async {
        match timeout(INSTALL, shared.host.connected(number, plugin)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::NotInstalled(error.to_string()),
            Err(_) => return End::NotInstalled(format!("it took more than {} s", INSTALL.as_secs())),
        }
        held.shrink(lasting_bytes);
        let from = format!("debugging runtime connected from {peer} for tenant {}", identity.tenant_id);
        connection.channel.note(Level::Info, &from);
        connection.channel.vitals.sign();
        connection.run(shared, reader, splitter, &mut writing).await
    };
    let end = task::guard(Task::Registered, &identity.identifier, life).await.unwrap_or_else(End::Panicked);
    shared.routes.remove(&connection);
    connection.channel.fail(&end.failure());
    connection.channel.note(Level::Info, &format!("debugging runtime disconnected: {end}"));
    drop(slot);
    if let End::NotInstalled(why) = end {
        let line = Refusal::Install(why).to_string();
        // its queue has room, unless the plugin was called already: then only the end of the connection remains
        let queued = connection.channel.input.try_send(line.into()).is_ok();
        drop(connection);
        if queued && timeout(FAREWELL, &mut writing).await.is_err() {
            tracing::debug!(%peer, "the reason of a disconnection could not be sent");
        }
    }
    drop(writing);
    shared.host.disconnected(number, &identity).await;
    drop(held);
}

impl Connection {
    fn new(shared: &Shared, plugin: &Identity, peer: SocketAddr, writer: Writer) -> (Arc<Self>, Running<()>) {
        let limits = shared.settings.channel();
        let (input, writing) = Input::new(writer, &limits);
        let channel = Channel {
            pid: None,
            sessions: Sessions::new(shared.budget.clone()),
            input,
            vitals: Arc::new(Vitals::new()),
            log: Arc::new(PluginLog::with_rate(
                plugin.identifier.clone(),
                shared.settings.log_bytes,
                shared.settings.log_lines_per_second,
            )),
            // its developer sees what ends it
            poison: Arc::default(),
            limits,
        };
        let connection = Self {
            number: shared.numbers.fetch_add(1, Ordering::Relaxed),
            plugin: plugin.identifier.clone(),
            tenant_id: plugin.tenant_id,
            peer,
            since: Timestamp::now(),
            channel,
        };
        (Arc::new(connection), task::spawn(Task::Input, plugin.identifier.clone(), writing))
    }

    async fn run(&self, shared: &Shared, reader: Reader, splitter: LineSplitter, writing: &mut Running<()>) -> End {
        let closed = CancellationToken::new();
        let _closed = closed.clone().drop_guard();
        tokio::select! {
            why = read(&self.channel, reader, splitter, &closed) => End::Lost(why),
            end = &mut *writing => match end {
                Ok(()) => End::Lost("the plugin does not take messages any more".to_owned()),
                Err(panicked) => End::Panicked(panicked),
            },
            limit = self.silence(shared.settings.silence_limit) => End::Silent(limit),
            () = self.stop(shared) => End::Stopped,
        }
    }

    /// Resolves when the peer has been silent for this long.
    async fn silence(&self, limit: Duration) -> Duration {
        let every = CHECK.min(limit);
        let mut tick = tokio::time::interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.channel.vitals.silent_for() <= limit {
            tick.tick().await;
        }
        limit
    }

    /// Resolves when the daemon stops and the calls that were running have ended, or must.
    async fn stop(&self, shared: &Shared) {
        shared.soft.cancelled().await;
        self.channel.sessions.refuse();
        tokio::select! {
            () = self.channel.sessions.drained() => {}
            () = shared.hard.cancelled() => {}
        }
    }
}

/// Reads until the peer closes its end; returns why.
async fn read(channel: &Channel, mut reader: Reader, mut splitter: LineSplitter, closed: &CancellationToken) -> String {
    let mut router = Router::new(channel.clone());
    let mut in_a_row = 0;
    // what came together with the end of the registration
    router.block(&mut splitter);
    loop {
        splitter.buffer().reserve(BLOCK);
        match reader.read_buf(splitter.buffer()).await {
            Ok(0) => {
                router.rest(&mut splitter);
                return "the plugin has closed it".to_owned();
            }
            Ok(read) => in_a_row += read,
            Err(error) => return error.to_string(),
        }
        router.block(&mut splitter);
        router.relieve(closed).await;
        if in_a_row >= TURN {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
}
