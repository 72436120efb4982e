use jiff::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::connection::from_offset;
use super::error::corrupt;
use crate::{Error, RawJson, Result, RuntimeType};

/// A row of an answer.
pub(super) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
    #[cfg(feature = "mysql")]
    MySql(sqlx::mysql::MySqlRow),
}

/// A column of a row as a type that every driver decodes alike. SQLite types values, not columns, so there the check
/// against the column's type is left out.
macro_rules! get {
    ($row:expr, $column:expr, $as:ty) => {
        match $row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(row) => row.try_get_unchecked::<$as, _>($column),
            #[cfg(feature = "postgres")]
            Row::Postgres(row) => row.try_get::<$as, _>($column),
            #[cfg(feature = "mysql")]
            Row::MySql(row) => row.try_get::<$as, _>($column),
        }
        .map_err(|error| corrupt($column, error))
    };
}

impl Row {
    #[cfg(feature = "sqlite")]
    pub(super) fn sqlite(rows: Vec<sqlx::sqlite::SqliteRow>) -> Vec<Self> {
        rows.into_iter().map(Self::Sqlite).collect()
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(rows: Vec<sqlx::postgres::PgRow>) -> Vec<Self> {
        rows.into_iter().map(Self::Postgres).collect()
    }

    #[cfg(feature = "mysql")]
    pub(super) fn mysql(rows: Vec<sqlx::mysql::MySqlRow>) -> Vec<Self> {
        rows.into_iter().map(Self::MySql).collect()
    }

    /// Text or NULL.
    pub(super) fn optional_text(&self, column: &str) -> Result<Option<String>> {
        get!(self, column, Option<String>)
    }

    /// A number; NULL is 0.
    pub(super) fn int(&self, column: &str) -> Result<i64> {
        Ok(get!(self, column, Option<i64>)?.unwrap_or_default())
    }

    /// A truth value; NULL is false.
    pub(super) fn flag(&self, column: &str) -> Result<bool> {
        Ok(get!(self, column, Option<bool>)?.unwrap_or_default())
    }

    /// An id, in a column of type [`Kind::Id`](super::schema::Kind::Id).
    pub(super) fn id(&self, column: &str) -> Result<Uuid> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column).map_err(|error| corrupt(column, error)),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            _ => self.id_in_text(column),
        }
    }

    /// An id in a column of text.
    pub(super) fn id_in_text(&self, column: &str) -> Result<Uuid> {
        let text = get!(self, column, String)?;
        Uuid::try_parse(&text).map_err(|error| corrupt(column, error))
    }

    /// A time; NULL is 1970.
    pub(super) fn time(&self, column: &str) -> Result<Timestamp> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => {
                let text: Option<String> = row.try_get_unchecked(column).map_err(|error| corrupt(column, error))?;
                text.map_or(Ok(Timestamp::UNIX_EPOCH), |text| text.parse().map_err(|error| corrupt(column, error)))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => {
                let time: Option<time::OffsetDateTime> = row.try_get(column).map_err(|error| corrupt(column, error))?;
                time.map_or(Ok(Timestamp::UNIX_EPOCH), from_offset)
            }
            #[cfg(feature = "mysql")]
            Self::MySql(row) => {
                let time: Option<time::OffsetDateTime> = row.try_get(column).map_err(|error| corrupt(column, error))?;
                time.map_or(Ok(Timestamp::UNIX_EPOCH), from_offset)
            }
        }
    }

    /// Text; NULL is blank, as other writers of the tables mean it.
    pub(super) fn text(&self, column: &str) -> Result<String> {
        Ok(self.optional_text(column)?.unwrap_or_default())
    }

    /// JSON; NULL and blank are `None`.
    pub(super) fn json(&self, column: &str) -> Result<Option<RawJson>> {
        match self.optional_text(column)? {
            Some(text) if !text.trim().is_empty() => RawJson::new(text)
                .map(Some)
                .map_err(|error| Error::invalid(format!("column {column} of the database")).with_source(error)),
            _ => Ok(None),
        }
    }

    pub(super) fn runtime_type(&self, column: &str) -> Result<RuntimeType> {
        self.parsed(column, RuntimeType::parse)
    }

    /// A word of a closed set.
    pub(super) fn parsed<T>(&self, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let text = self.text(column)?;
        parse(&text).ok_or_else(|| Error::invalid(format!("column {column} of the database has the value {text:?}")))
    }
}
