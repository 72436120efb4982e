//! Walks the files of a plugin along the tables.

use std::fmt::Write as _;

use super::Problem;
use super::coerce::{expected, fits, is_name, is_true, whole};
use super::python::{self, Value};
use super::shape::{Field, Need, Rule, Shape};
use super::tables::{MANIFEST, MODEL, POSITIONS};
use crate::declaration::is_template;
use crate::glob::Pattern;
use crate::locate::{self, Place};
use crate::yaml::{self, Kind, Mapping, Mark, Node, Reader, Tree};
use crate::{Files, dify};

/// More problems than this are not collected.
const MOST: usize = 100;
/// Types of models whose patterns the SDK follows.
const MODEL_KEYS: [&str; 6] = ["llm", "text_embedding", "rerank", "tts", "speech2text", "moderation"];

const QUOTE: &str = "put the value in quotes";
const TYPE: &str = "give the key a value of that type";
const ADD: &str = "add the key";
const ALLOWED: &str = "write a value that is allowed";

pub(super) fn run(files: &dyn Files) -> Vec<Problem> {
    let mut walker = Walker {
        files,
        file: String::new(),
        path: String::new(),
        mark: Mark::default(),
        is_recent: false,
        problems: Vec::new(),
    };
    walker.file(locate::MANIFEST, &MANIFEST);
    walker.problems
}

struct Walker<'f> {
    files: &'f dyn Files,
    /// The file that is read.
    file: String,
    /// The field that is looked at, and where it begins.
    path: String,
    mark: Mark,
    /// Whether it is part of a field that not every release knows.
    is_recent: bool,
    problems: Vec<Problem>,
}

impl Walker<'_> {
    /// Checks a file that another names.
    fn file(&mut self, file: &str, shape: &Shape) {
        let outer = (
            std::mem::replace(&mut self.file, file.to_owned()),
            std::mem::take(&mut self.path),
            std::mem::take(&mut self.mark),
        );
        if self.problems.len() < MOST
            && let Ok(bytes) = self.files.read(file)
            && let Ok(text) = yaml::text(&bytes)
        {
            if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
                self.problem("is in UTF-16, which the SDK does not read", "save the file as UTF-8");
            } else if let Ok(tree) = yaml::parse(&text) {
                self.root(&tree, shape);
            }
        }
        (self.file, self.path, self.mark) = outer;
    }

    fn root(&mut self, tree: &Tree<'_>, shape: &Shape) {
        match tree.root() {
            Some(root) => {
                self.mark = root.mark();
                self.value(root, shape, tree);
            }
            None => self.final_problem("is empty", "write the declaration"),
        }
    }

    /// Adds what this release refuses, and another may take.
    fn problem(&mut self, reason: impl Into<String>, fix: &'static str) {
        self.add(reason.into(), fix, false);
    }

    /// Adds what no release takes that knows the field.
    fn final_problem(&mut self, reason: impl Into<String>, fix: &'static str) {
        self.add(reason.into(), fix, !self.is_recent);
    }

    fn add(&mut self, reason: String, fix: &'static str, is_final: bool) {
        if self.problems.len() < MOST {
            let place = Place::new(self.file.clone(), Some(self.mark));
            self.problems.push(Problem {
                place,
                field: self.path.clone(),
                reason,
                fix,
                is_missing: fix == ADD,
                is_final,
            });
        }
    }

    /// Runs a function one step deeper.
    fn at(&mut self, step: std::fmt::Arguments<'_>, mark: Mark, run: impl FnOnce(&mut Self)) {
        let (length, outer) = (self.path.len(), std::mem::replace(&mut self.mark, mark));
        // writing to a String never fails
        let _ = self.path.write_fmt(step);
        run(self);
        self.path.truncate(length);
        self.mark = outer;
    }

    fn at_key(&mut self, key: &str, mark: Mark, run: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.at(format_args!("{dot}{key}"), mark, run);
    }

    fn items<'t>(&mut self, node: Node<'t>, mut run: impl FnMut(&mut Self, Node<'t>)) {
        for (index, item) in node.children().enumerate() {
            self.at(format_args!("[{index}]"), item.mark(), |walker| run(walker, item));
        }
    }

    /// Checks a value that is not null.
    fn value<'t>(&mut self, node: Node<'t>, shape: &Shape, tree: &'t Tree<'t>) {
        let Some(node) = node.resolve() else { return };
        match shape {
            Shape::Any => {}
            Shape::List(item) | Shape::LooseList(item) => match node.kind() {
                Kind::Sequence => self.items(node, |walker, inner| walker.item(inner, item, tree)),
                _ => self.mismatch(node, "a list"),
            },
            Shape::Map => self.keys(node, None, tree),
            Shape::Keys(known) => self.keys(node, Some(known), tree),
            Shape::Named(item) => self.named(node, item, tree),
            Shape::NamedOrList(named, listed) => match node.kind() {
                Kind::Sequence => self.items(node, |walker, inner| walker.item(inner, listed, tree)),
                _ => self.named(node, named, tree),
            },
            Shape::Object(fields) => drop(self.object(node, fields, None, tree)),
            Shape::Checked(fields, rule) => {
                if let Some(mapping) = self.object(node, fields, Some(*rule), tree)
                    && *rule == Rule::Multiple
                {
                    self.multiple(&mapping);
                }
            }
            Shape::FileOr(shape) if matches!(node.kind(), Kind::Mapping) => self.value(node, shape, tree),
            Shape::File(shape) | Shape::FileOr(shape) => self.path_of(node, shape),
            Shape::Models => self.models(node, tree),
            // what a default may be has grown with the releases
            Shape::Scalar | Shape::ScalarOrList | Shape::Json => {
                self.recent(true, |walker| walker.scalar(node, shape));
            }
            _ => self.scalar(node, shape),
        }
    }

    /// Runs a function on what releases may know or not.
    fn recent(&mut self, is_recent: bool, run: impl FnOnce(&mut Self)) {
        let outer = self.is_recent;
        self.is_recent |= is_recent;
        run(self);
        self.is_recent = outer;
    }

    /// An item of a list, which may not be null.
    fn item<'t>(&mut self, node: Node<'t>, shape: &Shape, tree: &'t Tree<'t>) {
        if is_null(node) && !matches!(shape, Shape::Any) {
            return self.final_problem("must not be null", "take the item out, or give it a value");
        }
        self.value(node, shape, tree);
    }

    fn mapping<'t>(&mut self, node: Node<'t>, tree: &'t Tree<'t>) -> Option<Mapping<'t>> {
        if matches!(node.kind(), Kind::Mapping) {
            return Reader::new(tree).mapping(node);
        }
        self.mismatch(node, "a mapping");
        None
    }

    fn object<'t>(
        &mut self,
        node: Node<'t>,
        fields: &[Field],
        rule: Option<Rule>,
        tree: &'t Tree<'t>,
    ) -> Option<Mapping<'t>> {
        let mapping = self.mapping(node, tree)?;
        let has_template = rule == Some(Rule::Template) && text_of(&mapping, "use_template").is_some_and(is_template);
        for field in fields {
            let pair = mapping.pairs().find(|pair| pair.key == field.key || Some(&*pair.key) == field.alias);
            let Some(pair) = pair else {
                let is_given = has_template && field.key == "type";
                if matches!(field.need, Need::Required | Need::Present) && !is_given {
                    self.recent(field.is_recent, |walker| {
                        walker.at_key(field.key, walker.mark, |walker| walker.final_problem("is missing", ADD));
                    });
                }
                continue;
            };
            let (key, value) = (field.key, pair.value);
            self.recent(field.is_recent, |walker| {
                walker.at_key(key, pair.key_node.mark(), |walker| match field.need {
                    Need::Required | Need::Default if is_null(value) => {
                        walker.final_problem("must not be null", "give the key a value, or take it out");
                    }
                    Need::Present | Need::Optional if is_null(value) => {}
                    Need::Loose if is_false(value) => {}
                    _ => walker.value(value, &field.shape, tree),
                });
            });
        }
        Some(mapping)
    }

    /// A mapping with keys that are texts, or of a set.
    fn keys<'t>(&mut self, node: Node<'t>, known: Option<&str>, tree: &'t Tree<'t>) {
        let Some(mapping) = self.mapping(node, tree) else { return };
        for pair in mapping.pairs() {
            let is_text = pair.key_node.scalar().is_some_and(|key| matches!(python::value(key), Value::Text(_)));
            let mark = pair.key_node.mark();
            self.at_key(&pair.key, mark, |walker| match known {
                Some(known) if !has_word(known, &pair.key) => {
                    walker.problem(format!("is none of {}", listed(known)), "take the key out");
                }
                None if !is_text => walker.problem("is a key that is no text to Python", "put the key in quotes"),
                _ => {}
            });
        }
    }

    fn named<'t>(&mut self, node: Node<'t>, shape: &Shape, tree: &'t Tree<'t>) {
        let Some(mapping) = self.mapping(node, tree) else { return };
        for pair in mapping.pairs() {
            let mark = pair.key_node.mark();
            self.at_key(&pair.key, mark, |walker| match pair.value.resolve().map(Node::kind) {
                Some(Kind::Mapping) => walker.value(pair.value, shape, tree),
                _ => walker.mismatch(pair.value, "a mapping"),
            });
        }
    }

    fn path_of(&mut self, node: Node<'_>, shape: &Shape) {
        self.scalar(node, &Shape::Text);
        if let Some(scalar) = node.scalar() {
            self.file(&scalar.text, shape);
        }
    }

    /// The files that the patterns of a model provider match.
    fn models<'t>(&mut self, node: Node<'t>, tree: &'t Tree<'t>) {
        let Some(mapping) = self.mapping(node, tree) else { return };
        for key in MODEL_KEYS {
            let Some(pair) = mapping.pairs().find(|pair| pair.key == key) else { continue };
            let (key_node, value) = (pair.key_node, pair.value);
            self.at_key(key, key_node.mark(), |walker| {
                let Some(value) = value.resolve() else { return };
                let Some(of_type) = walker.mapping(value, tree) else { return };
                let Some(patterns) = of_type.pairs().find(|pair| pair.key == "predefined") else { return };
                let mark = patterns.key_node.mark();
                walker.at_key("predefined", mark, |walker| {
                    match patterns.value.resolve().map(|node| (node, node.kind())) {
                        Some((node, Kind::Sequence)) => walker.items(node, |walker, item| walker.pattern(item)),
                        _ => walker.mismatch(patterns.value, "a list"),
                    }
                });
            });
        }
    }

    fn pattern(&mut self, node: Node<'_>) {
        self.scalar(node, &Shape::Text);
        let Some(text) = node.resolve().and_then(Node::scalar).map(|scalar| &*scalar.text) else { return };
        if text.is_empty() || text.starts_with('/') {
            return self.problem(
                "must be a pattern of paths below the plugin's folder",
                "write one such as models/llm/*.yaml",
            );
        }
        let pattern = Pattern::new(text).ok();
        let (Some(pattern), Ok(files)) = (pattern, self.files.walk()) else { return };
        for file in files.iter().filter(|file| pattern.matches(file)) {
            self.file(file, if file.ends_with("_position.yaml") { &POSITIONS } else { &MODEL });
        }
    }

    /// `multiple` is for selects; their default is a list exactly when it is true.
    fn multiple(&mut self, mapping: &Mapping<'_>) {
        let is_select = text_of(mapping, "type").is_some_and(|kind| matches!(kind, "select" | "dynamic-select"));
        let multiple = mapping.pairs().find(|pair| pair.key == "multiple");
        let is_multiple = multiple
            .is_some_and(|pair| pair.value.scalar().is_some_and(|scalar| is_true(python::value(scalar)) == Some(true)));
        if let Some(pair) = multiple
            && is_multiple
            && !is_select
        {
            return self.at_key("multiple", pair.key_node.mark(), |walker| {
                walker.problem("is only for parameters of type select and dynamic-select", "take the key out");
            });
        }
        if let Some(default) = mapping.pairs().find(|pair| pair.key == "default").filter(|pair| !is_null(pair.value))
            && is_select
            && matches!(default.value.resolve().map(Node::kind), Some(Kind::Sequence)) != is_multiple
        {
            self.at_key("default", default.key_node.mark(), |walker| {
                walker.problem("must be a list exactly when `multiple` is true", TYPE);
            });
        }
    }

    fn scalar(&mut self, node: Node<'_>, shape: &Shape) {
        let Some(found) = node.resolve().and_then(Node::scalar).map(python::value) else {
            let is_sequence = matches!(node.resolve().map(Node::kind), Some(Kind::Sequence));
            return match shape {
                Shape::Json => {}
                Shape::ScalarOrList if is_sequence => {}
                _ => self.mismatch(node, expected(shape)),
            };
        };
        match *shape {
            Shape::OneOf(known) => match found {
                Value::Text(text) if has_word(known, text) => {}
                Value::Text(text) => self.problem(format!("`{text}` is none of {}", listed(known)), ALLOWED),
                _ => self.final_problem(format!("{} is none of {}", found.name(), listed(known)), ALLOWED),
            },
            Shape::Version => match found {
                Value::Text(text) if dify::is_version(text) => {}
                Value::Text(text) => self.problem(format!("`{text}` is no version"), "write one such as 0.0.1"),
                _ => self.mismatch(node, "a text"),
            },
            Shape::Name(most, capitals) => match found {
                Value::Text(text) if is_name(text, most, capitals) => {}
                Value::Text(_) => {
                    let letters = if capitals { "letters" } else { "lower-case letters" };
                    self.problem(format!("must be 1 to {most} {letters}, digits, `_` and `-`"), ALLOWED);
                }
                _ => self.mismatch(node, "a text"),
            },
            Shape::Within(least, most) => match whole(found) {
                Some(number) if (least..=most).contains(&number) => {}
                Some(_) => self.problem(format!("must be from {least} to {most}"), ALLOWED),
                None => self.mismatch(node, expected(shape)),
            },
            _ if fits(found, shape) => {}
            _ => self.mismatch(node, expected(shape)),
        }
    }

    fn mismatch(&mut self, node: Node<'_>, expected: &str) {
        let (found, is_scalar) = match node.resolve().map(Node::kind) {
            Some(Kind::Mapping) => ("a mapping", false),
            Some(Kind::Sequence) => ("a list", false),
            Some(Kind::Scalar(scalar)) => (python::value(scalar).name(), true),
            Some(Kind::Alias) | None => ("an alias", false),
        };
        let fix = if is_scalar && expected == "a text" && !is_null(node) { QUOTE } else { TYPE };
        self.final_problem(format!("must be {expected}, and is {found} to Python"), fix);
    }
}

/// Whether a word is among those that blanks separate.
fn has_word(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|one| one == word)
}

fn listed(words: &str) -> String {
    words.split_ascii_whitespace().collect::<Vec<_>>().join(", ")
}

fn is_null(node: Node<'_>) -> bool {
    node.resolve().and_then(Node::scalar).is_some_and(|scalar| python::value(scalar) == Value::Null)
}

/// What Python takes for false.
fn is_false(node: Node<'_>) -> bool {
    let Some(node) = node.resolve() else { return false };
    match node.scalar().map(python::value) {
        Some(Value::Null | Value::Bool(false) | Value::Int(0) | Value::Text("")) => true,
        Some(Value::Float(number)) => number == 0.0,
        Some(_) => false,
        None => node.children().next().is_none(),
    }
}

fn text_of<'t>(mapping: &Mapping<'t>, key: &str) -> Option<&'t str> {
    let pair = mapping.pairs().find(|pair| pair.key == key)?;
    match python::value(pair.value.resolve()?.scalar()?) {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
