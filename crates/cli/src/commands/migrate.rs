//! `dify migrate` (cli 9)

use anyhow::Result;
use clap::Args;
use plugin_store::Database;

use super::database::database;
use crate::executor::block_on;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Debug, Args)]
#[command(after_help = "\
The database is configured by the daemon's variables: DB_TYPE, DB_HOST, DB_PORT, DB_USERNAME, DB_PASSWORD, DB_DATABASE,
DB_SSL_MODE. Those that are not set are taken from .env in the working folder. Missing tables, columns and indexes are
added, nothing is dropped. The daemon does the same when it starts; this command does it beforehand.

Example:
  DB_TYPE=sqlite DB_DATABASE=daemon.db dify migrate")]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) fn run(printer: Printer) -> Result<()> {
        let config = database()?.ok_or_else(|| {
            Failure::new("invalid configuration: no variable names a database")
                .hint("set DB_HOST, DB_USERNAME, DB_PASSWORD and DB_DATABASE, or DB_TYPE=sqlite")
        })?;
        block_on(async {
            let database = Database::open(&config)
                .await
                .map_err(|error| Failure::new("failed to run migrations").because(error))?;
            database.close().await;
            Ok(())
        })?;
        Ok(printer.line("database migration completed successfully")?)
    }
}
