//! Turns nodes into typed values and collects every typing error of a file.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{Dialect, Error, ErrorKind, Kind, Mark, Node, Problem, Resolved, Scalar, Tree, resolve::Unresolved};

/// A type that can be read from a node, after the rules of package-format 20.1 (YAML) or 13.5 (JSON).
///
/// Reading never fails: what does not fit is reported to the [`Reader`] and gives the zero value, so that one pass finds
/// every error of a file.
pub trait Read: Default {
    /// Reads a node that is neither null nor an alias.
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self;
}

/// Typing errors of one file that are reported; further ones are dropped.
const MOST_PROBLEMS: usize = 50;

/// What following an alias costs of the reader's budget, since even an empty mapping can become a large value.
const ALIAS_COST: usize = 32;

/// Turns nodes of one tree into values and collects what does not fit.
#[derive(Debug)]
pub struct Reader<'t> {
    dialect: Dialect,
    /// Where in the document the reader is, for messages.
    path: Vec<Segment<'t>>,
    depth: usize,
    max_depth: usize,
    /// What may still be read, in nodes and bytes: aliases must not multiply a small document into a huge value.
    budget: usize,
    typing: Vec<Problem>,
    /// The first error that ends reading, if any.
    fatal: Option<Error>,
}

#[derive(Debug)]
enum Segment<'t> {
    Key(Cow<'t, str>),
    Index(usize),
}

/// The pairs of a mapping with merges applied, keys unique.
#[derive(Debug)]
pub struct Mapping<'t> {
    pairs: Vec<Pair<'t>>,
    dialect: Dialect,
}

/// One pair of a [`Mapping`].
#[derive(Clone, Debug)]
pub struct Pair<'t> {
    /// The key as text.
    pub key: Cow<'t, str>,
    pub key_node: Node<'t>,
    pub value: Node<'t>,
}

impl<'t> Mapping<'t> {
    /// The value of a key: exact in YAML, in any case in JSON (13.5).
    pub fn get(&self, key: &str) -> Option<Node<'t>> {
        let exact = || self.pairs.iter().rev().find(|pair| pair.key == key);
        let pair = match self.dialect {
            Dialect::Yaml => exact(),
            Dialect::Json => {
                exact().or_else(|| self.pairs.iter().rev().find(|pair| pair.key.eq_ignore_ascii_case(key)))
            }
        };
        pair.map(|pair| pair.value)
    }

    /// The pairs in the order of the document, merged ones last.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair<'t>> {
        self.pairs.iter()
    }
}

impl<'t> Reader<'t> {
    pub fn new(tree: &Tree<'_>) -> Self {
        Self {
            dialect: tree.dialect,
            path: Vec::new(),
            depth: 0,
            max_depth: tree.limits.depth,
            // Nodes are looked at more than once: some readers first ask what kind they have.
            budget: 4 * (tree.size + tree.entries.len()) + tree.limits.repeated,
            typing: Vec::new(),
            fatal: None,
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The errors found, if any.
    pub fn finish(self) -> Result<(), Error> {
        match self.fatal {
            Some(error) => Err(error),
            None if self.typing.is_empty() => Ok(()),
            None => Err(Error { kind: ErrorKind::Typing, problems: self.typing }),
        }
    }

    /// Reads a node: null gives the zero value, an alias what it means.
    pub fn read<T: Read>(&mut self, node: Node<'t>) -> T {
        self.value(node).unwrap_or_default()
    }

    /// Reads a node, telling null from a zero value.
    pub fn value<T: Read>(&mut self, node: Node<'t>) -> Option<T> {
        self.nested(node, T::read)
    }

    /// Runs a function on what a node means, one level deeper, unless it is null.
    pub fn nested<T>(&mut self, node: Node<'t>, run: impl FnOnce(Node<'t>, &mut Self) -> T) -> Option<T> {
        let target = self.follow(node)?;
        if target.scalar().is_some_and(Scalar::is_null) {
            return None;
        }
        if self.depth >= self.max_depth {
            self.fail(ErrorKind::Limit, node.mark(), format!("nested deeper than {} levels", self.max_depth));
            return None;
        }
        self.depth += 1;
        let value = run(target, self);
        self.depth -= 1;
        Some(value)
    }

    /// The value of a mapping's key; absent and null give the zero value.
    pub fn field<T: Read>(&mut self, mapping: &Mapping<'t>, key: &'static str) -> T {
        mapping.get(key).map_or_else(T::default, |node| self.at_key(Cow::Borrowed(key), |reader| reader.read(node)))
    }

    /// Runs a function with a key added to the path of messages.
    pub fn at_key<T>(&mut self, key: Cow<'t, str>, run: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Segment::Key(key));
        let value = run(self);
        self.path.pop();
        value
    }

    /// Runs a function with an index added to the path of messages.
    pub fn at_index<T>(&mut self, index: usize, run: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Segment::Index(index));
        let value = run(self);
        self.path.pop();
        value
    }

    /// The items of a sequence; null ones are left out (20.1). Anything else is a typing error.
    pub fn items<T: Read>(&mut self, node: Node<'t>) -> Vec<T> {
        let Some(node) = self.follow(node) else { return Vec::new() };
        if !matches!(node.kind(), Kind::Sequence) {
            self.mismatch(node, "list");
            return Vec::new();
        }
        let mut items = Vec::new();
        for (index, item) in node.children().enumerate() {
            if self.is_done() {
                break;
            }
            items.extend(self.at_index(index, |reader| reader.value(item)));
        }
        items
    }

    /// The pairs of a mapping. Anything else, and a key that occurs twice, is a typing error.
    pub fn mapping(&mut self, node: Node<'t>) -> Option<Mapping<'t>> {
        let node = self.follow(node)?;
        if !matches!(node.kind(), Kind::Mapping) {
            self.mismatch(node, "mapping");
            return None;
        }
        self.pairs(node, true)
    }

    /// The pairs of a node known to be a mapping, those of a key that occurs twice included.
    pub(crate) fn loose_mapping(&mut self, node: Node<'t>) -> Option<Mapping<'t>> {
        self.pairs(node, false)
    }

    /// The pairs of a node known to be a mapping; `unique` says whether a key that occurs twice is an error.
    fn pairs(&mut self, node: Node<'t>, unique: bool) -> Option<Mapping<'t>> {
        let mut pairs: Vec<Pair<'t>> = Vec::new();
        let mut lines: HashMap<&'t str, u32> = HashMap::new();
        let mut merges = Vec::new();
        for (key_node, value) in node.pairs() {
            self.charge(key_node, 1)?;
            let key = self.follow(key_node)?;
            let Kind::Scalar(scalar) = key.kind() else {
                self.mismatch(key, "string");
                continue;
            };
            let unique = unique && self.dialect == Dialect::Yaml;
            if unique && let Some(line) = lines.insert(&scalar.text, key_node.mark().line) {
                let message = match line {
                    0 => format!("mapping key {:?} is given twice", scalar.text),
                    line => format!("mapping key {:?} already defined at line {line}", scalar.text),
                };
                self.problem(key_node.mark(), message);
                continue;
            }
            let text = match scalar.resolve(self.dialect) {
                Ok(Resolved::Merge) => {
                    merges.push(value);
                    continue;
                }
                Ok(Resolved::Binary(text)) => Cow::Owned(text),
                Ok(Resolved::Null) => Cow::Borrowed(""),
                Ok(_) => Cow::Borrowed(&*scalar.text),
                Err(error) => {
                    self.unresolved(key, &error);
                    return None;
                }
            };
            pairs.push(Pair { key: text, key_node: key, value });
        }
        if !merges.is_empty() {
            let mut known: HashSet<Cow<'t, str>> = pairs.iter().map(|pair| pair.key.clone()).collect();
            for merge in merges {
                self.merge(merge, &mut pairs, &mut known)?;
            }
        }
        Some(Mapping { pairs, dialect: self.dialect })
    }

    /// Adds the pairs that a `<<` brings in and that are not there yet.
    fn merge(&mut self, node: Node<'t>, pairs: &mut Vec<Pair<'t>>, known: &mut HashSet<Cow<'t, str>>) -> Option<()> {
        let source = self.follow(node)?;
        let maps: Vec<Node<'t>> = match source.kind() {
            Kind::Mapping => vec![source],
            Kind::Sequence => source.children().collect(),
            Kind::Scalar(_) | Kind::Alias => {
                self.fail(
                    ErrorKind::Value,
                    node.mark(),
                    "yaml: map merge requires map or sequence of maps as the value",
                );
                return None;
            }
        };
        for map in maps {
            let map = self.follow(map)?;
            if !matches!(map.kind(), Kind::Mapping) {
                self.fail(
                    ErrorKind::Value,
                    map.mark(),
                    "yaml: map merge requires map or sequence of maps as the value",
                );
                return None;
            }
            if self.depth >= self.max_depth {
                self.fail(ErrorKind::Limit, map.mark(), format!("nested deeper than {} levels", self.max_depth));
                return None;
            }
            self.depth += 1;
            let merged = self.pairs(map, true);
            self.depth -= 1;
            pairs.extend(merged?.pairs.into_iter().filter(|pair| known.insert(pair.key.clone())));
        }
        Some(())
    }

    /// The literal text of a scalar, which is what a string target takes in YAML; JSON wants a string.
    pub fn text(&mut self, node: Node<'t>) -> Option<Cow<'t, str>> {
        let Kind::Scalar(scalar) = node.kind() else {
            self.mismatch(node, "string");
            return None;
        };
        self.charge(node, scalar.text.len())?;
        if self.dialect == Dialect::Json && scalar.style == super::Style::Plain {
            self.mismatch(node, "string");
            return None;
        }
        if scalar.tag.is_some() {
            return match scalar.resolve(self.dialect) {
                Ok(Resolved::Binary(text)) => Some(Cow::Owned(text)),
                Ok(_) => Some(Cow::Borrowed(&scalar.text)),
                Err(error) => {
                    self.unresolved(node, &error);
                    None
                }
            };
        }
        Some(Cow::Borrowed(&scalar.text))
    }

    /// What a scalar means, for targets that care; any other node is a typing error against `target`.
    pub fn resolved(&mut self, node: Node<'t>, target: &str) -> Option<Resolved<'t>> {
        let Kind::Scalar(scalar) = node.kind() else {
            self.mismatch(node, target);
            return None;
        };
        self.charge(node, scalar.text.len())?;
        scalar.resolve(self.dialect).map_err(|error| self.unresolved(node, &error)).ok()
    }

    /// Takes nodes and bytes off what may still be read; nothing when that is used up.
    fn charge(&mut self, node: Node<'t>, bytes: usize) -> Option<()> {
        let Some(rest) = self.budget.checked_sub(1 + bytes) else {
            self.fail(ErrorKind::Limit, node.mark(), "document contains excessive aliasing");
            return None;
        };
        self.budget = rest;
        Some(())
    }

    /// The node itself, or what an alias means.
    fn follow(&mut self, node: Node<'t>) -> Option<Node<'t>> {
        self.charge(node, if node.is_alias() { ALIAS_COST } else { 0 })?;
        let target = node.resolve();
        if target.is_none() {
            self.fail(ErrorKind::Syntax, node.mark(), "anchor value contains itself");
        }
        target
    }

    /// Whether reading on is of no use.
    pub fn is_done(&self) -> bool {
        self.fatal.is_some() || self.typing.len() >= MOST_PROBLEMS
    }

    /// Reports a value of the wrong type.
    pub fn mismatch(&mut self, node: Node<'t>, target: &str) {
        let found = match node.kind() {
            Kind::Mapping => "!!map".to_owned(),
            Kind::Sequence => "!!seq".to_owned(),
            Kind::Alias => "alias".to_owned(),
            Kind::Scalar(scalar) => format!("{} `{}`", tag_of(scalar, self.dialect), shortened(&scalar.text, 10)),
        };
        let place = self.place();
        self.problem(node.mark(), format!("cannot unmarshal {found} into {target}{place}"));
    }

    /// Reports something else wrong with a value's type.
    pub fn problem(&mut self, mark: Mark, message: String) {
        if !self.is_done() {
            self.typing.push(Problem { mark, message });
        }
    }

    /// Reports a value that has the right type but no meaning; ends reading.
    pub fn invalid(&mut self, node: Node<'t>, message: impl Into<String>) {
        self.fail(ErrorKind::Value, node.mark(), message);
    }

    fn unresolved(&mut self, node: Node<'t>, error: &Unresolved) {
        self.fail(ErrorKind::Value, node.mark(), format!("yaml: {error}"));
    }

    fn fail(&mut self, kind: ErrorKind, mark: Mark, message: impl Into<String>) {
        if self.fatal.is_none() {
            self.fatal = Some(Error::new(kind, mark, message));
        }
    }

    /// Where the reader is, as a suffix for messages: ` at tools[0].label`.
    fn place(&self) -> String {
        let mut place = String::new();
        for segment in &self.path {
            match segment {
                Segment::Index(index) => place.extend(["[", &index.to_string(), "]"]),
                Segment::Key(key) => {
                    place.push_str(if place.is_empty() { " at " } else { "." });
                    place.push_str(&shortened(key, 64));
                }
            }
        }
        place
    }
}

fn tag_of(scalar: &Scalar<'_>, dialect: Dialect) -> &'static str {
    match scalar.resolve(dialect) {
        Ok(Resolved::Null) => "!!null",
        Ok(Resolved::Bool(_)) => "!!bool",
        Ok(Resolved::Int(_) | Resolved::Uint(_)) => "!!int",
        Ok(Resolved::Float(_)) => "!!float",
        Ok(Resolved::Timestamp(_)) => "!!timestamp",
        Ok(Resolved::Binary(_)) => "!!binary",
        Ok(Resolved::Merge) => "!!merge",
        Ok(Resolved::Text(_)) | Err(_) => "!!str",
    }
}

/// A text of at most `most` bytes: the text, or its beginning.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(most.saturating_sub(3));
    Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default()))
}
