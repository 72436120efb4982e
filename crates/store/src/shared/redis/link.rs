//! Connections to a Redis, made anew when they break.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, RedisError,
    RedisResult, ServerErrorKind, TlsCertificates, TlsMode,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::shared::{RedisConfig, RedisServers};
use crate::{Error, ErrorKind, Result};

/// A way to Redis. Commands share one connection, which interleaves them.
pub(super) struct Link {
    servers: Servers,
    current: Mutex<Current>,
    patience: Duration,
}

enum Servers {
    Single(Client),
    Sentinel(Mutex<SentinelClient>),
    /// With a client for each node known from the start, for subscriptions.
    Cluster(ClusterClient, Vec<Client>),
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
                // Whoever was first is as good.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            }
            servers(config, &certificates).map_err(failed)
        };
        let servers = opened.await.map_err(|error| {
            Error::new(error.kind(), format!("the settings of Redis {config:?} do not work")).with_source(error)
        })?;
        Ok(Self { servers, current: Mutex::default(), patience: config.timeout })
    }

    /// Sends a command and waits for its answer. A connection that turns out to be broken, or to lead to a server that
    /// is no longer the master, is replaced, and the command sent once more. However many wait for a connection, none
    /// waits for longer than a few times the patience.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let asked = timeout(self.patience * 3, self.try_ask(command)).await;
        asked.unwrap_or_else(|_| Err(failed(timed_out())))
    }

    async fn try_ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let (connection, number) = self.connection().await?;
        match self.send(connection, command).await {
            Err(error) if is_worth_another_connection(&error) => {
                self.forget(number).await;
                let (connection, number) = self.connection().await?;
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
            match &self.servers {
                Servers::Single(client) => client.get_async_pubsub().await,
                Servers::Sentinel(sentinel) => {
                    let client = sentinel.lock().await.async_get_client().await?;
                    client.get_async_pubsub().await
                }
                // Messages are passed on to all nodes of a cluster, so any node will do.
                Servers::Cluster(_, nodes) => {
                    let mut last = Err(RedisError::from((redis::ErrorKind::InvalidClientConfig, "no nodes")));
                    for node in nodes {
                        last = node.get_async_pubsub().await;
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

    async fn connection(&self) -> Result<(Connection, u64)> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((connection.clone(), current.number));
        }
        let connection = self.connect().await.map_err(failed)?;
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
            let client = match &self.servers {
                Servers::Single(client) => client.clone(),
                Servers::Sentinel(sentinel) => sentinel.lock().await.async_get_client().await?,
                Servers::Cluster(cluster, _) => return cluster.get_async_connection().await.map(Connection::Cluster),
            };
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(self.patience))
                .set_response_timeout(Some(self.patience));
            client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Node)
        })
        .await
    }

    async fn within<T>(&self, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        // Looking for a master asks several servers.
        timeout(self.patience * 2, work).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn servers(config: &RedisConfig, certificates: &TlsCertificates) -> RedisResult<Servers> {
    let mode = config.tls.as_ref().map(|tls| if tls.verify { TlsMode::Secure } else { TlsMode::Insecure });
    match &config.servers {
        RedisServers::Single { host, port } => Ok(Servers::Single(client(info(config, host, *port)?, certificates)?)),
        RedisServers::Sentinel { sentinels, service, username, password } => {
            let addresses = sentinels.iter().map(|(host, port)| address(config, host, *port));
            let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
                .set_client_to_redis_db(config.database);
            if let Some(mode) = mode {
                builder = builder
                    .set_client_to_redis_tls_mode(mode)
                    .set_client_to_redis_certificates(certificates.clone())
                    .set_client_to_sentinel_tls_mode(mode)
                    .set_client_to_sentinel_certificates(certificates.clone());
            }
            if !config.username.is_empty() {
                builder = builder.set_client_to_redis_username(&config.username);
            }
            if !config.password.is_empty() {
                builder = builder.set_client_to_redis_password(&config.password);
            }
            if !username.is_empty() {
                builder = builder.set_client_to_sentinel_username(username);
            }
            if !password.is_empty() {
                builder = builder.set_client_to_sentinel_password(password);
            }
            Ok(Servers::Sentinel(Mutex::new(builder.build()?)))
        }
        RedisServers::Cluster { nodes } => {
            let infos: Vec<ConnectionInfo> =
                nodes.iter().map(|(host, port)| info(config, host, *port)).collect::<RedisResult<_>>()?;
            let mut builder = ClusterClientBuilder::new(infos.iter().cloned())
                .connection_timeout(config.timeout)
                .response_timeout(config.timeout);
            if let Some(mode) = mode {
                builder = builder.tls(mode).certs(certificates.clone());
            }
            if !config.username.is_empty() {
                builder = builder.username(&config.username);
            }
            if !config.password.is_empty() {
                builder = builder.password(&config.password);
            }
            let clients = infos.into_iter().map(|info| client(info, certificates)).collect::<RedisResult<_>>()?;
            Ok(Servers::Cluster(builder.build()?, clients))
        }
    }
}

fn client(info: ConnectionInfo, certificates: &TlsCertificates) -> RedisResult<Client> {
    match info.addr() {
        ConnectionAddr::TcpTls { .. } => Client::build_with_tls(info, certificates.clone()),
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => Client::open(info),
        _ => Err((redis::ErrorKind::InvalidClientConfig, "unknown kind of address").into()),
    }
}

fn address(config: &RedisConfig, host: &str, port: u16) -> ConnectionAddr {
    match &config.tls {
        None => ConnectionAddr::Tcp(host.to_owned(), port),
        Some(tls) => ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: !tls.verify, tls_params: None },
    }
}

fn info(config: &RedisConfig, host: &str, port: u16) -> RedisResult<ConnectionInfo> {
    let info = address(config, host, port).into_connection_info()?;
    let mut settings = info.redis_settings().clone();
    if !matches!(config.servers, RedisServers::Cluster { .. }) {
        settings = settings.set_db(config.database);
    }
    if !config.username.is_empty() {
        settings = settings.set_username(&config.username);
    }
    if !config.password.is_empty() {
        settings = settings.set_password(&config.password);
    }
    Ok(info.set_redis_settings(settings))
}

async fn certificates(config: &RedisConfig) -> Result<TlsCertificates> {
    let authorities = config.tls.as_ref().and_then(|tls| tls.authorities.as_ref());
    let root_cert = match authorities {
        None => None,
        Some(path) => Some(tokio::fs::read(path).await.map_err(|error| {
            Error::invalid(format!("cannot read the certificates {}", path.display())).with_source(error)
        })?),
    };
    Ok(TlsCertificates { client_tls: None, root_cert })
}

fn is_worth_another_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(error.kind(), redis::ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

pub(super) fn failed(error: RedisError) -> Error {
    let kind = match error.kind() {
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
    };
    Error::new(kind, "Redis").with_source(error)
}
