//! The language of the tables: what the SDK's models take.

/// What a value must be, by the coercions of the SDK's models.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// Anything that JSON has: no date.
    Json,
    Text,
    /// A version that Python knows.
    Version,
    /// A text of at most that many letters, digits, `_` and `-`; the flag allows capitals.
    Name(usize, bool),
    Bool,
    Int,
    /// A whole number within bounds.
    Within(i128, i128),
    Number,
    /// A number, as a text too.
    Decimal,
    /// A text, a number or a boolean.
    Scalar,
    /// The same or a list.
    ScalarOrList,
    /// A date, a text of one, or a number of seconds.
    Time,
    /// One of these texts, which blanks separate.
    OneOf(&'static str),
    List(&'static Shape),
    /// A list; what Python takes for false counts as an empty one.
    LooseList(&'static Shape),
    /// A mapping of any texts.
    Map,
    /// A mapping of these keys, which blanks separate, to anything.
    Keys(&'static str),
    /// A mapping whose keys are the names of these.
    Named(&'static Shape),
    /// The same as a mapping or as a list, with names.
    NamedOrList(&'static Shape, &'static Shape),
    Object(&'static [Field]),
    /// An object, and a rule over the whole of it.
    Checked(&'static [Field], Rule),
    /// The path of a file of that shape.
    File(&'static Shape),
    /// The same, or what would stand there.
    FileOr(&'static Shape),
    /// Patterns of files with models, by their types.
    Models,
}

/// Rules over several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// `multiple` is for selects, and their defaults are lists exactly when it is true.
    Multiple,
    /// A known template gives the type.
    Template,
}

/// A key of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) key: &'static str,
    /// Another key for the same.
    pub(super) alias: Option<&'static str>,
    pub(super) shape: Shape,
    pub(super) need: Need,
    /// Releases that plugins still use do not know it, or take more.
    pub(super) is_recent: bool,
}

impl Field {
    /// The same, as a key that releases do not know, or take otherwise, which plugins still use.
    pub(super) const fn recent(self) -> Self {
        Self { is_recent: true, ..self }
    }
}

/// What a key may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It must be there.
    Required,
    /// It must be there and may be null.
    Present,
    /// It may be absent, not null.
    Default,
    /// It may be absent or null.
    Optional,
    /// It may be absent, and whatever Python takes for false.
    Loose,
}

const fn field(key: &'static str, shape: Shape, need: Need) -> Field {
    Field { key, alias: None, shape, need, is_recent: false }
}

/// Must be there.
pub(super) const fn req(key: &'static str, shape: Shape) -> Field {
    field(key, shape, Need::Required)
}

/// Must be there and may be null.
pub(super) const fn present(key: &'static str, shape: Shape) -> Field {
    field(key, shape, Need::Present)
}

/// May be absent, not null.
pub(super) const fn def(key: &'static str, shape: Shape) -> Field {
    field(key, shape, Need::Default)
}

/// May be absent or null.
pub(super) const fn opt(key: &'static str, shape: Shape) -> Field {
    field(key, shape, Need::Optional)
}

/// May be absent or empty in any way.
pub(super) const fn loose(key: &'static str, shape: Shape) -> Field {
    field(key, shape, Need::Loose)
}
