//! Which server refuses a connection, and why: the client's own errors name neither.

use std::time::Duration;

use futures_util::future::join_all;
use redis::{Client, RedisError, RedisResult, ServerErrorKind, cmd};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::link::{cause, kind, multiplexed, timed_out};
use crate::silence::silence;
use crate::{Error, ErrorKind};

/// What a server is to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The only one.
    Single,
    Sentinel,
    /// The master that a sentinel named.
    Master,
    ClusterNode,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Single => "Redis",
            Self::Sentinel => "Redis Sentinel",
            Self::Master => "the Redis master that Sentinel names,",
            Self::ClusterNode => "the Redis Cluster node",
        }
    }

    /// The variables of its address.
    fn address(self) -> &'static [&'static str] {
        match self {
            Self::Single => &["REDIS_HOST", "REDIS_PORT"],
            Self::Sentinel => &["REDIS_SENTINELS"],
            Self::Master => &["REDIS_SENTINELS", "REDIS_SENTINEL_SERVICE_NAME"],
            Self::ClusterNode => &["REDIS_CLUSTERS"],
        }
    }

    fn credentials(self) -> &'static [&'static str] {
        match self {
            Self::Single | Self::Master => &["REDIS_USERNAME", "REDIS_PASSWORD"],
            Self::Sentinel => &["REDIS_SENTINEL_USERNAME", "REDIS_SENTINEL_PASSWORD"],
            Self::ClusterNode => &["REDIS_USERNAME", "REDIS_CLUSTERS_PASSWORD", "REDIS_PASSWORD"],
        }
    }
}

const TLS: &[&str] = &["REDIS_USE_SSL", "REDIS_SSL_CERT_REQS", "REDIS_SSL_CA_CERTS"];

/// A server, with a client of its own.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) role: Role,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) client: Client,
    /// For a connection, and for an answer.
    pub(super) timeout: Duration,
}

impl Server {
    /// Connects, logs in and pings.
    pub(super) async fn ping(&self) -> RedisResult<redis::aio::MultiplexedConnection> {
        let ping = async {
            let mut connection = multiplexed(&self.client, self.timeout).await?;
            let _: redis::Value = cmd("PING").query_async(&mut connection).await?;
            Ok(connection)
        };
        timeout(self.timeout, ping).await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// The error of a connection to this server.
    pub(super) async fn refused(&self, error: &RedisError) -> Error {
        let Self { role, host, port, timeout, .. } = self;
        let said = match error.code() {
            Some(PROTECTED) => Some(cause(error)),
            _ if error.is_connection_dropped() && !self.tls => self.said_at_once().await,
            _ => None,
        };
        let (reason, variables) = match &said {
            Some(said) if said.starts_with(PROTECTED) => (protected(said), role.credentials()),
            Some(said) => (said.clone(), role.address()),
            None if error.is_timeout() => (silence(host, *port, *timeout).await, role.address()),
            None => self.reason(error),
        };
        let kind = match &said {
            Some(said) if said.starts_with(PROTECTED) => ErrorKind::Denied,
            _ if role == &Role::Single && is_cluster_redirect(error) => ErrorKind::Invalid,
            _ => kind(error),
        };
        let text = format!("cannot connect to {} at {host}:{port}: {reason}", role.name());
        Error::new(kind, text).in_variables(variables)
    }

    /// What the server says to who connects before it closes the connection: in protected mode, or with too many clients.
    /// Whoever sends it a command meanwhile learns of a broken pipe alone.
    async fn said_at_once(&self) -> Option<String> {
        let read = async {
            let mut line = String::new();
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            BufReader::new(stream).take(LONGEST_REFUSAL).read_line(&mut line).await?;
            std::io::Result::Ok(line)
        };
        let line = timeout(self.timeout.min(AT_ONCE), read).await.ok()?.ok()?;
        Some(line.strip_prefix('-')?.trim_end().to_owned())
    }

    fn reason(&self, error: &RedisError) -> (String, &'static [&'static str]) {
        let role = self.role;
        let detail = cause(error);
        match error.kind() {
            redis::ErrorKind::AuthenticationFailed => {
                ("the server refuses the user name or password".to_owned(), role.credentials())
            }
            redis::ErrorKind::Extension if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => {
                (detail, role.credentials())
            }
            redis::ErrorKind::Server(ServerErrorKind::NoPerm) => (detail, &["REDIS_USERNAME", "REDIS_KEY_PREFIX"]),
            redis::ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                (format!("the server is a read-only replica: {detail}"), role.address())
            }
            redis::ErrorKind::Server(_) if is_cluster_redirect(error) && role == Role::Single => {
                ("the server is a node of a Redis Cluster".to_owned(), &["REDIS_USE_CLUSTERS", "REDIS_CLUSTERS"])
            }
            redis::ErrorKind::Server(ServerErrorKind::ResponseError) if is_about_database(&detail) => {
                (detail, &["REDIS_DB"])
            }
            _ if error.is_connection_refusal() => {
                ("connection refused; check that the server runs and listens there".to_owned(), role.address())
            }
            redis::ErrorKind::Io if detail.contains("failed to lookup address") => {
                (format!("the host name cannot be resolved: {detail}"), role.address())
            }
            redis::ErrorKind::Io if self.tls && !error.is_connection_dropped() => (format!("TLS: {detail}"), TLS),
            redis::ErrorKind::Io if error.is_connection_dropped() => {
                (format!("{detail}; perhaps the server expects TLS"), TLS)
            }
            _ => (detail, role.address()),
        }
    }
}

/// How long a server is waited for that refuses before it is asked anything, and how many bytes it says.
const AT_ONCE: Duration = Duration::from_secs(1);
const LONGEST_REFUSAL: u64 = 4096;

/// The code of a refusal in protected mode.
const PROTECTED: &str = "DENIED";

/// The first two sentences say what is wrong; the others are ways out on the server's machine.
fn protected(said: &str) -> String {
    let sentences: Vec<&str> = said.splitn(3, ". ").take(2).collect();
    format!("{}; set a password in Redis (requirepass), and the same here", sentences.join(". "))
}

fn is_about_database(detail: &str) -> bool {
    detail.contains("DB index") || detail.contains("switch database")
}

fn is_cluster_redirect(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask))
}

/// How long each of several servers is waited for, all at the same time, after what was wanted of them had failed.
const LOOK: Duration = Duration::from_secs(3);

/// The error of a set of servers of which one would do, if none of them can be used; otherwise a connection to the first
/// that can.
pub(super) async fn first_usable(servers: &[Server]) -> Result<redis::aio::MultiplexedConnection, Error> {
    let looks = servers.iter().map(|server| async {
        let server = Server { timeout: server.timeout.min(LOOK), ..server.clone() };
        match server.ping().await {
            Ok(connection) => Ok(connection),
            Err(error) => Err(server.refused(&error).await),
        }
    });
    let mut found: Option<Error> = None;
    for look in join_all(looks).await {
        let error = match look {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        // A server that refuses says more than one that is down.
        if found.as_ref().is_none_or(|found| found.is_retryable() && !error.is_retryable()) {
            found = Some(error);
        }
    }
    Err(found.unwrap_or_else(|| Error::invalid("no address of a Redis server is configured")))
}
