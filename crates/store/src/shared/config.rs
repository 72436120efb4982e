//! Where the shared state is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::MemoryState;
use crate::{Result, SharedState};

/// Where the shared state is.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, read once")]
pub enum SharedConfig {
    /// In this process: for a single node.
    Memory,
    /// Needs the cargo feature `redis`.
    Redis(RedisConfig),
}

/// A Redis, version 5 or newer (lifecycle-and-storage 7.5).
#[derive(Clone)]
pub struct RedisConfig {
    pub servers: RedisServers,
    /// Blank = the default user.
    pub username: String,
    /// Blank = no authentication.
    pub password: String,
    /// Always 0 on a cluster.
    pub database: i64,
    /// Begins every key and channel; blank = `plugin_daemon`.
    pub prefix: String,
    pub tls: Option<RedisTls>,
    /// For a connection, and for each answer.
    pub timeout: Duration,
}

/// How Redis is reached.
#[derive(Clone)]
pub enum RedisServers {
    Single {
        host: String,
        port: u16,
    },
    /// The master that sentinels name.
    Sentinel {
        sentinels: Vec<(String, u16)>,
        service: String,
        username: String,
        password: String,
    },
    /// Any of a cluster's nodes; the others are found.
    Cluster {
        nodes: Vec<(String, u16)>,
    },
}

/// TLS to Redis.
#[derive(Clone, Debug)]
pub struct RedisTls {
    /// Check certificate and name.
    pub verify: bool,
    /// PEM certificates to trust instead of the system's.
    pub authorities: Option<PathBuf>,
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.servers.fmt(f)
    }
}

impl fmt::Debug for RedisServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single { host, port } => write!(f, "{host}:{port}"),
            Self::Sentinel { sentinels, service, .. } => write!(f, "{service} of sentinels {sentinels:?}"),
            Self::Cluster { nodes } => write!(f, "cluster {nodes:?}"),
        }
    }
}

/// Opens the shared state; Redis must answer.
pub async fn open(config: &SharedConfig) -> Result<Arc<dyn SharedState>> {
    match config {
        SharedConfig::Memory => Ok(Arc::new(MemoryState::new())),
        #[cfg(feature = "redis")]
        SharedConfig::Redis(redis) => Ok(Arc::new(super::RedisState::open(redis).await?)),
        #[cfg(not(feature = "redis"))]
        SharedConfig::Redis(_) => Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this build has no Redis client, it needs the cargo feature `redis`",
        )
        .in_variables(&["CACHE_TYPE", "REDIS_HOST"])),
    }
}
