//! A transaction on any driver.

use tracing::Instrument as _;

use super::{detached, log, rows, span};
use crate::Result;
use crate::sql::dialect::Dialect;
use crate::sql::driver::Transaction;
use crate::sql::error::failed;
use crate::sql::row::Row;
use crate::sql::statement::Statement;

/// A transaction; rolled back unless committed.
#[derive(Debug)]
pub(in crate::sql) struct Tx {
    dialect: &'static dyn Dialect,
    /// `None` while a statement runs, and after one that took too long.
    open: Option<Box<dyn Transaction>>,
}

impl Tx {
    pub(super) fn new(dialect: &'static dyn Dialect, open: Box<dyn Transaction>) -> Self {
        Self { dialect, open: Some(open) }
    }

    pub(in crate::sql) fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    pub(in crate::sql) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>> {
        log(&statement);
        let span = span(self.dialect, &statement);
        let mut open = self.take()?;
        let (open, found) = detached(async move {
            let found = open.rows(statement).await;
            Ok((open, found))
        })
        .instrument(span)
        .await?;
        self.open = Some(open);
        found.map(rows).map_err(failed)
    }

    pub(in crate::sql) async fn row(&mut self, statement: Statement) -> Result<Option<Row>> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// The row, locked until the transaction ends.
    pub(in crate::sql) async fn lock(&mut self, statement: Statement) -> Result<Option<Row>> {
        let suffix = self.dialect.for_update();
        self.row(statement.then(suffix)).await
    }

    /// Rows matched.
    pub(in crate::sql) async fn execute(&mut self, statement: Statement) -> Result<u64> {
        log(&statement);
        let span = span(self.dialect, &statement);
        let mut open = self.take()?;
        let (open, matched) = detached(async move {
            let matched = open.execute(statement).await;
            Ok((open, matched))
        })
        .instrument(span)
        .await?;
        self.open = Some(open);
        matched.map_err(failed)
    }

    pub(in crate::sql) async fn commit(mut self) -> Result<()> {
        let open = self.take()?;
        detached(open.commit()).await
    }

    fn take(&mut self) -> Result<Box<dyn Transaction>> {
        self.open.take().ok_or_else(|| failed(sqlx::Error::WorkerCrashed))
    }
}
