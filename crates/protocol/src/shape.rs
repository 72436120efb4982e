//! What a JSON document of the contract must look like, and how it is mended on its way through.
//!
//! A [`Shape`] is a table. A [`Checker`] walks a document along one, once, without building a tree: it reports what does
//! not fit, and collects the few edits that the contract demands (an absent list becomes `[]`, a price becomes a string,
//! `3.0` becomes `3`, half a surrogate pair becomes U+FFFD). What needs no edit is passed on byte for byte, with the keys
//! that are unknown here and with every digit of its numbers.

mod decimal;
mod mend;
mod scan;
mod walk;

use std::fmt;

pub use mend::Mended;
pub use walk::Checker;

/// What a value must be. `null` is judged by the [`Need`] of the field that holds it; a list may not hold it.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// A number without a fraction.
    Int,
    /// A number.
    Number,
    /// A decimal as a number or a string; it leaves as a string without zeros at its end.
    Decimal,
    /// A string.
    Text,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A string of at least one byte and less than this many.
    Within(usize),
    /// An object with whatever keys.
    Map,
    /// A list.
    List(&'static Shape),
    /// A string, or what the shape says.
    TextOr(&'static Shape),
    /// An object with these fields, and with others that are not checked.
    Object(&'static [Field]),
    /// What the shape says, and a rule over the whole of it: the field and the rule that are broken, if one is.
    Also(&'static Shape, fn(&[u8]) -> Option<(&'static str, &'static str)>),
}

/// One key of an [`Object`](Shape::Object), which has at most 64 of them.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    name: &'static str,
    shape: Shape,
    need: Need,
}

/// What becomes of a field that is absent, null or empty. Texts are JSON.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// It must be there: not null, not `""`, not `0`.
    Given,
    /// It must be there and not be null.
    Present,
    /// Absent or null, it becomes this.
    Or(&'static str),
    /// Absent, it becomes null.
    Null,
    /// Absent, null, or whatever else it is.
    Free,
    /// Null or an empty string, it is left out.
    Omit,
    /// Whatever it is, it becomes this.
    Always(&'static str),
    /// It is left out.
    Never,
}

/// Must be there: not null, not `""`, not `0`.
pub const fn given(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, need: Need::Given }
}

/// Must be there and not be null.
pub const fn present(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, need: Need::Present }
}

/// Becomes `json` when it is absent or null.
pub const fn or(name: &'static str, shape: Shape, json: &'static str) -> Field {
    Field { name, shape, need: Need::Or(json) }
}

/// A string that is empty when it is absent or null.
pub const fn text(name: &'static str) -> Field {
    or(name, Shape::Text, r#""""#)
}

/// Becomes null when it is absent.
pub const fn null(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, need: Need::Null }
}

/// May be absent or null, and stays so.
pub const fn free(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, need: Need::Free }
}

/// Is left out when it is null or an empty string.
pub const fn omit(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, need: Need::Omit }
}

/// Becomes `json`, whatever it was.
pub const fn always(name: &'static str, json: &'static str) -> Field {
    Field { name, shape: Shape::Any, need: Need::Always(json) }
}

/// Is left out.
pub const fn never(name: &'static str) -> Field {
    Field { name, shape: Shape::Any, need: Need::Never }
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Keys and indexes, such as `delta.message.content[2].type`; empty for the document itself.
    pub path: String,
    pub kind: ProblemKind,
}

/// How it does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A value breaks a rule: `required`, `oneof`, ...
    Rule(&'static str),
    /// A value is of another type.
    Type { expected: &'static str, found: &'static str },
    /// The text is no JSON at this byte.
    Malformed { offset: usize },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.kind {
            ProblemKind::Rule("required") if path.is_empty() => f.write_str("expected a value, found null"),
            ProblemKind::Rule(rule) => {
                let name = path.rsplit('.').next().unwrap_or(path);
                write!(f, "Key: '{path}' Error:Field validation for '{name}' failed on the '{rule}' tag")
            }
            ProblemKind::Type { expected, found } if path.is_empty() => write!(f, "expected {expected}, found {found}"),
            ProblemKind::Type { expected, found } => write!(f, "{path}: expected {expected}, found {found}"),
            ProblemKind::Malformed { offset } => write!(f, "invalid JSON at byte {offset}"),
        }
    }
}

/// Everything that does not fit; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// For a document that could not be read at all.
    pub(crate) fn malformed(offset: usize) -> Self {
        Self(vec![Problem { path: String::new(), kind: ProblemKind::Malformed { offset } }])
    }

    /// In the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Whether each of them is a broken rule, so that all types are right.
    pub fn are_rules(&self) -> bool {
        self.0.iter().all(|problem| matches!(problem.kind, ProblemKind::Rule(_)))
    }
}

impl fmt::Display for Problems {
    /// One line a problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests;
