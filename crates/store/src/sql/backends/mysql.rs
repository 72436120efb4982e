//! MySQL, MariaDB and what speaks their protocol.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use super::ACQUIRE_TIMEOUT;
use super::server::{Failure, Product, connect, from_offset, to_offset};
use crate::sql::dialect::Dialect;
use crate::sql::driver::{Connections, Driver, Pools, connections, parse_id};
use crate::sql::schema::{Index, Kind, Unique};
use crate::sql::statement::Statement;
use crate::{Result, ServerConfig, SslMode};

const PRODUCT: Product = Product("MySQL");

/// Each statement of a transaction sees what others committed before it, as on the other databases: rows are counted
/// under a lock, and a snapshot from before the lock would miscount them.
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// MySQL's SQL.
#[derive(Debug)]
struct MySql;

impl Dialect for MySql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn or_keep(&self) -> &'static str {
        " ON DUPLICATE KEY UPDATE id = id"
    }

    fn or_update(&self, _key: &str, columns: &[&str]) -> String {
        let sets: Vec<String> = columns.iter().map(|column| format!("{column} = VALUES({column})")).collect();
        format!(" ON DUPLICATE KEY UPDATE {}", sets.join(", "))
    }

    fn clock(&self) -> &'static str {
        "UTC_TIMESTAMP(3)"
    }

    fn clock_plus(&self) -> &'static str {
        "UTC_TIMESTAMP(3) + INTERVAL (? * 1000) MICROSECOND"
    }

    fn tick(&self) -> SignedDuration {
        SignedDuration::from_millis(1)
    }

    fn column_type(&self, kind: Kind) -> Cow<'static, str> {
        match kind {
            Kind::Id => "char(36)".into(),
            Kind::Time => "datetime(3)".into(),
            Kind::Text(length) => format!("varchar({length})").into(),
            Kind::Long => "longtext".into(),
            Kind::Int => "bigint".into(),
            Kind::Flag => "boolean".into(),
        }
    }

    /// One statement, since each change of a table is slow.
    fn create_table(&self, table: &str, columns: &[String], indexes: &[Index]) -> Vec<String> {
        let indexes = indexes.iter().map(|Index { name, columns, unique }| {
            let unique = if *unique == Unique::No { "" } else { "UNIQUE " };
            format!("{unique}INDEX {name} ({columns})")
        });
        let parts: Vec<String> = columns.iter().cloned().chain(indexes).collect();
        vec![format!("CREATE TABLE {table} ({}) DEFAULT CHARSET = utf8mb4", parts.join(", "))]
    }

    fn columns_query(&self) -> &'static str {
        "SELECT CAST(table_name AS CHAR) AS table_name, CAST(column_name AS CHAR) AS column_name, \
         is_nullable = 'YES' AS accepts_null FROM information_schema.columns WHERE table_schema = DATABASE()"
    }

    fn indexes_query(&self) -> &'static str {
        "SELECT DISTINCT CAST(index_name AS CHAR) AS index_name FROM information_schema.statistics \
         WHERE table_schema = DATABASE()"
    }

    /// Not the transaction's, since MySQL commits with every change of a table.
    fn migration_lock(&self) -> (Option<&'static str>, Option<&'static str>) {
        (Some("SELECT GET_LOCK('plugin_store_migration', 60)"), Some("SELECT RELEASE_LOCK('plugin_store_migration')"))
    }

    fn make_declaration_optional(&self) -> Option<&'static str> {
        Some("MODIFY COLUMN declaration longtext NULL")
    }
}

impl Driver for sqlx::MySql {
    type Id = String;
    type Time = PrimitiveDateTime;

    fn id_parameter(id: Uuid) -> String {
        id.to_string()
    }

    /// Without an offset, since with one it is sent as a `timestamp`, which ends in 2038.
    fn time_parameter(time: Timestamp) -> PrimitiveDateTime {
        let time = to_offset(time);
        PrimitiveDateTime::new(time.date(), time.time())
    }

    fn id(row: &MySqlRow, column: &str) -> sqlx::Result<Option<Uuid>> {
        parse_id(sqlx::Row::try_get(row, column)?)
    }

    fn time(row: &MySqlRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
        sqlx::Row::try_get::<Option<OffsetDateTime>, _>(row, column)?.map(from_offset).transpose()
    }
}

connections!(sqlx::MySql, MySqlRow, try_get);

pub(super) async fn open(config: &ServerConfig) -> Result<Arc<dyn Connections>> {
    let options = options(config);
    let elsewhere = options.clone().database(&config.default_database);
    PRODUCT.ensure_database(config, &options, is_missing_database, create(config, elsewhere)).await?;
    let pool = MySqlPoolOptions::new()
        .max_connections(config.max_connections)
        .max_lifetime(config.max_lifetime)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(ISOLATION).await.map(|_| ()) }))
        .connect_lazy_with(options);
    Ok(Arc::new(Pools { dialect: &MySql, readers: pool.clone(), writers: pool, begin: None, pooled_by_server: false }))
}

fn options(config: &ServerConfig) -> MySqlConnectOptions {
    let options = MySqlConnectOptions::new()
        .host(&config.host)
        .port(config.port)
        .username(&config.username)
        .database(&config.database)
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

fn is_missing_database(failure: &Failure) -> bool {
    const SQLSTATE: &str = "42000";
    failure.database().is_some_and(|error| {
        error.code().is_some_and(|code| code == SQLSTATE) && error.message().starts_with("Unknown database")
    })
}

/// Creates the database by way of another one.
async fn create(config: &ServerConfig, elsewhere: MySqlConnectOptions) -> Result<(), Failure> {
    let mut connection = connect(config, &elsewhere).await?;
    let name = config.database.replace('`', "``");
    let create = format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upsert_names_its_values() {
        assert_eq!(MySql.or_update("k", &["a", "b"]), " ON DUPLICATE KEY UPDATE a = VALUES(a), b = VALUES(b)");
        assert_eq!(MySql.placeholders("a = ?".into()), "a = ?");
    }
}
