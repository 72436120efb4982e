//! SQLite.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

use super::ACQUIRE_TIMEOUT;
use crate::folder::owners;
use crate::sql::dialect::Dialect;
use crate::sql::driver::{Connections, Driver, Pools, connections, parse_id};
use crate::sql::error::{cause, kind};
use crate::sql::schema::Kind;
use crate::sql::statement::Statement;
use crate::{Error, Result};

/// How long a writer waits for one of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

/// SQLite's SQL.
#[derive(Debug)]
struct Sqlite;

impl Dialect for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    /// None: transactions exclude each other.
    fn for_update(&self) -> &'static str {
        ""
    }

    fn clock(&self) -> &'static str {
        "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
    }

    fn clock_plus(&self) -> &'static str {
        "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', (? / 1000.0) || ' seconds')"
    }

    fn column_type(&self, kind: Kind) -> Cow<'static, str> {
        match kind {
            Kind::Id => "char(36)".into(),
            // SQLite has no times; with the affinity of text, the text written is the text read.
            Kind::Time | Kind::Long => "text".into(),
            Kind::Text(length) => format!("varchar({length})").into(),
            Kind::Int => "bigint".into(),
            Kind::Flag => "boolean".into(),
        }
    }

    fn columns_query(&self) -> &'static str {
        "SELECT m.name AS table_name, c.name AS column_name, c.\"notnull\" = 0 AS accepts_null \
         FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
    }

    fn indexes_query(&self) -> &'static str {
        "SELECT name AS index_name FROM sqlite_master WHERE type = 'index'"
    }

    fn migration_lock(&self) -> (Option<&'static str>, Option<&'static str>) {
        (None, None)
    }

    fn make_declaration_optional(&self) -> Option<&'static str> {
        None
    }
}

impl Driver for sqlx::Sqlite {
    type Id = String;
    type Time = String;

    fn id_parameter(id: Uuid) -> String {
        id.to_string()
    }

    /// RFC 3339 in UTC with six digits: sorts by time.
    fn time_parameter(time: Timestamp) -> String {
        format!("{time:.6}")
    }

    fn id(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Uuid>> {
        parse_id(sqlx::Row::try_get_unchecked(row, column)?)
    }

    fn time(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
        let text: Option<String> = sqlx::Row::try_get_unchecked(row, column)?;
        text.map(|text| text.parse()).transpose().map_err(|error: jiff::Error| sqlx::Error::Decode(error.into()))
    }
}

// SQLite types values, not columns, so a value is not checked against its column's type.
connections!(sqlx::Sqlite, SqliteRow, try_get_unchecked);

/// Write-ahead log: readers and the writer do not wait for each other. Every commit is synced (`FULL`), since what was
/// answered to a client as installed must survive a power cut; there are few commits.
pub(super) async fn open(path: &Path) -> Result<Arc<dyn Connections>> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|error| {
            let text =
                format!("cannot create the folder {} of the database: {error}{}", folder.display(), owners(folder));
            Error::invalid(text).in_variables(VARIABLES)
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
        let writers = pool(1).connect_with(options.clone()).await?;
        let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "1"));
        Ok(Pools { dialect: &Sqlite, readers, writers, begin: Some(BEGIN), pooled_by_server: false })
    };
    match opened.await {
        Ok(pools) => Ok(Arc::new(pools)),
        Err(error) => Err(refused(path, &error)),
    }
}

/// Takes the write lock at once: a transaction that reads first could not get it later.
const BEGIN: &str = "BEGIN IMMEDIATE";

const VARIABLES: &[&str] = &["DB_DATABASE", "PLUGIN_DATA_PATH"];

fn refused(path: &Path, error: &sqlx::Error) -> Error {
    /// SQLite's primary result codes.
    const IO_ERROR: i32 = 10;
    const CANNOT_OPEN: i32 = 14;
    const PROTOCOL: i32 = 15;
    const READ_ONLY: i32 = 8;
    const NOT_A_DATABASE: i32 = 26;
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok()).map(|code| code & 0xff);
    let remedy = match code {
        Some(CANNOT_OPEN | READ_ONLY) => owners(path),
        Some(IO_ERROR | PROTOCOL) => {
            "; SQLite needs a local file system with locks and shared memory (no NFS or SMB), others need a database \
             server (DB_TYPE)"
                .to_owned()
        }
        Some(NOT_A_DATABASE) => "; move the file away, or name another one".to_owned(),
        _ => String::new(),
    };
    let text = format!("cannot open the SQLite database {}: {}{remedy}", path.display(), cause(error));
    Error::new(kind(error), text).in_variables(VARIABLES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::connection::Pool;
    use crate::sql::statement::sql;

    #[tokio::test]
    async fn writing_goes_on_after_the_disk_was_full() {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool(open(&folder.path().join("test.db")).await.unwrap());
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
