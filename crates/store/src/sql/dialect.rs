//! The SQL in which databases differ.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::schema::{Index, Kind, Unique};

/// The SQL of one kind of database.
pub(super) trait Dialect: fmt::Debug + Send + Sync {
    /// OpenTelemetry's name of the system.
    fn name(&self) -> &'static str;

    /// The statement with the driver's placeholders instead of `?`.
    fn placeholders(&self, text: Cow<'static, str>) -> Cow<'static, str> {
        text
    }

    /// Suffix of a SELECT that locks the rows read until the transaction ends.
    fn for_update(&self) -> &'static str {
        " FOR UPDATE"
    }

    /// Suffix of an INSERT that leaves an existing row as it is.
    fn or_keep(&self) -> &'static str {
        " ON CONFLICT DO NOTHING"
    }

    /// Suffix of an INSERT that sets `columns` of a row with the same `key`.
    fn or_update(&self, key: &str, columns: &[&str]) -> String {
        let sets: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        format!(" ON CONFLICT ({key}) DO UPDATE SET {}", sets.join(", "))
    }

    /// The database's time.
    fn clock(&self) -> &'static str;

    /// The database's time plus a parameter of milliseconds.
    fn clock_plus(&self) -> &'static str;

    /// The smallest difference between two times that the database stores.
    fn tick(&self) -> SignedDuration {
        SignedDuration::from_micros(1)
    }

    /// The type of a column.
    fn column_type(&self, kind: Kind) -> Cow<'static, str>;

    /// The statements that create a table and its indexes.
    fn create_table(&self, table: &str, columns: &[String], indexes: &[Index]) -> Vec<String> {
        let created = format!("CREATE TABLE {table} ({})", columns.join(", "));
        [created].into_iter().chain(indexes.iter().map(|index| self.create_index(table, index))).collect()
    }

    /// Adds an index to a table.
    fn create_index(&self, table: &str, index: &Index) -> String {
        let Index { name, columns, unique } = index;
        let unique = if *unique == Unique::No { "" } else { "UNIQUE " };
        format!("CREATE {unique}INDEX {name} ON {table} ({columns})")
    }

    /// All columns of the database as rows of `table_name`, `column_name` and `accepts_null`.
    fn columns_query(&self) -> &'static str;

    /// All indexes of the database as rows of `index_name`.
    fn indexes_query(&self) -> &'static str;

    /// Statements that make nodes which start at the same time change tables one after the other. The second ends what
    /// the first began, if that does not end with the transaction.
    fn migration_lock(&self) -> (Option<&'static str>, Option<&'static str>);

    /// The part of an ALTER TABLE that makes the column `declaration` accept NULL; `None` where no table ever had it.
    fn make_declaration_optional(&self) -> Option<&'static str>;
}

/// A time as the database stores it.
pub(super) fn truncate(dialect: &dyn Dialect, time: Timestamp) -> Timestamp {
    let tick = dialect.tick().as_nanos();
    Timestamp::from_nanosecond(time.as_nanosecond().div_euclid(tick) * tick).unwrap_or(time)
}

/// Milliseconds, as [`clock_plus`](Dialect::clock_plus) takes them.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
