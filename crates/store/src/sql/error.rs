use crate::{Error, ErrorKind};

/// A failure of a driver.
pub(super) fn failed(error: sqlx::Error) -> Error {
    Error::new(kind(&error), "database").with_source(error)
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

impl std::fmt::Display for LostRace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("another transaction won")
    }
}

impl std::error::Error for LostRace {}

/// True if the same transaction may well succeed when it is begun anew.
pub(super) fn is_lost_race(error: &Error) -> bool {
    let Some(source) = error.cause() else { return false };
    match source.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(_)) => matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict),
        Some(_) => false,
        None => source.is::<LostRace>(),
    }
}

fn kind(error: &sqlx::Error) -> ErrorKind {
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

const SQLSTATE_LENGTH: usize = 5;

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
