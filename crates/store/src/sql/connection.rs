//! Statements and transactions with a time limit, on any driver.

mod transaction;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use super::dialect::Dialect;
use super::driver::{Columns, Connections};
use super::error::failed;
use super::row::Row;
use super::statement::Statement;
use crate::Result;

pub(super) use self::transaction::Tx;

/// How long a statement may take, the wait for a connection included: a server that stops answering must not block its
/// callers.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs the work in a task of its own, so that it completes even if the caller is dropped: a connection that is dropped
/// during a statement, or before the driver knows that a transaction has begun, cannot be used again.
async fn detached<T: Send + 'static>(work: impl Future<Output = sqlx::Result<T>> + Send + 'static) -> Result<T> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    let work = tokio::spawn(async move { timeout(STATEMENT_TIMEOUT, work).await.unwrap_or_else(late) });
    work.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)).map_err(failed)
}

/// The span of a statement, which has no parameters in its text either.
fn span(dialect: &dyn Dialect, statement: &Statement) -> Span {
    let operation = statement.text.split_ascii_whitespace().next().unwrap_or_default();
    tracing::trace_span!(
        target: "plugin_trace",
        "statement",
        otel.kind = "client",
        otel.name = operation,
        db.system.name = dialect.name(),
        db.operation.name = operation,
        db.query.text = %statement.text,
    )
}

/// For `DB_GORM_LOG_LEVEL=info`: the text without its parameters, at a target of its own.
fn log(statement: &Statement) {
    tracing::trace!(target: "plugin_store::statements", sql = %statement.text, "statement");
}

fn rows(columns: Vec<Box<dyn Columns>>) -> Vec<Row> {
    columns.into_iter().map(Row::new).collect()
}

/// Connections to one database.
#[derive(Clone, Debug)]
pub(super) struct Pool(pub(super) Arc<dyn Connections>);

impl Pool {
    pub(super) fn dialect(&self) -> &'static dyn Dialect {
        self.0.dialect()
    }

    pub(super) async fn rows(&self, statement: Statement) -> Result<Vec<Row>> {
        if self.0.needs_transactions() {
            let mut tx = self.begin().await?;
            let rows = tx.rows(statement).await?;
            return tx.commit().await.map(|()| rows);
        }
        log(&statement);
        let span = span(self.dialect(), &statement);
        let connections = Arc::clone(&self.0);
        detached(async move { connections.rows(statement).await }).instrument(span).await.map(rows)
    }

    /// Rows matched.
    pub(super) async fn execute(&self, statement: Statement) -> Result<u64> {
        if self.0.needs_transactions() {
            let mut tx = self.begin().await?;
            let matched = tx.execute(statement).await?;
            return tx.commit().await.map(|()| matched);
        }
        log(&statement);
        let span = span(self.dialect(), &statement);
        let connections = Arc::clone(&self.0);
        detached(async move { connections.execute(statement).await }).instrument(span).await
    }

    pub(super) async fn begin(&self) -> Result<Tx> {
        let connections = Arc::clone(&self.0);
        let open = detached(async move { connections.begin().await }).await?;
        Ok(Tx::new(self.dialect(), open))
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}
