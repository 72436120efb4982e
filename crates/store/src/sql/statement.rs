//! Statements and their parameters.

use std::borrow::Cow;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{RawJson, RuntimeType};

/// A parameter.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Int(i64),
    Flag(bool),
    /// For columns of type [`Kind::Id`](super::schema::Kind::Id).
    Id(Uuid),
    Time(Timestamp),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<&RawJson> for Value {
    fn from(json: &RawJson) -> Self {
        json.as_str().into()
    }
}

impl From<Option<&RawJson>> for Value {
    fn from(json: Option<&RawJson>) -> Self {
        json.map(RawJson::as_str).into()
    }
}

impl From<RuntimeType> for Value {
    fn from(kind: RuntimeType) -> Self {
        kind.as_str().into()
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

/// A statement with its parameters, `?` in the text each.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) text: Cow<'static, str>,
    pub(super) values: Vec<Value>,
}

/// A statement; its text holds no outside data.
pub(super) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement { text: text.into(), values: Vec::new() }
}

/// `INSERT INTO table (columns) VALUES (...)`.
pub(super) fn insert<const N: usize>(table: &str, columns: [(&str, Value); N]) -> Statement {
    let names = columns.each_ref().map(|(name, _)| *name).join(", ");
    let values = columns.into_iter().map(|(_, value)| value).collect();
    Statement { text: format!("INSERT INTO {table} ({names}) VALUES ({})", marks(N)).into(), values }
}

/// `?, ?, ...`: as many as there are values in an IN list.
pub(super) fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

impl Statement {
    /// The next parameter.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The next parameters.
    pub(super) fn bind_all<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// More text behind.
    pub(super) fn then(mut self, text: &str) -> Self {
        self.text.to_mut().push_str(text);
        self
    }
}
