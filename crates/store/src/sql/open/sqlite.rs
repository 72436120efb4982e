use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::ACQUIRE_TIMEOUT;
use crate::sql::connection::Pool;
use crate::sql::error::failed;
use crate::{Error, Result};

/// How long a writer waits for one of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

/// Write-ahead log: readers and the writer do not wait for each other. Every commit is synced (`FULL`), since what was
/// answered to a client as installed must survive a power cut; there are few commits.
pub(super) async fn open(path: &Path) -> Result<Pool> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|error| {
            Error::invalid(format!("cannot create the database's folder {}", folder.display())).with_source(error)
        })?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .disable_statement_logging();
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            // When the disk is full SQLite itself rolls back, which the driver does not notice: it fails to roll back
            // once more, and every transaction after that. Such a connection is replaced.
            .before_acquire(|connection, _| {
                let usable = !connection.is_in_transaction();
                Box::pin(async move { Ok(usable) })
            })
            .max_lifetime(None)
            .idle_timeout(None)
    };
    let opened = async {
        let writer = pool(1).connect_with(options.clone()).await?;
        let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "1"));
        Ok(Pool::Sqlite { readers, writer })
    };
    opened.await.map_err(|error| {
        let kind = failed(error);
        Error::new(kind.kind(), format!("cannot open the database {}", path.display())).with_source(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statement::sql;

    #[tokio::test]
    async fn writing_goes_on_after_the_disk_was_full() {
        let folder = tempfile::tempdir().unwrap();
        let pool = open(&folder.path().join("test.db")).await.unwrap();
        pool.execute(sql("CREATE TABLE things (content TEXT)")).await.unwrap();
        let fill = || sql("INSERT INTO things VALUES (?)").bind("x".repeat(100_000));
        pool.execute(sql("PRAGMA max_page_count = 4")).await.unwrap();
        let mut full = pool.begin().await.unwrap();
        let error = full.execute(fill()).await.unwrap_err();
        assert!(error.to_string().contains("full") && error.is_retryable(), "{error}");
        drop(full);

        // the limit went with the connection, as if there was room again
        let mut tx = pool.begin().await.unwrap();
        tx.execute(fill()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(pool.rows(sql("SELECT content FROM things")).await.unwrap().len(), 1);
    }
}
