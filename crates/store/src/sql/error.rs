//! Failures of a database, in words of this crate.

use std::fmt;

use super::connection::STATEMENT_TIMEOUT;
use crate::{Error, ErrorKind};

/// A failure of a statement.
pub(super) fn failed(error: sqlx::Error) -> Error {
    Error::new(kind(&error), "database").with_source(Cause(error))
}

/// A value that is not what its column promises.
pub(super) fn corrupt(column: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Other, format!("column {column} of the database cannot be read")).with_source(error)
}

/// A row vanished or appeared between two statements of a transaction.
pub(super) fn lost_race(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what} was changed at the same time")).with_source(LostRace)
}

#[derive(Debug)]
struct LostRace;

impl fmt::Display for LostRace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another transaction won")
    }
}

impl std::error::Error for LostRace {}

/// An error of the driver, without the driver's own phrases around it.
#[derive(Debug)]
struct Cause(sqlx::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cause(&self.0))
    }
}

impl std::error::Error for Cause {}

/// What a driver's error says.
pub(super) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) if code.len() == SQLSTATE_LENGTH => format!("{} (SQLSTATE {code})", error.message()),
            Some(code) => format!("{} (code {code})", error.message()),
            None => error.message().to_owned(),
        },
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs())
        }
        sqlx::Error::Io(error) => format!("connection failed: {error}"),
        sqlx::Error::Tls(error) => format!("TLS: {error}"),
        sqlx::Error::PoolTimedOut => {
            "the server cannot be reached, or all connections were in use for too long".to_owned()
        }
        sqlx::Error::PoolClosed => "the connections are closed".to_owned(),
        sqlx::Error::WorkerCrashed => "the connection was given up after an earlier failure".to_owned(),
        other => other.to_string(),
    }
}

/// True if the same transaction may well succeed when it is begun anew.
pub(super) fn is_lost_race(error: &Error) -> bool {
    let Some(source) = error.cause() else { return false };
    match source.downcast_ref::<Cause>() {
        Some(Cause(sqlx::Error::Database(_))) => {
            matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict)
        }
        Some(_) => false,
        None => source.is::<LostRace>(),
    }
}

pub(super) fn kind(error: &sqlx::Error) -> ErrorKind {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => ErrorKind::Unavailable,
        sqlx::Error::Database(error) if error.is_unique_violation() => ErrorKind::Conflict,
        sqlx::Error::Database(error) => match error.code() {
            Some(code) if is_transient_in_sqlite(&code) || is_transient_sqlstate(&code) => ErrorKind::Unavailable,
            // Data exceptions: too long, not of the column's type.
            Some(code) if code.len() == SQLSTATE_LENGTH && code.starts_with("22") => ErrorKind::Invalid,
            _ => ErrorKind::Other,
        },
        _ => ErrorKind::Other,
    }
}

pub(super) const SQLSTATE_LENGTH: usize = 5;

/// Connection trouble (08), deadlock and serialisation (40), too many connections or a full disk (53), locked (55P03),
/// shutting down (57P).
fn is_transient_sqlstate(code: &str) -> bool {
    code.len() == SQLSTATE_LENGTH && ["08", "40", "53", "55P03", "57P"].iter().any(|class| code.starts_with(class))
}

/// SQLite's codes for busy, locked and a full disk with their extended codes, as decimal numbers.
fn is_transient_in_sqlite(code: &str) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const FULL: i32 = 13;
    code.len() != SQLSTATE_LENGTH && code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, BUSY | LOCKED | FULL))
}
