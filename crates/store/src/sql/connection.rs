//! The three drivers behind one face.

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::dialect::Dialect;
use super::error::{corrupt, failed};
use super::statement::{Statement, Value};
use crate::Result;

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
fn from_offset(time: time::OffsetDateTime) -> Result<Timestamp> {
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

#[cfg(feature = "postgres")]
impl Postgres {
    async fn begin(&self) -> sqlx::Result<Tx> {
        Ok(Tx::Postgres { tx: self.pool.begin().await?, pooled_by_server: self.pooled_by_server })
    }
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

    pub(super) async fn rows(&self, statement: Statement) -> Result<Vec<Row>> {
        let rows = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { readers, .. } => query!(sqlx::Sqlite, statement).fetch_all(readers).await.map(Row::sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) if server.pooled_by_server => {
                let mut tx = server.begin().await.map_err(failed)?;
                let rows = tx.rows(statement).await?;
                return tx.commit().await.map(|()| rows);
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => {
                query!(sqlx::Postgres, statement).fetch_all(&server.pool).await.map(Row::postgres)
            }
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => query!(sqlx::MySql, statement).fetch_all(pool).await.map(Row::mysql),
        };
        rows.map_err(failed)
    }

    pub(super) async fn execute(&self, statement: Statement) -> Result<u64> {
        let rows = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { writer, .. } => {
                query!(sqlx::Sqlite, statement).execute(writer).await.map(|done| done.rows_affected())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(server) if server.pooled_by_server => {
                let mut tx = server.begin().await.map_err(failed)?;
                let rows = tx.execute(statement).await?;
                return tx.commit().await.map(|()| rows);
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => {
                query!(sqlx::Postgres, statement).execute(&server.pool).await.map(|done| done.rows_affected())
            }
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => query!(sqlx::MySql, statement).execute(pool).await.map(|done| done.rows_affected()),
        };
        rows.map_err(failed)
    }

    pub(super) async fn begin(&self) -> Result<Tx> {
        let tx = match self {
            // Taking the write lock at once: a transaction that reads first could not get it later.
            #[cfg(feature = "sqlite")]
            Self::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Tx::Sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => server.begin().await,
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => pool.begin().await.map(Tx::MySql),
        };
        tx.map_err(failed)
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
        let rows = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(tx) => query!(sqlx::Sqlite, statement).fetch_all(&mut **tx).await.map(Row::sqlite),
            #[cfg(feature = "postgres")]
            Self::Postgres { tx, pooled_by_server } => {
                let query = query!(sqlx::Postgres, statement).persistent(!*pooled_by_server);
                query.fetch_all(&mut **tx).await.map(Row::postgres)
            }
            #[cfg(feature = "mysql")]
            Self::MySql(tx) => query!(sqlx::MySql, statement).fetch_all(&mut **tx).await.map(Row::mysql),
        };
        rows.map_err(failed)
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
        let rows = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(tx) => {
                query!(sqlx::Sqlite, statement).execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { tx, pooled_by_server } => {
                let query = query!(sqlx::Postgres, statement).persistent(!*pooled_by_server);
                query.execute(&mut **tx).await.map(|done| done.rows_affected())
            }
            #[cfg(feature = "mysql")]
            Self::MySql(tx) => query!(sqlx::MySql, statement).execute(&mut **tx).await.map(|done| done.rows_affected()),
        };
        rows.map_err(failed)
    }

    pub(super) async fn commit(self) -> Result<()> {
        let committed = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(tx) => tx.commit().await,
            #[cfg(feature = "postgres")]
            Self::Postgres { tx, .. } => tx.commit().await,
            #[cfg(feature = "mysql")]
            Self::MySql(tx) => tx.commit().await,
        };
        committed.map_err(failed)
    }
}

/// A row of an answer.
pub(super) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
    #[cfg(feature = "mysql")]
    MySql(sqlx::mysql::MySqlRow),
}

/// A column of a row as a type that every driver decodes alike. SQLite types values, not columns, so there the check
/// against the column's type is left out.
macro_rules! get {
    ($row:expr, $column:expr, $as:ty) => {
        match $row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => row.try_get_unchecked::<$as, _>($column),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => row.try_get::<$as, _>($column),
            #[cfg(feature = "mysql")]
            Row::MySql(row) => row.try_get::<$as, _>($column),
        }
        .map_err(|error| corrupt($column, error))
    };
}

impl Row {
    #[cfg(feature = "sqlite")]
    fn sqlite(rows: Vec<sqlx::sqlite::SqliteRow>) -> Vec<Self> {
        rows.into_iter().map(Self::Sqlite).collect()
    }

    #[cfg(feature = "postgres")]
    fn postgres(rows: Vec<sqlx::postgres::PgRow>) -> Vec<Self> {
        rows.into_iter().map(Self::Postgres).collect()
    }

    #[cfg(feature = "mysql")]
    fn mysql(rows: Vec<sqlx::mysql::MySqlRow>) -> Vec<Self> {
        rows.into_iter().map(Self::MySql).collect()
    }

    /// Text or NULL.
    pub(super) fn optional_text(&self, column: &str) -> Result<Option<String>> {
        get!(self, column, Option<String>)
    }

    /// A number; NULL is 0.
    pub(super) fn int(&self, column: &str) -> Result<i64> {
        Ok(get!(self, column, Option<i64>)?.unwrap_or_default())
    }

    /// A truth value; NULL is false.
    pub(super) fn flag(&self, column: &str) -> Result<bool> {
        Ok(get!(self, column, Option<bool>)?.unwrap_or_default())
    }

    /// An id, in a column of type [`Kind::Id`](super::schema::Kind::Id).
    pub(super) fn id(&self, column: &str) -> Result<Uuid> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column).map_err(|error| corrupt(column, error)),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            _ => self.id_in_text(column),
        }
    }

    /// An id in a column of text.
    pub(super) fn id_in_text(&self, column: &str) -> Result<Uuid> {
        let text = get!(self, column, String)?;
        Uuid::try_parse(&text).map_err(|error| corrupt(column, error))
    }

    /// A time; NULL is 1970.
    pub(super) fn time(&self, column: &str) -> Result<Timestamp> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => {
                let text: Option<String> = row.try_get_unchecked(column).map_err(|error| corrupt(column, error))?;
                text.map_or(Ok(Timestamp::UNIX_EPOCH), |text| text.parse().map_err(|error| corrupt(column, error)))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => {
                let time: Option<time::OffsetDateTime> = row.try_get(column).map_err(|error| corrupt(column, error))?;
                time.map_or(Ok(Timestamp::UNIX_EPOCH), from_offset)
            }
            #[cfg(feature = "mysql")]
            Self::MySql(row) => {
                let time: Option<time::OffsetDateTime> = row.try_get(column).map_err(|error| corrupt(column, error))?;
                time.map_or(Ok(Timestamp::UNIX_EPOCH), from_offset)
            }
        }
    }
}
