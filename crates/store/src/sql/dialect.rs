use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "without its driver"))]
    Sqlite,
    Postgres,
    MySql,
}

impl Dialect {
    /// The statement with the driver's placeholders.
    pub(super) fn placeholders(self, text: Cow<'static, str>) -> Cow<'static, str> {
        if self != Self::Postgres {
            return text;
        }
        let mut numbered = String::with_capacity(text.len() + 16);
        let mut parts = text.split('?');
        numbered.push_str(parts.next().unwrap_or_default());
        for (index, part) in parts.enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(numbered, "${}", index + 1);
            numbered.push_str(part);
        }
        numbered.into()
    }

    /// Suffix that locks the rows read until the transaction ends. SQLite's transactions exclude each other anyway.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres | Self::MySql => " FOR UPDATE",
        }
    }

    /// Suffix of an INSERT that leaves an existing row as it is.
    pub(super) fn or_keep(self) -> &'static str {
        match self {
            Self::Sqlite | Self::Postgres => " ON CONFLICT DO NOTHING",
            Self::MySql => " ON DUPLICATE KEY UPDATE id = id",
        }
    }

    /// Suffix of an INSERT that sets `columns` of a row with the same `key`.
    pub(super) fn or_update(self, key: &str, columns: &[&str]) -> String {
        let (start, open, close) = match self {
            Self::Sqlite | Self::Postgres => (format!(" ON CONFLICT ({key}) DO UPDATE SET "), "excluded.", ""),
            Self::MySql => (" ON DUPLICATE KEY UPDATE ".to_owned(), "VALUES(", ")"),
        };
        let sets: Vec<String> = columns.iter().map(|column| format!("{column} = {open}{column}{close}")).collect();
        start + &sets.join(", ")
    }

    /// The database's time.
    pub(super) fn clock(self) -> &'static str {
        match self {
            Self::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
            Self::Postgres => "clock_timestamp()",
            Self::MySql => "UTC_TIMESTAMP(3)",
        }
    }

    /// The database's time and a parameter of milliseconds.
    pub(super) fn clock_plus(self) -> &'static str {
        match self {
            Self::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', (? / 1000.0) || ' seconds')",
            Self::Postgres => "clock_timestamp() + ? * interval '1 millisecond'",
            Self::MySql => "UTC_TIMESTAMP(3) + INTERVAL (? * 1000) MICROSECOND",
        }
    }

    /// The smallest difference between two times that the database keeps.
    pub(super) fn tick(self) -> SignedDuration {
        match self {
            Self::Sqlite | Self::Postgres => SignedDuration::from_micros(1),
            Self::MySql => SignedDuration::from_millis(1),
        }
    }

    /// A time as the database keeps it.
    pub(super) fn truncate(self, time: Timestamp) -> Timestamp {
        let truncated = match self {
            Self::Sqlite | Self::Postgres => Timestamp::from_microsecond(time.as_microsecond()),
            Self::MySql => Timestamp::from_millisecond(time.as_millisecond()),
        };
        truncated.unwrap_or(time)
    }
}

/// Milliseconds, as [`clock_plus`](Dialect::clock_plus) takes them.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_for_postgres() {
        let text = || Cow::Borrowed("a = ? AND b IN (?, ?)");
        assert_eq!(Dialect::Postgres.placeholders(text()), "a = $1 AND b IN ($2, $3)");
        assert_eq!(Dialect::MySql.placeholders(text()), "a = ? AND b IN (?, ?)");
    }

    #[test]
    fn upserts() {
        assert_eq!(
            Dialect::Postgres.or_update("k", &["a", "b"]),
            " ON CONFLICT (k) DO UPDATE SET a = excluded.a, b = excluded.b"
        );
        assert_eq!(Dialect::MySql.or_update("k", &["a", "b"]), " ON DUPLICATE KEY UPDATE a = VALUES(a), b = VALUES(b)");
    }
}
