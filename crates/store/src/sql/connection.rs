//! The three drivers behind one face.

mod transaction;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use uuid::Uuid;

use super::dialect::Dialect;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::error::corrupt;
use super::error::failed;
use super::row::Row;
use super::statement::{Statement, Value};
use crate::Result;

use self::transaction::Open;
pub(super) use self::transaction::Tx;

/// How long a statement may take, the wait for a connection included: a server that went away without a word must not
/// hold its callers for ever.
const LIMIT: Duration = Duration::from_mins(1);

/// Does the work in a task of its own, so that it comes to its end although who asked for it goes away: a connection that
/// is left amid a statement, or before the driver knows that a transaction has begun, is not fit for the next one.
async fn whole<T: Send + 'static>(work: impl Future<Output = sqlx::Result<T>> + Send + 'static) -> Result<T> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    let work = tokio::spawn(async move { timeout(LIMIT, work).await.unwrap_or_else(late) });
    work.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)).map_err(failed)
}

/// How a driver takes ids and times.
trait Driver {
    const DIALECT: Dialect;
    type Id;
    type Time;
    fn id(id: Uuid) -> Self::Id;
    fn time(time: Timestamp) -> Self::Time;
}

#[cfg(feature = "sqlite")]
impl Driver for sqlx::Sqlite {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Id = String;
    type Time = String;

    fn id(id: Uuid) -> String {
        id.to_string()
    }

    /// RFC 3339 in UTC with six digits: sorts by time.
    fn time(time: Timestamp) -> String {
        format!("{time:.6}")
    }
}

#[cfg(feature = "postgres")]
impl Driver for sqlx::Postgres {
    const DIALECT: Dialect = Dialect::Postgres;
    type Id = Uuid;
    type Time = time::OffsetDateTime;

    fn id(id: Uuid) -> Uuid {
        id
    }

    fn time(time: Timestamp) -> Self::Time {
        to_offset(time)
    }
}

#[cfg(feature = "mysql")]
impl Driver for sqlx::MySql {
    const DIALECT: Dialect = Dialect::MySql;
    type Id = String;
    type Time = time::PrimitiveDateTime;

    fn id(id: Uuid) -> String {
        id.to_string()
    }

    /// Without an offset, since with one it is sent as a `timestamp`, which ends in 2038.
    fn time(time: Timestamp) -> Self::Time {
        let time = to_offset(time);
        time::PrimitiveDateTime::new(time.date(), time.time())
    }
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn to_offset(time: Timestamp) -> time::OffsetDateTime {
    // A timestamp ends with the year 9999, as that type does.
    time::OffsetDateTime::from_unix_timestamp_nanos(time.as_nanosecond()).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn from_offset(time: time::OffsetDateTime) -> Result<Timestamp> {
    Timestamp::from_nanosecond(time.unix_timestamp_nanos()).map_err(|error| corrupt("time", error))
}

/// A driver's query with the statement's text and parameters.
macro_rules! query {
    ($driver:ty, $statement:expr) => {{
        let statement: Statement = $statement;
        let text = <$driver as Driver>::DIALECT.placeholders(statement.text);
        let mut query = sqlx::query::<$driver>(sqlx::AssertSqlSafe(text.into_owned()));
        for value in statement.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(number) => query.bind(number),
                Value::Flag(flag) => query.bind(flag),
                Value::Id(id) => query.bind(<$driver as Driver>::id(id)),
                Value::Time(time) => query.bind(<$driver as Driver>::time(time)),
            };
        }
        query
    }};
}
use query;

#[cfg(feature = "postgres")]
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    pub(super) pool: sqlx::PgPool,
    /// A pooler may hand each transaction to another connection: nothing may outlive a transaction, and what takes more
    /// than one message needs one.
    pub(super) pooled_by_server: bool,
}

/// Connections to one database.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    /// Any number of readers beside the one writer that SQLite allows.
    #[cfg(feature = "sqlite")]
    Sqlite { readers: sqlx::SqlitePool, writer: sqlx::SqlitePool },
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
    #[cfg(feature = "mysql")]
    MySql(sqlx::MySqlPool),
}

impl Pool {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// Whether even a single statement needs a transaction.
    fn is_pooled_by_server(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.pooled_by_server,
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            _ => false,
        }
    }

    pub(super) async fn rows(&self, statement: Statement) -> Result<Vec<Row>> {
        if self.is_pooled_by_server() {
            let mut tx = self.begin().await?;
            let rows = tx.rows(statement).await?;
            return tx.commit().await.map(|()| rows);
        }
        let pool = self.clone();
        whole(async move {
            match &pool {
                #[cfg(feature = "sqlite")]
                Self::Sqlite { readers, .. } => {
                    query!(sqlx::Sqlite, statement).fetch_all(readers).await.map(Row::sqlite)
                }
                #[cfg(feature = "postgres")]
                Self::Postgres(server) => {
                    query!(sqlx::Postgres, statement).fetch_all(&server.pool).await.map(Row::postgres)
                }
                #[cfg(feature = "mysql")]
                Self::MySql(pool) => query!(sqlx::MySql, statement).fetch_all(pool).await.map(Row::mysql),
            }
        })
        .await
    }

    pub(super) async fn execute(&self, statement: Statement) -> Result<u64> {
        if self.is_pooled_by_server() {
            let mut tx = self.begin().await?;
            let rows = tx.execute(statement).await?;
            return tx.commit().await.map(|()| rows);
        }
        let pool = self.clone();
        whole(async move {
            Ok(match &pool {
                #[cfg(feature = "sqlite")]
                Self::Sqlite { writer, .. } => query!(sqlx::Sqlite, statement).execute(writer).await?.rows_affected(),
                #[cfg(feature = "postgres")]
                Self::Postgres(server) => {
                    query!(sqlx::Postgres, statement).execute(&server.pool).await?.rows_affected()
                }
                #[cfg(feature = "mysql")]
                Self::MySql(pool) => query!(sqlx::MySql, statement).execute(pool).await?.rows_affected(),
            })
        })
        .await
    }

    pub(super) async fn begin(&self) -> Result<Tx> {
        let pool = self.clone();
        let open = whole(async move {
            Ok(match &pool {
                // Taking the write lock at once: a transaction that reads first could not get it later.
                #[cfg(feature = "sqlite")]
                Self::Sqlite { writer, .. } => Open::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
                #[cfg(feature = "postgres")]
                Self::Postgres(Postgres { pool, pooled_by_server }) => {
                    Open::Postgres { tx: pool.begin().await?, pooled_by_server: *pooled_by_server }
                }
                #[cfg(feature = "mysql")]
                Self::MySql(pool) => Open::MySql(pool.begin().await?),
            })
        })
        .await?;
        Ok(Tx::new(self.dialect(), open))
    }

    pub(super) async fn close(&self) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.pool.close().await,
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => pool.close().await,
        }
    }
}
