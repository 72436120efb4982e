//! PostgreSQL.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::ACQUIRE_TIMEOUT;
use super::server::{Failure, Product, connect, from_offset, to_offset};
use crate::sql::dialect::Dialect;
use crate::sql::driver::{Connections, Driver, Pools, connections};
use crate::sql::schema::{Index, Kind, Unique};
use crate::sql::statement::Statement;
use crate::{Error, Result, ServerConfig, SslMode};

const PRODUCT: Product = Product("PostgreSQL");

/// PostgreSQL's SQL.
#[derive(Debug)]
struct Postgres;

impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn placeholders(&self, text: Cow<'static, str>) -> Cow<'static, str> {
        let mut numbered = String::with_capacity(text.len() + 16);
        let mut parts = text.split('?');
        numbered.push_str(parts.next().unwrap_or_default());
        for (index, part) in parts.enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(numbered, "${}", index + 1);
            numbered.push_str(part);
        }
        numbered.into()
    }

    fn clock(&self) -> &'static str {
        "clock_timestamp()"
    }

    fn clock_plus(&self) -> &'static str {
        "clock_timestamp() + ? * interval '1 millisecond'"
    }

    fn column_type(&self, kind: Kind) -> Cow<'static, str> {
        match kind {
            Kind::Id => "uuid".into(),
            Kind::Time => "timestamptz".into(),
            Kind::Text(length) => format!("varchar({length})").into(),
            Kind::Long => "text".into(),
            Kind::Int => "bigint".into(),
            Kind::Flag => "boolean".into(),
        }
    }

    fn create_index(&self, table: &str, index: &Index) -> String {
        let Index { name, columns, unique } = index;
        match unique {
            Unique::No => format!("CREATE INDEX {name} ON {table} ({columns})"),
            Unique::Index => format!("CREATE UNIQUE INDEX {name} ON {table} ({columns})"),
            Unique::Constraint => format!("ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE ({columns})"),
        }
    }

    fn columns_query(&self) -> &'static str {
        "SELECT table_name::text, column_name::text, is_nullable = 'YES' AS accepts_null \
         FROM information_schema.columns WHERE table_schema = current_schema()"
    }

    fn indexes_query(&self) -> &'static str {
        "SELECT indexname::text AS index_name FROM pg_indexes WHERE schemaname = current_schema()"
    }

    fn migration_lock(&self) -> (Option<&'static str>, Option<&'static str>) {
        (Some("SELECT pg_advisory_xact_lock(5003)::text"), None)
    }

    fn make_declaration_optional(&self) -> Option<&'static str> {
        Some("ALTER COLUMN declaration DROP NOT NULL")
    }
}

impl Driver for sqlx::Postgres {
    type Id = Uuid;
    type Time = OffsetDateTime;

    fn id_parameter(id: Uuid) -> Uuid {
        id
    }

    fn time_parameter(time: Timestamp) -> OffsetDateTime {
        to_offset(time)
    }

    fn id(row: &PgRow, column: &str) -> sqlx::Result<Option<Uuid>> {
        sqlx::Row::try_get(row, column)
    }

    fn time(row: &PgRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
        sqlx::Row::try_get::<Option<OffsetDateTime>, _>(row, column)?.map(from_offset).transpose()
    }
}

connections!(sqlx::Postgres, PgRow, try_get);

pub(super) async fn open(config: &ServerConfig) -> Result<Arc<dyn Connections>> {
    let options = options(config)?;
    let elsewhere = options.clone().database(&config.default_database);
    PRODUCT.ensure_database(config, &options, is_missing_database, create(config, elsewhere)).await?;
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .max_lifetime(config.max_lifetime)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options);
    Ok(Arc::new(Pools {
        dialect: &Postgres,
        readers: pool.clone(),
        writers: pool,
        begin: None,
        pooled_by_server: config.pooled_by_server,
    }))
}

fn options(config: &ServerConfig) -> Result<PgConnectOptions> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .username(&config.username)
        .password(&config.password)
        .database(&config.database)
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
    let bad = || {
        // what they are is not shown: they may hold a password
        Error::invalid("the options of the connection are not of the form -c name=value").in_variables(&["DB_EXTRAS"])
    };
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

fn is_missing_database(failure: &Failure) -> bool {
    const INVALID_CATALOG_NAME: &str = "3D000";
    // PgBouncer uses this code for every error of the server while it logs in.
    const PROTOCOL_VIOLATION: &str = "08P01";
    let is_from_pooler = |text: &str| text.starts_with("database ") && text.ends_with(" does not exist");
    failure.database().is_some_and(|error| match error.code().as_deref() {
        Some(INVALID_CATALOG_NAME) => true,
        Some(PROTOCOL_VIOLATION) => is_from_pooler(error.message()),
        _ => false,
    })
}

/// Creates the database by way of another one.
async fn create(config: &ServerConfig, elsewhere: PgConnectOptions) -> Result<(), Failure> {
    let mut connection = connect(config, &elsewhere).await?;
    let name = config.database.replace('"', "\"\"");
    let create = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE \"{name}\"")));
    let created = create.execute(&mut connection).await;
    connection.close().await?;
    match created {
        Err(error) if !is_present(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// True if another node created the database first.
fn is_present(error: &sqlx::Error) -> bool {
    const DUPLICATE_DATABASE: &str = "42P04";
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation() || error.code().is_some_and(|code| code == DUPLICATE_DATABASE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered() {
        assert_eq!(Postgres.placeholders("a = ? AND b IN (?, ?)".into()), "a = $1 AND b IN ($2, $3)");
    }

    #[test]
    fn an_upsert_names_the_key() {
        let expected = " ON CONFLICT (k) DO UPDATE SET a = excluded.a, b = excluded.b";
        assert_eq!(Postgres.or_update("k", &["a", "b"]), expected);
    }

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
