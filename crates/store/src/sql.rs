//! The repositories in SQL: statements are written once, with `?` for parameters.
//!
//! [`connection`] runs them on a [`driver`]; a [`dialect`] has the SQL in which databases differ. One more database is one
//! more module of [`backends`], which implements both.

mod backends;
mod connection;
mod declarations;
mod dialect;
mod driver;
mod endpoints;
mod error;
mod installations;
mod jobs;
mod key_uses;
mod migrate;
mod plugins;
mod providers;
mod readmes;
mod row;
mod schema;
mod serverless;
mod statement;
mod storage_usage;
mod tasks;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use self::connection::{Pool, Tx};
use self::dialect::Dialect;
use self::row::Row;
use self::statement::Statement;
use crate::{DatabaseConfig, Error, Result};

/// One database behind all repositories.
#[derive(Debug)]
pub(crate) struct Sql {
    pool: Pool,
    dialect: &'static dyn Dialect,
}

impl Sql {
    pub(crate) async fn open(config: &DatabaseConfig) -> Result<Self> {
        let pool = Pool(Box::pin(backends::open(config)).await?);
        let sql = Self { dialect: pool.dialect(), pool };
        migrate::run(&sql).await.map_err(|error| {
            let text = format!("cannot create or complete the tables: {error}; the user needs the right to do so");
            Error::new(error.kind(), text).in_variables(&["DB_USERNAME", "DB_DATABASE"])
        })?;
        Ok(sql)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.row(statement::sql("SELECT 1")).await.map(|_| ())
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    async fn rows(&self, statement: Statement) -> Result<Vec<Row>> {
        self.pool.rows(statement).await
    }

    async fn row(&self, statement: Statement) -> Result<Option<Row>> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Rows matched.
    async fn execute(&self, statement: Statement) -> Result<u64> {
        self.pool.execute(statement).await
    }

    async fn begin(&self) -> Result<Tx> {
        self.pool.begin().await
    }

    /// The time as precisely as the database stores it.
    fn now(&self) -> Timestamp {
        dialect::truncate(self.dialect, Timestamp::now())
    }

    /// The time, and after `earlier` even if the clock says otherwise: a new `updated_at` always differs from the old one.
    fn now_after(&self, earlier: Timestamp) -> Timestamp {
        let next = earlier.checked_add(self.dialect.tick()).unwrap_or(earlier);
        self.now().max(next)
    }
}

impl Tx {
    /// The time on the database's clock: for ages that must not depend on the nodes' clocks.
    async fn clock(&mut self) -> Result<Timestamp> {
        let query = statement::sql(format!("SELECT {} AS time", self.dialect().clock()));
        let row = self.row(query).await?;
        row.ok_or_else(|| error::corrupt("time", "there is no row"))?.time("time")
    }
}

/// Repeats a transaction that lost a race (deadlock, duplicate key, a row that vanished between two statements): the
/// next try sees what the winner did.
async fn retry<T, F, Fut>(transaction: F) -> Result<T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    const TRIES: u32 = 4;
    const PAUSE: Duration = Duration::from_millis(10);
    let mut tried = 1;
    loop {
        match transaction().await {
            Err(error) if tried < TRIES && error::is_lost_race(&error) => sleep(PAUSE * tried).await,
            result => return result,
        }
        tried += 1;
    }
}
