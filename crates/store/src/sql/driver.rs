//! What each driver implements, and the part of it that is the same for all drivers of sqlx.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::dialect::Dialect;
use super::statement::Statement;

/// Pools of connections to one database.
#[async_trait]
pub(super) trait Connections: fmt::Debug + Send + Sync {
    fn dialect(&self) -> &'static dyn Dialect;

    /// True if every statement must run in a transaction.
    fn needs_transactions(&self) -> bool;

    async fn rows(&self, statement: Statement) -> sqlx::Result<Vec<Box<dyn Columns>>>;

    /// Rows matched.
    async fn execute(&self, statement: Statement) -> sqlx::Result<u64>;

    async fn begin(&self) -> sqlx::Result<Box<dyn Transaction>>;

    async fn close(&self);

    /// Runs statements without parameters.
    #[cfg(test)]
    async fn script(&self, script: &str) -> sqlx::Result<()>;
}

/// A transaction. Dropping it rolls it back before its connection is used again.
#[async_trait]
pub(super) trait Transaction: fmt::Debug + Send {
    async fn rows(&mut self, statement: Statement) -> sqlx::Result<Vec<Box<dyn Columns>>>;

    /// Rows matched.
    async fn execute(&mut self, statement: Statement) -> sqlx::Result<u64>;

    async fn commit(self: Box<Self>) -> sqlx::Result<()>;
}

/// A row of a result; NULL is `None`.
pub(super) trait Columns: Send + Sync {
    fn text(&self, column: &str) -> sqlx::Result<Option<String>>;

    fn int(&self, column: &str) -> sqlx::Result<Option<i64>>;

    fn flag(&self, column: &str) -> sqlx::Result<Option<bool>>;

    /// A value of a column of type [`Kind::Id`](super::schema::Kind::Id).
    fn id(&self, column: &str) -> sqlx::Result<Option<Uuid>>;

    fn time(&self, column: &str) -> sqlx::Result<Option<Timestamp>>;
}

/// How a driver of sqlx represents ids and times.
pub(super) trait Driver: sqlx::Database {
    type Id;
    type Time;

    fn id_parameter(id: Uuid) -> Self::Id;

    fn time_parameter(time: Timestamp) -> Self::Time;

    fn id(row: &Self::Row, column: &str) -> sqlx::Result<Option<Uuid>>;

    fn time(row: &Self::Row, column: &str) -> sqlx::Result<Option<Timestamp>>;
}

/// The pools of a driver of sqlx; [`connections!`] implements [`Connections`] for it.
#[derive(Debug)]
pub(super) struct Pools<DB: sqlx::Database> {
    pub(super) dialect: &'static dyn Dialect,
    pub(super) readers: sqlx::Pool<DB>,
    /// May be the same as `readers`.
    pub(super) writers: sqlx::Pool<DB>,
    /// Begins a transaction, if not the driver's own statement.
    pub(super) begin: Option<&'static str>,
    /// A pooler such as PgBouncer may run each transaction on another connection of the server: every statement needs
    /// a transaction, and no prepared statement may outlive it.
    pub(super) pooled_by_server: bool,
}

/// A transaction of a driver of sqlx.
#[derive(Debug)]
pub(super) struct Open<DB: sqlx::Database> {
    pub(super) dialect: &'static dyn Dialect,
    pub(super) tx: sqlx::Transaction<'static, DB>,
    pub(super) pooled_by_server: bool,
}

/// An id that a driver gave as text.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(super) fn parse_id(text: Option<String>) -> sqlx::Result<Option<Uuid>> {
    text.map(|text| Uuid::try_parse(&text)).transpose().map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Implements [`Connections`], [`Transaction`] and [`Columns`] for a [`Driver`]. `$get` is how a value is read:
/// `try_get`, or `try_get_unchecked` where columns have no types.
macro_rules! connections {
    ($driver:ty, $row:ty, $get:ident) => {
        const _: () = {
            use sqlx::Row as _;

            use $crate::sql::driver::{Columns, Connections, Open, Pools, Transaction};
            use $crate::sql::statement::Value;

            type Query = sqlx::query::Query<'static, $driver, <$driver as sqlx::Database>::Arguments>;

            fn query(dialect: &dyn $crate::sql::dialect::Dialect, statement: Statement) -> Query {
                let text = dialect.placeholders(statement.text);
                let mut query = sqlx::query::<$driver>(sqlx::AssertSqlSafe(text));
                for value in statement.values {
                    query = match value {
                        Value::Text(text) => query.bind(text),
                        Value::Int(number) => query.bind(number),
                        Value::Flag(flag) => query.bind(flag),
                        Value::Id(id) => query.bind(<$driver as Driver>::id_parameter(id)),
                        Value::Time(time) => query.bind(<$driver as Driver>::time_parameter(time)),
                    };
                }
                query
            }

            fn boxed(rows: Vec<$row>) -> Vec<Box<dyn Columns>> {
                rows.into_iter().map(|row| Box::new(row) as _).collect()
            }

            #[async_trait]
            impl Connections for Pools<$driver> {
                fn dialect(&self) -> &'static dyn $crate::sql::dialect::Dialect {
                    self.dialect
                }

                fn needs_transactions(&self) -> bool {
                    self.pooled_by_server
                }

                async fn rows(&self, statement: Statement) -> sqlx::Result<Vec<Box<dyn Columns>>> {
                    query(self.dialect, statement).fetch_all(&self.readers).await.map(boxed)
                }

                async fn execute(&self, statement: Statement) -> sqlx::Result<u64> {
                    Ok(query(self.dialect, statement).execute(&self.writers).await?.rows_affected())
                }

                async fn begin(&self) -> sqlx::Result<Box<dyn Transaction>> {
                    let tx = match self.begin {
                        Some(begin) => self.writers.begin_with(begin).await?,
                        None => self.writers.begin().await?,
                    };
                    Ok(Box::new(Open { dialect: self.dialect, tx, pooled_by_server: self.pooled_by_server }))
                }

                #[cfg(test)]
                async fn script(&self, script: &str) -> sqlx::Result<()> {
                    let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script.to_owned()));
                    script.execute(&self.writers).await.map(drop)
                }

                async fn close(&self) {
                    self.readers.close().await;
                    self.writers.close().await;
                }
            }

            #[async_trait]
            impl Transaction for Open<$driver> {
                async fn rows(&mut self, statement: Statement) -> sqlx::Result<Vec<Box<dyn Columns>>> {
                    let query = query(self.dialect, statement).persistent(!self.pooled_by_server);
                    query.fetch_all(&mut *self.tx).await.map(boxed)
                }

                async fn execute(&mut self, statement: Statement) -> sqlx::Result<u64> {
                    let query = query(self.dialect, statement).persistent(!self.pooled_by_server);
                    Ok(query.execute(&mut *self.tx).await?.rows_affected())
                }

                async fn commit(self: Box<Self>) -> sqlx::Result<()> {
                    self.tx.commit().await
                }
            }

            impl Columns for $row {
                fn text(&self, column: &str) -> sqlx::Result<Option<String>> {
                    self.$get(column)
                }

                fn int(&self, column: &str) -> sqlx::Result<Option<i64>> {
                    self.$get(column)
                }

                fn flag(&self, column: &str) -> sqlx::Result<Option<bool>> {
                    self.$get(column)
                }

                fn id(&self, column: &str) -> sqlx::Result<Option<Uuid>> {
                    <$driver as Driver>::id(self, column)
                }

                fn time(&self, column: &str) -> sqlx::Result<Option<Timestamp>> {
                    <$driver as Driver>::time(self, column)
                }
            }
        };
    };
}
pub(super) use connections;
