use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPoolOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::{ACQUIRE_TIMEOUT, connect_error};
use crate::sql::connection::Pool;
use crate::{Result, ServerConfig, SslMode};

/// Each statement of a transaction sees what others committed before it, as on the other databases: rows are counted
/// under a lock, and a snapshot from before the lock would miscount them.
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

pub(super) async fn open(config: &ServerConfig) -> Result<Pool> {
    let options = options(config).database(&config.database);
    if let Err(error) = try_connect(config, &options).await {
        if !is_missing_database(&error) {
            return Err(connect_error(config, error));
        }
        create(config).await.map_err(|error| connect_error(config, error))?;
    }
    let pool = MySqlPoolOptions::new()
        .max_connections(config.max_connections)
        .max_lifetime(config.max_lifetime)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(ISOLATION).await.map(|_| ()) }))
        .connect_lazy_with(options);
    Ok(Pool::MySql(pool))
}

fn options(config: &ServerConfig) -> MySqlConnectOptions {
    let options = MySqlConnectOptions::new()
        .host(&config.host)
        .port(config.port)
        .username(&config.username)
        .charset("utf8mb4")
        .ssl_mode(match config.ssl_mode {
            SslMode::Disable => MySqlSslMode::Disabled,
            SslMode::Require => MySqlSslMode::Required,
            SslMode::VerifyCa => MySqlSslMode::VerifyCa,
            SslMode::VerifyFull => MySqlSslMode::VerifyIdentity,
        })
        .disable_statement_logging();
    let options = match &config.ssl_authorities {
        Some(authorities) => options.ssl_ca(authorities),
        None => options,
    };
    // A blank password is not the same as none.
    if config.password.is_empty() { options } else { options.password(&config.password) }
}

async fn try_connect(config: &ServerConfig, options: &MySqlConnectOptions) -> sqlx::Result<()> {
    connect(config, options).await?.close().await
}

async fn connect(config: &ServerConfig, options: &MySqlConnectOptions) -> sqlx::Result<MySqlConnection> {
    let connect = tokio::time::timeout(config.connect_timeout, options.connect());
    connect.await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn is_missing_database(error: &sqlx::Error) -> bool {
    const UNKNOWN_DATABASE: &str = "42000";
    error.as_database_error().is_some_and(|error| {
        error.code().is_some_and(|code| code == UNKNOWN_DATABASE) && error.message().starts_with("Unknown database")
    })
}

async fn create(config: &ServerConfig) -> sqlx::Result<()> {
    let options = options(config).database(&config.default_database);
    let mut connection = connect(config, &options).await?;
    let name = config.database.replace('`', "``");
    let create = format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await?;
    connection.close().await
}
