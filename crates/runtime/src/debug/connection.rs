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
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, MissedTickBehavior, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Shared;
use super::door::Pass;
use super::refusal::Refusal;
use super::registration::{Plugin, Registering, Step, handshake};
use super::slots::Slot;
use super::wire::{Reader, Wire, Writer};
use crate::channel::{BLOCK, Channel, Input, Router, Sessions, TURN, Vitals};
use crate::log::{Level, PluginLog};
use crate::session::Failure;

/// How often silence is looked at.
const CHECK: Duration = Duration::from_secs(5);
/// How long the last words to a plugin may take.
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
}

impl End {
    /// What open sessions are told.
    fn failure(&self) -> Failure {
        match self {
            Self::Stopped => Failure::Stopped("the daemon stops".to_owned()),
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
        }
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, pass: Pass) {
    let by = Instant::now() + shared.settings.handshake_timeout;
    let Some((wire, tenant_id, slot)) = welcome(&shared, stream, peer, pass, by).await else { return };
    let Some((wire, plugin)) = register(&shared, wire, tenant_id, peer).await else { return };
    live(&shared, wire, plugin, peer, slot).await;
}

/// The part before the plugin is known. Nothing comes out of it unless its key is good.
async fn welcome(
    shared: &Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    pass: Pass,
    by: Instant,
) -> Option<(Wire, Uuid, Slot)> {
    let greeted = async {
        let (reader, writer) = match shared.security.accept(stream).await {
            Ok(ends) => ends,
            Err(error) => {
                tracing::debug!(%peer, %error, "a debugging connection failed to secure itself");
                return None;
            }
        };
        let mut wire = Wire::new(reader, writer, shared.settings.max_line_bytes);
        match greet(shared, &mut wire).await {
            Ok(None) => None,
            Ok(Some((tenant_id, slot))) => Some(Ok((wire, tenant_id, slot))),
            Err(refusal) => Some(Err((wire, refusal))),
        }
    };
    let greeted = tokio::select! {
        greeted = timeout_at(by, greeted) => greeted.ok().flatten(),
        () = pass.shown_out.cancelled() => None,
        () = shared.soft.cancelled() => None,
    };
    match greeted? {
        Ok(welcome) => Some(welcome),
        Err((wire, refusal)) => {
            tell(wire, &refusal, peer).await;
            None
        }
    }
}

async fn greet(shared: &Shared, wire: &mut Wire) -> Result<Option<(Uuid, Slot)>, Refusal> {
    let Some(line) = wire.first_line().await? else { return Ok(None) };
    let key = handshake(&line)?;
    let tenant = shared.host.tenant(&key).await.map_err(|error| Refusal::Lookup(error.to_string()))?;
    let tenant_id = tenant.ok_or(Refusal::Key)?;
    Ok(Some((tenant_id, shared.slots.take(tenant_id)?)))
}

/// From the handshake to the end of the registration; `None` when it came to no good one.
async fn register(shared: &Shared, mut wire: Wire, tenant_id: Uuid, peer: SocketAddr) -> Option<(Wire, Plugin)> {
    let timeout = shared.settings.registration_timeout;
    let registered = async {
        match timeout_at(Instant::now() + timeout, registration(shared, &mut wire)).await {
            Ok(Ok(Some(registering))) => finish(registering, tenant_id).await.map(Some),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::TooSlow(timeout)),
        }
    };
    let registered = tokio::select! {
        registered = registered => registered,
        () = shared.soft.cancelled() => Ok(None),
    };
    match registered {
        Ok(plugin) => plugin.map(|plugin| (wire, plugin)),
        Err(refusal) => {
            tell(wire, &refusal, peer).await;
            None
        }
    }
}

/// Takes messages until the last one; `None` when the peer leaves before it.
async fn registration(shared: &Shared, wire: &mut Wire) -> Result<Option<Registering>, Refusal> {
    let mut registering = Registering::default();
    let mut held = shared.memory.hold();
    while let Some(line) = wire.line().await? {
        let step = registering.line(&line)?;
        held.grow(registering.bytes())?;
        if step == Step::Last {
            return Ok(Some(registering));
        }
    }
    Ok(None)
}

async fn finish(registering: Registering, tenant_id: Uuid) -> Result<Plugin, Refusal> {
    let finished = tokio::task::spawn_blocking(move || registering.finish(tenant_id)).await;
    finished.unwrap_or_else(|error| Err(Refusal::Install(error.to_string())))
}

async fn tell(wire: Wire, refusal: &Refusal, peer: SocketAddr) {
    tracing::info!(%peer, reason = %refusal, "debugging connection refused");
    wire.refuse(refusal).await;
}

/// The part after the registration: sessions come and go until the connection ends.
async fn live(shared: &Arc<Shared>, wire: Wire, plugin: Plugin, peer: SocketAddr, slot: Slot) {
    let Wire { reader, writer, splitter, .. } = wire;
    let plugin = Arc::new(plugin);
    let (connection, mut writing) = Connection::new(shared, &plugin, peer, writer);
    let number = connection.number;
    shared.routes.add(Arc::clone(&connection));
    let end = match shared.host.connected(number, Arc::clone(&plugin)).await {
        Ok(()) => {
            connection.channel.note(Level::Info, "debugging runtime connected");
            connection.channel.vitals.sign();
            connection.run(shared, reader, splitter, &mut writing).await
        }
        Err(error) => End::NotInstalled(error.to_string()),
    };
    shared.routes.remove(&connection);
    connection.channel.fail(&end.failure());
    connection.channel.note(Level::Info, &format!("debugging runtime disconnected: {end}"));
    drop(slot);
    if let End::NotInstalled(why) = end {
        let line = Refusal::Install(why).to_string();
        // its queue has room, unless the plugin was called already: then it is told by the end of the connection alone
        let told = connection.channel.input.try_send(line.into()).is_ok();
        drop(connection);
        if told && timeout(FAREWELL, &mut writing.0).await.is_err() {
            tracing::debug!(%peer, "a plugin was not told why it is disconnected");
        }
    }
    drop(writing);
    shared.host.disconnected(number, &plugin).await;
}

impl Connection {
    fn new(shared: &Shared, plugin: &Plugin, peer: SocketAddr, writer: Writer) -> (Arc<Self>, Writing) {
        let limits = shared.settings.channel();
        let (input, writing) = Input::new(writer, &limits);
        let channel = Channel {
            pid: None,
            sessions: Sessions::new(shared.budget.clone()),
            input,
            vitals: Arc::new(Vitals::new()),
            log: Arc::new(PluginLog::new(plugin.identifier.clone(), shared.settings.log_bytes)),
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
        (Arc::new(connection), Writing(tokio::spawn(writing)))
    }

    async fn run(&self, shared: &Shared, reader: Reader, splitter: LineSplitter, writing: &mut Writing) -> End {
        let closed = CancellationToken::new();
        let _closed = closed.clone().drop_guard();
        tokio::select! {
            why = read(&self.channel, reader, splitter, &closed) => End::Lost(why),
            _ = &mut writing.0 => End::Lost("the plugin does not take messages any more".to_owned()),
            limit = self.silence(shared.settings.silence_limit) => End::Silent(limit),
            () = self.stop(shared) => End::Stopped,
        }
    }

    /// Resolves when nothing was heard of the peer for so long.
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

/// The task that writes; it ends with this.
struct Writing(JoinHandle<()>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.abort();
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
