//! The document as it is written: nodes with text, style, tag and place.

use std::{borrow::Cow, fmt};

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Error, ErrorKind};

/// A position in a file, line and column counted from 1; line 0 where positions are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    pub line: u32,
    /// In characters.
    pub column: u32,
}

impl Mark {
    pub(super) fn new(line: usize, column: usize) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: narrow(line), column: narrow(column) }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// In single or double quotes.
    Quoted,
    /// Literal `|` or folded `>`.
    Block,
}

/// A scalar as written: no meaning attached yet, see [`super::Resolved`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar<'a> {
    pub text: Cow<'a, str>,
    pub style: Style,
    /// An explicit tag: the suffix of a core tag (`str` for `!!str`), or the whole of any other.
    pub tag: Option<Box<str>>,
}

/// Which language a tree was read from, and with it how strict typing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Yaml,
    Json,
}

/// Bounds on a document, far beyond any real plugin file.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of the text in bytes.
    pub bytes: usize,
    /// Nested collections, aliases followed.
    pub depth: usize,
    pub nodes: usize,
    /// Text and nodes, in bytes and ones, that aliases may repeat.
    pub repeated: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, depth: 100, nodes: 2_000_000, repeated: 4 << 20 }
    }
}

/// The first document of a text.
///
/// Nodes lie in one list in document order, each knowing where its subtree ends: a deep document costs no recursion and
/// a mapping no list of its own.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) dialect: Dialect,
    pub(super) limits: Limits,
    /// Size of the text in bytes.
    pub(super) size: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) data: Data<'a>,
    pub(super) mark: Mark,
    /// Index behind the last node of the subtree.
    pub(super) end: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Data<'a> {
    Scalar(Scalar<'a>),
    Sequence,
    Mapping,
    /// Index of the node meant.
    Alias(u32),
}

/// One node of a tree.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    index: u32,
}

/// What a node is.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'t> {
    Scalar(&'t Scalar<'t>),
    Sequence,
    Mapping,
    Alias,
}

impl<'a> Tree<'a> {
    /// The top node, absent for an empty text.
    pub fn root(&self) -> Option<Node<'_>> {
        (!self.entries.is_empty()).then_some(Node { tree: self, index: 0 })
    }

    /// All scalars, keys included, in the order of the document.
    pub fn scalars(&self) -> impl Iterator<Item = (&Scalar<'a>, Mark)> {
        self.entries.iter().filter_map(|entry| match &entry.data {
            Data::Scalar(scalar) => Some((scalar, entry.mark)),
            Data::Sequence | Data::Mapping | Data::Alias(_) => None,
        })
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn push(&mut self, data: Data<'a>, mark: Mark) -> Result<u32, Error> {
        let index = self.next();
        if self.entries.len() >= self.limits.nodes {
            return Err(Error::new(
                ErrorKind::Limit,
                mark,
                format!("document has more than {} nodes", self.limits.nodes),
            ));
        }
        self.entries.push(Entry { data, mark, end: index + 1 });
        Ok(index)
    }

    pub(super) fn close(&mut self, index: u32) {
        let end = self.next();
        if let Some(entry) = self.entries.get_mut(index as usize) {
            entry.end = end;
        }
    }

    fn next(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }
}

impl<'t> Node<'t> {
    fn entry(self) -> Option<&'t Entry<'t>> {
        self.tree.entries.get(self.index as usize)
    }

    pub fn kind(self) -> Kind<'t> {
        match self.entry().map(|entry| &entry.data) {
            Some(Data::Scalar(scalar)) => Kind::Scalar(scalar),
            Some(Data::Mapping) => Kind::Mapping,
            Some(Data::Sequence) | None => Kind::Sequence,
            Some(Data::Alias(_)) => Kind::Alias,
        }
    }

    pub fn mark(self) -> Mark {
        self.entry().map_or_else(Mark::default, |entry| entry.mark)
    }

    /// The scalar, when the node itself is one.
    pub fn scalar(self) -> Option<&'t Scalar<'t>> {
        match self.kind() {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Sequence | Kind::Mapping | Kind::Alias => None,
        }
    }

    /// The node an alias means, or the node itself; nothing when the alias stands inside what it means.
    pub fn resolve(self) -> Option<Self> {
        let Some(Data::Alias(target)) = self.entry().map(|entry| &entry.data) else { return Some(self) };
        let node = Self { index: *target, ..self };
        node.entry().is_some_and(|entry| entry.end <= self.index).then_some(node)
    }

    pub fn is_alias(self) -> bool {
        matches!(self.kind(), Kind::Alias)
    }

    /// The nodes directly below: items of a sequence, or keys and values of a mapping in turn.
    pub fn children(self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        let end = self.entry().map_or(0, |entry| entry.end);
        let mut next = self.index + 1;
        std::iter::from_fn(move || {
            let node = (next < end).then_some(Node { tree: self.tree, index: next })?;
            next = node.entry()?.end;
            Some(node)
        })
    }

    /// The pairs of a mapping.
    pub fn pairs(self) -> impl Iterator<Item = (Node<'t>, Node<'t>)> + use<'t> {
        let mut children = self.children();
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("kind", &self.kind()).field("mark", &self.mark()).finish()
    }
}

/// Parses the first document of a text, within the default [`Limits`].
pub fn parse(text: &str) -> Result<Tree<'_>, Error> {
    parse_with(text, Limits::default())
}

/// Parses the first document of a text.
pub fn parse_with(text: &str, limits: Limits) -> Result<Tree<'_>, Error> {
    if text.len() > limits.bytes {
        let what = format!("file has {} bytes, at most {} are read", text.len(), limits.bytes);
        return Err(Error::new(ErrorKind::Limit, Mark::default(), what));
    }
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
        bom_inside_document_as_content: true,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
    };
    let mut tree = Tree { entries: Vec::new(), dialect: Dialect::Yaml, limits, size: text.len() };
    let mut open: Vec<u32> = Vec::new();
    let mut anchors: Vec<u32> = Vec::new();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax_error(&error))?;
        let mark = mark_of(span.start);
        let (index, anchor) = match event {
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::Scalar(text, style, anchor, tag) => {
                let (style, mark) = match style {
                    ScalarStyle::Plain => (Style::Plain, mark),
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (Style::Quoted, mark),
                    // A block scalar's span starts at its text, one line below the indicator the reference names.
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        (Style::Block, Mark { line: mark.line.saturating_sub(1).max(1), ..mark })
                    }
                };
                // An empty value is reported as a `~` that takes no room in the text.
                let empty = style == Style::Plain && span.start.index() == span.end.index();
                let text = if empty { Cow::Borrowed("") } else { text };
                let scalar = Scalar { text, style, tag: tag.and_then(|tag| tag_name(&tag)) };
                (tree.push(Data::Scalar(scalar), mark)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let index = tree.push(Data::Sequence, mark)?;
                open.push(index);
                (index, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let index = tree.push(Data::Mapping, mark)?;
                open.push(index);
                (index, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(index) = open.pop() {
                    tree.close(index);
                }
                continue;
            }
            Event::Alias(anchor) => {
                let target = anchor.checked_sub(1).and_then(|at| anchors.get(at)).copied();
                let target = target.ok_or_else(|| Error::new(ErrorKind::Syntax, mark, "unknown anchor referenced"))?;
                tree.push(Data::Alias(target), mark)?;
                continue;
            }
            _ => continue,
        };
        if open.len() > limits.depth {
            return Err(Error::new(ErrorKind::Limit, mark, format!("nested deeper than {} levels", limits.depth)));
        }
        if anchor > 0 {
            // Numbers are handed out in the order of the text, from 1.
            anchors.resize(anchor, index);
            if let Some(last) = anchors.last_mut() {
                *last = index;
            }
        }
    }
    Ok(tree)
}

fn mark_of(marker: granit_parser::Marker) -> Mark {
    Mark::new(marker.line(), marker.col() + 1)
}

/// The tag's name; the lone `!` means no more than that there is none.
fn tag_name(tag: &Tag) -> Option<Box<str>> {
    match tag.suffix_in_namespace("tag:yaml.org,2002:") {
        Some(core) => Some(core.into()),
        None => Some(tag.original()).filter(|tag| tag != "!").map(Into::into),
    }
}

fn syntax_error(error: &granit_parser::ScanError) -> Error {
    use granit_parser::ErrorKind as Found;
    let mark = mark_of(*error.marker());
    let kind = match error.kind() {
        Found::RecursionLimitExceeded => ErrorKind::Limit,
        _ => ErrorKind::Syntax,
    };
    Error::new(kind, mark, format!("{} (column {})", error.kind(), mark.column))
}
