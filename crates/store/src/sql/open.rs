use std::time::Duration;

use super::connection::Pool;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::error::failed;
use crate::{DatabaseConfig, Result};
#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
use crate::{Error, ErrorKind};

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects, creating the database if it is missing.
pub(super) async fn open(config: &DatabaseConfig) -> Result<Pool> {
    match config {
        #[cfg(feature = "sqlite")]
        DatabaseConfig::Sqlite { path } => sqlite::open(path).await,
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(server) => postgres::open(server).await,
        #[cfg(feature = "mysql")]
        DatabaseConfig::MySql(server) => mysql::open(server).await,
        #[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
        other => {
            let (name, feature) = match other {
                DatabaseConfig::Sqlite { .. } => ("SQLite", "sqlite"),
                DatabaseConfig::Postgres(_) => ("PostgreSQL", "postgres"),
                DatabaseConfig::MySql(_) => ("MySQL", "mysql"),
            };
            let text = format!("this build has no {name} driver, it needs the cargo feature `{feature}`");
            Err(Error::new(ErrorKind::Unsupported, text))
        }
    }
}

/// A server that cannot be used, named but without its password.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn connect_error(config: &crate::ServerConfig, error: sqlx::Error) -> crate::Error {
    let cause = failed(error);
    crate::Error::new(cause.kind(), format!("cannot connect to the database {config:?}")).with_source(cause)
}
