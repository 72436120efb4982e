//! The three drivers behind one face.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use tokio::time::timeout;
use uuid::Uuid;

use super::dialect::Dialect;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::error::corrupt;
use super::error::failed;
use super::row::Row;
use super::statement::{Statement, Value};
use crate::Result;

/// How long a statement may take, the wait for a connection included: a server that went away without a word must not
/// hold its callers for ever.
const LIMIT: Duration = Duration::from_mins(1);

async fn within<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    timeout(LIMIT, work).await.unwrap_or_else(late).map_err(failed)
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
        let mut query = sqlx::query::<$driver>(AssertSqlSafe(text.into_owned()));
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

#[cfg(feature = "postgres")]
#[derive(Debug)]
pub(super) struct Postgres {
    pub(super) pool: sqlx::PgPool,
    /// A pooler may hand each transaction to another connection: nothing may outlive a transaction, and what takes more
    /// than one message needs one.
    pub(super) pooled_by_server: bool,
}

/// Connections to one database.
#[derive(Debug)]
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
        within(async {
            match self {
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
        within(async {
            Ok(match self {
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

    /// Begins in a task of its own. The driver knows of a transaction once the server has answered: if a caller who goes
    /// away took the wait for that answer with it, the connection would be used again with a transaction that nobody ends.
    pub(super) async fn begin(&self) -> Result<Tx> {
        let begun = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { writer, .. } => {
                let writer = writer.clone();
                // Taking the write lock at once: a transaction that reads first could not get it later.
                tokio::spawn(async move { writer.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite) })
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(Postgres { pool, pooled_by_server }) => {
                let (pool, pooled_by_server) = (pool.clone(), *pooled_by_server);
                tokio::spawn(async move { Ok(Tx::Postgres { tx: pool.begin().await?, pooled_by_server }) })
            }
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => {
                let pool = pool.clone();
                tokio::spawn(async move { pool.begin().await.map(Tx::MySql) })
            }
        };
        within(async { begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)) }).await
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

/// A transaction; rolled back unless committed.
#[derive(Debug)]
pub(super) enum Tx {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres { tx: sqlx::Transaction<'static, sqlx::Postgres>, pooled_by_server: bool },
    #[cfg(feature = "mysql")]
    MySql(sqlx::Transaction<'static, sqlx::MySql>),
}

impl Tx {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres { .. } => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Self::MySql(_) => Dialect::MySql,
        }
    }

    pub(super) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>> {
        within(async {
            match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(tx) => query!(sqlx::Sqlite, statement).fetch_all(&mut **tx).await.map(Row::sqlite),
                #[cfg(feature = "postgres")]
                Self::Postgres { tx, pooled_by_server } => {
                    let query = query!(sqlx::Postgres, statement).persistent(!*pooled_by_server);
                    query.fetch_all(&mut **tx).await.map(Row::postgres)
                }
                #[cfg(feature = "mysql")]
                Self::MySql(tx) => query!(sqlx::MySql, statement).fetch_all(&mut **tx).await.map(Row::mysql),
            }
        })
        .await
    }

    pub(super) async fn row(&mut self, statement: Statement) -> Result<Option<Row>> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// The row, locked until the transaction ends.
    pub(super) async fn lock(&mut self, statement: Statement) -> Result<Option<Row>> {
        let suffix = self.dialect().for_update();
        self.row(statement.then(suffix)).await
    }

    /// Rows matched.
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<u64> {
        within(async {
            Ok(match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(tx) => query!(sqlx::Sqlite, statement).execute(&mut **tx).await?.rows_affected(),
                #[cfg(feature = "postgres")]
                Self::Postgres { tx, pooled_by_server } => {
                    let query = query!(sqlx::Postgres, statement).persistent(!*pooled_by_server);
                    query.execute(&mut **tx).await?.rows_affected()
                }
                #[cfg(feature = "mysql")]
                Self::MySql(tx) => query!(sqlx::MySql, statement).execute(&mut **tx).await?.rows_affected(),
            })
        })
        .await
    }

    pub(super) async fn commit(self) -> Result<()> {
        within(async {
            match self {
                #[cfg(feature = "sqlite")]
                Self::Sqlite(tx) => tx.commit().await,
                #[cfg(feature = "postgres")]
                Self::Postgres { tx, .. } => tx.commit().await,
                #[cfg(feature = "mysql")]
                Self::MySql(tx) => tx.commit().await,
            }
        })
        .await
    }
}
