//! A row of a result.

use jiff::Timestamp;
use uuid::Uuid;

use super::driver::Columns;
use super::error::corrupt;
use crate::{Error, RawJson, Result, RuntimeType};

/// A row of a result.
pub(super) struct Row(Box<dyn Columns>);

impl Row {
    pub(super) fn new(columns: Box<dyn Columns>) -> Self {
        Self(columns)
    }

    /// Text or NULL.
    pub(super) fn optional_text(&self, column: &str) -> Result<Option<String>> {
        self.0.text(column).map_err(|error| corrupt(column, error))
    }

    /// Text; NULL is blank, as other writers of the tables mean it.
    pub(super) fn text(&self, column: &str) -> Result<String> {
        Ok(self.optional_text(column)?.unwrap_or_default())
    }

    /// A number; NULL is 0.
    pub(super) fn int(&self, column: &str) -> Result<i64> {
        Ok(self.0.int(column).map_err(|error| corrupt(column, error))?.unwrap_or_default())
    }

    /// A truth value; NULL is false.
    pub(super) fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.0.flag(column).map_err(|error| corrupt(column, error))?.unwrap_or_default())
    }

    /// An id, in a column of type [`Kind::Id`](super::schema::Kind::Id).
    pub(super) fn id(&self, column: &str) -> Result<Uuid> {
        self.0.id(column).map_err(|error| corrupt(column, error))?.ok_or_else(|| corrupt(column, "it is NULL"))
    }

    /// An id in a column of text.
    pub(super) fn id_in_text(&self, column: &str) -> Result<Uuid> {
        Uuid::try_parse(&self.text(column)?).map_err(|error| corrupt(column, error))
    }

    /// A time; NULL is 1970.
    pub(super) fn time(&self, column: &str) -> Result<Timestamp> {
        Ok(self.0.time(column).map_err(|error| corrupt(column, error))?.unwrap_or(Timestamp::UNIX_EPOCH))
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
