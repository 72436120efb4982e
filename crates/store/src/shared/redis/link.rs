//! Connections to Redis, replaced when they break.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, RedisResult, ServerErrorKind, cmd};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use super::clients::{Mode, certificates, mode, server, servers};
use super::diagnosis::{Role, Server, first_usable};
use crate::shared::RedisConfig;
use crate::{Error, ErrorKind, Result};

/// The connection to Redis. Commands share it, and it interleaves them.
pub(super) struct Link {
    mode: Mode,
    /// The configured addresses: the server, the sentinels, or nodes of the cluster.
    servers: Vec<Server>,
    current: Mutex<Current>,
    /// For a connection, and for an answer.
    timeout: Duration,
}

/// The connection in use and how many there were before it.
#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    number: u64,
}

#[derive(Clone)]
enum Connection {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn open(config: &RedisConfig) -> Result<Self> {
        let opened = async {
            let certificates = certificates(config).await?;
            if config.tls.is_some() {
                // An error means that a provider is installed already, which does as well.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            }
            let servers = servers(config, &certificates).map_err(failed)?;
            Ok((mode(config, certificates).map_err(failed)?, servers))
        };
        let (mode, servers) = opened.await.map_err(|error: Error| {
            Error::new(error.kind(), format!("the settings of Redis {config:?} are not usable")).with_source(error)
        })?;
        Ok(Self { mode, servers, current: Mutex::default(), timeout: config.timeout })
    }

    /// Sends a command and waits for its answer. A connection that turns out to be broken, or to lead to a server that
    /// is no longer the master, is replaced, and the command sent once more. No caller waits longer than three times the
    /// time limit, however many of them wait for a connection.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let asked = timeout(self.timeout * 3, self.try_ask(command)).instrument(span(command)).await;
        asked.unwrap_or_else(|_| Err(failed(timed_out())))
    }

    /// Sends the first command; its error names the server that refuses, and the variables to look at.
    pub(super) async fn check(&self, command: &Cmd) -> Result<()> {
        let Err(error) = self.try_check(command).await else { return Ok(()) };
        Err(self.diagnose(error).await)
    }

    async fn try_check(&self, command: &Cmd) -> RedisResult<()> {
        let (connection, _) = self.connection().await?;
        self.send::<redis::Value>(connection, command).await.map(drop)
    }

    async fn diagnose(&self, error: RedisError) -> Error {
        let refused = match &self.mode {
            Mode::Single(_) => match self.servers.first() {
                Some(server) => return server.refused(&error).await,
                None => return failed(error),
            },
            Mode::Sentinel { service, config, certificates, .. } => match first_usable(&self.servers).await {
                Err(error) => return error,
                Ok(mut sentinel) => {
                    let mut query = cmd("SENTINEL");
                    query.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
                    match self.within(query.query_async::<Option<(String, u16)>>(&mut sentinel)).await {
                        Ok(Some((host, port))) => match server(config, certificates, Role::Master, &host, port) {
                            Ok(master) => match master.ping().await {
                                Err(error) => Some(master.refused(&error).await),
                                Ok(_) => None,
                            },
                            Err(error) => Some(failed(error)),
                        },
                        Ok(None) => {
                            let text = format!("Redis Sentinel has no master of the name {service:?}");
                            let variables = ["REDIS_SENTINEL_SERVICE_NAME"];
                            Some(Error::new(ErrorKind::Unavailable, text).in_variables(&variables))
                        }
                        Err(error) => Some(failed(error)),
                    }
                }
            },
            Mode::Cluster(_) => first_usable(&self.servers).await.err(),
        };
        // The servers answer, so what failed is the command.
        refused.unwrap_or_else(|| self.command_failed(&error))
    }

    fn command_failed(&self, error: &RedisError) -> Error {
        let variables: &[&str] = match error.kind() {
            redis::ErrorKind::Server(ServerErrorKind::NoPerm) => &["REDIS_USERNAME", "REDIS_KEY_PREFIX"],
            _ if cause(error).contains("cluster support disabled") => &["REDIS_USE_CLUSTERS"],
            _ => match self.mode {
                Mode::Single(_) => &["REDIS_HOST"],
                Mode::Sentinel { .. } => &["REDIS_SENTINELS", "REDIS_SENTINEL_SERVICE_NAME"],
                Mode::Cluster(_) => &["REDIS_CLUSTERS"],
            },
        };
        let kind = if variables == ["REDIS_USE_CLUSTERS"] { ErrorKind::Invalid } else { kind(error) };
        Error::new(kind, format!("Redis cannot be used: {}", cause(error))).in_variables(variables)
    }

    async fn try_ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let (connection, number) = self.connection().await.map_err(failed)?;
        match self.send(connection, command).await {
            Err(error) if is_worth_another_connection(&error) => {
                self.forget(number).await;
                let (connection, number) = self.connection().await.map_err(failed)?;
                let answer = self.send(connection, command).await;
                if answer.as_ref().is_err_and(is_worth_another_connection) {
                    self.forget(number).await;
                }
                answer.map_err(failed)
            }
            answer => answer.map_err(failed),
        }
    }

    /// A connection for subscriptions.
    pub(super) async fn listen(&self) -> Result<PubSub> {
        self.within(async {
            match &self.mode {
                Mode::Single(client) => client.get_async_pubsub().await,
                Mode::Sentinel { sentinel, .. } => {
                    let client = sentinel.lock().await.async_get_client().await?;
                    client.get_async_pubsub().await
                }
                // Messages are passed on to all nodes of a cluster, so any node will do.
                Mode::Cluster(_) => {
                    let mut last = Err(RedisError::from((redis::ErrorKind::InvalidClientConfig, "no nodes")));
                    for node in &self.servers {
                        last = node.client.get_async_pubsub().await;
                        if last.is_ok() {
                            break;
                        }
                    }
                    last
                }
            }
        })
        .await
        .map_err(failed)
    }

    async fn send<T: FromRedisValue>(&self, connection: Connection, command: &Cmd) -> RedisResult<T> {
        self.within(async {
            match connection {
                Connection::Node(mut node) => command.query_async(&mut node).await,
                Connection::Cluster(mut cluster) => command.query_async(&mut cluster).await,
            }
        })
        .await
    }

    async fn connection(&self) -> RedisResult<(Connection, u64)> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((connection.clone(), current.number));
        }
        let connection = self.connect().await?;
        current.number += 1;
        current.connection = Some(connection.clone());
        Ok((connection, current.number))
    }

    /// Drops a connection, unless another one is in use already.
    async fn forget(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.number == number {
            current.connection = None;
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        self.within(async {
            let client = match &self.mode {
                Mode::Single(client) => client.clone(),
                Mode::Sentinel { sentinel, .. } => sentinel.lock().await.async_get_client().await?,
                Mode::Cluster(cluster) => return cluster.get_async_connection().await.map(Connection::Cluster),
            };
            multiplexed(&client, self.timeout).await.map(Connection::Node)
        })
        .await
    }

    async fn within<T>(&self, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        // Looking for a master asks several servers.
        timeout(self.timeout * 2, work).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

/// A connection that many commands share; `limit` is for connecting, and for an answer.
pub(super) async fn multiplexed(client: &Client, limit: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
    client.get_multiplexed_async_connection_with_config(&config).await
}

pub(super) fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn is_worth_another_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.kind(), redis::ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn failed(error: RedisError) -> Error {
    Error::new(kind(&error), format!("Redis: {}", cause(&error)))
}

/// What the client or the server says, without the client's words for the kind of error.
pub(super) fn cause(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        (None, Some(detail)) if error.kind() == redis::ErrorKind::Io => detail.to_owned(),
        _ => error.to_string(),
    }
}

pub(super) fn kind(error: &RedisError) -> ErrorKind {
    match error.kind() {
        redis::ErrorKind::InvalidClientConfig | redis::ErrorKind::EmptySentinelList => ErrorKind::Invalid,
        redis::ErrorKind::Io
        | redis::ErrorKind::MasterNameNotFoundBySentinel
        | redis::ErrorKind::ClusterConnectionNotFound
        | redis::ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly,
        ) => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

/// The span of a command, without its arguments.
fn span(command: &Cmd) -> Span {
    let name = || match command.args_iter().next() {
        Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    };
    tracing::trace_span!(
        target: "plugin_trace",
        "command",
        otel.kind = "client",
        otel.name = name(),
        db.system.name = "redis",
        db.operation.name = name(),
    )
}
