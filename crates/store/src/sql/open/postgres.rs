use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::{ACQUIRE_TIMEOUT, connect_error};
use crate::sql::connection::{Pool, Postgres};
use crate::{Error, Result, ServerConfig, SslMode};

pub(super) async fn open(config: &ServerConfig) -> Result<Pool> {
    let options = options(config, &config.database)?;
    if let Err(error) = try_connect(config, &options).await {
        if !is_missing_database(&error) {
            return Err(connect_error(config, error));
        }
        create(config).await.map_err(|error| connect_error(config, error))?;
    }
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .max_lifetime(config.max_lifetime)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options);
    Ok(Pool::Postgres(Postgres { pool, pooled_by_server: config.pooled_by_server }))
}

fn options(config: &ServerConfig, database: &str) -> Result<PgConnectOptions> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .username(&config.username)
        .password(&config.password)
        .database(database)
        .ssl_mode(match config.ssl_mode {
            SslMode::Disable => PgSslMode::Disable,
            SslMode::Require => PgSslMode::Require,
            SslMode::VerifyCa => PgSslMode::VerifyCa,
            SslMode::VerifyFull => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    if let Some(authorities) = &config.ssl_authorities {
        options = options.ssl_root_cert(authorities);
    }
    // Poolers refuse start-up parameters that they do not know.
    if config.pooled_by_server {
        options = options.extra_float_digits(None);
    } else {
        // A node that stands still must not hold its locks for ever.
        options = options.options([("idle_in_transaction_session_timeout", "60s")]);
    }
    let parameters = parameters(&config.options)?;
    Ok(if parameters.is_empty() { options } else { options.options(parameters) })
}

/// The pairs of `-c name=value -c name=value`; `--name=value` is the same.
fn parameters(text: &str) -> Result<Vec<(&str, &str)>> {
    let bad = || Error::invalid(format!("database options {text:?} are not of the form -c name=value"));
    let mut words = text.split_whitespace();
    let mut pairs = Vec::new();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next().ok_or_else(bad)?,
            Some(pair) => pair,
            None => return Err(bad()),
        };
        pairs.push(pair.split_once('=').ok_or_else(bad)?);
    }
    Ok(pairs)
}

async fn try_connect(config: &ServerConfig, options: &PgConnectOptions) -> sqlx::Result<()> {
    connect(config, options).await?.close().await
}

async fn connect(config: &ServerConfig, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let connect = tokio::time::timeout(config.connect_timeout, options.connect());
    connect.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn is_missing_database(error: &sqlx::Error) -> bool {
    const INVALID_CATALOG_NAME: &str = "3D000";
    // PgBouncer has this code for all that the server says at its sign-in.
    const PROTOCOL_VIOLATION: &str = "08P01";
    let is_told_by_pooler = |text: &str| text.starts_with("database ") && text.ends_with(" does not exist");
    error.as_database_error().is_some_and(|error| match error.code().as_deref() {
        Some(INVALID_CATALOG_NAME) => true,
        Some(PROTOCOL_VIOLATION) => is_told_by_pooler(error.message()),
        _ => false,
    })
}

async fn create(config: &ServerConfig) -> sqlx::Result<()> {
    const DUPLICATE_DATABASE: &str = "42P04";
    let options =
        options(config, &config.default_database).map_err(|error| sqlx::Error::Configuration(error.into()))?;
    let mut connection = connect(config, &options).await?;
    let name = config.database.replace('"', "\"\"");
    let created = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))).execute(&mut connection).await;
    connection.close().await?;
    match created {
        // Another node was faster.
        Err(sqlx::Error::Database(error))
            if error.is_unique_violation() || error.code().is_some_and(|code| code == DUPLICATE_DATABASE) =>
        {
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::parameters;

    #[test]
    fn options_are_read_as_the_server_reads_them() {
        assert_eq!(parameters("").unwrap(), []);
        assert_eq!(
            parameters("-c search_path=a,b  -cstatement_timeout=5s --work_mem=1MB").unwrap(),
            [("search_path", "a,b"), ("statement_timeout", "5s"), ("work_mem", "1MB")]
        );
        for bad in ["x=y", "-c", "-c name"] {
            assert!(parameters(bad).is_err(), "{bad}");
        }
    }
}
