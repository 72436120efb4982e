//! Where the rows are (lifecycle-and-storage 3.1, 7.6).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where the rows are.
#[derive(Clone, Debug)]
pub enum DatabaseConfig {
    /// One file, created when missing, with its folder.
    Sqlite { path: PathBuf },
    /// Needs the cargo feature `postgres`.
    Postgres(ServerConfig),
    /// MySQL, MariaDB and what speaks their protocol; needs the cargo feature `mysql`.
    MySql(ServerConfig),
}

/// TLS to a database server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    #[default]
    Disable,
    /// Encrypted, certificate not checked.
    Require,
    /// Certificate checked, its host name not.
    VerifyCa,
    /// Certificate and host name checked.
    VerifyFull,
}

/// A database server (lifecycle-and-storage 3.1, 7.6).
#[derive(Clone)]
pub struct ServerConfig {
    pub host: String,
    pub port: u16,
    pub username: String,
    pub password: String,
    /// Created when missing.
    pub database: String,
    /// Where to connect to create it: `postgres` or `mysql`.
    pub default_database: String,
    pub ssl_mode: SslMode,
    /// PEM certificates of authorities to trust besides the public ones.
    pub ssl_authorities: Option<PathBuf>,
    /// PostgreSQL: run-time parameters as `-c name=value ...`; blank = none. Text always travels as UTF-8.
    pub options: String,
    /// PostgreSQL: connections go through a pooler such as PgBouncer, so no prepared statement may outlive a transaction.
    pub pooled_by_server: bool,
    pub max_connections: u32,
    pub max_lifetime: Duration,
    pub connect_timeout: Duration,
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}/{}", self.username, self.host, self.port, self.database)
    }
}
