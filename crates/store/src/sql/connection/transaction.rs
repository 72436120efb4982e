//! A transaction on whichever driver.

use super::{Dialect, Driver, Row, Statement, Value, failed, query, whole};
use crate::Result;

/// A transaction; rolled back unless committed.
#[derive(Debug)]
pub(in crate::sql) struct Tx {
    dialect: Dialect,
    /// `None` after a statement that took too long, and while one runs.
    open: Option<Open>,
}

/// A driver's transaction. Dropping it rolls it back before the connection is used again.
#[derive(Debug)]
pub(super) enum Open {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    #[cfg(feature = "postgres")]
    Postgres { tx: sqlx::Transaction<'static, sqlx::Postgres>, pooled_by_server: bool },
    #[cfg(feature = "mysql")]
    MySql(sqlx::Transaction<'static, sqlx::MySql>),
}

impl Tx {
    pub(super) fn new(dialect: Dialect, open: Open) -> Self {
        Self { dialect, open: Some(open) }
    }

    pub(in crate::sql) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(in crate::sql) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>> {
        let mut open = self.take()?;
        let (open, rows) = whole(async move {
            let rows = open.rows(statement).await;
            Ok((open, rows))
        })
        .await?;
        self.open = Some(open);
        rows.map_err(failed)
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
        let mut open = self.take()?;
        let (open, matched) = whole(async move {
            let matched = open.execute(statement).await;
            Ok((open, matched))
        })
        .await?;
        self.open = Some(open);
        matched.map_err(failed)
    }

    pub(in crate::sql) async fn commit(mut self) -> Result<()> {
        let open = self.take()?;
        whole(open.commit()).await
    }

    fn take(&mut self) -> Result<Open> {
        self.open.take().ok_or_else(|| failed(sqlx::Error::WorkerCrashed))
    }
}

impl Open {
    async fn rows(&mut self, statement: Statement) -> sqlx::Result<Vec<Row>> {
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
    }

    async fn execute(&mut self, statement: Statement) -> sqlx::Result<u64> {
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
    }

    async fn commit(self) -> sqlx::Result<()> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(tx) => tx.commit().await,
            #[cfg(feature = "postgres")]
            Self::Postgres { tx, .. } => tx.commit().await,
            #[cfg(feature = "mysql")]
            Self::MySql(tx) => tx.commit().await,
        }
    }
}
