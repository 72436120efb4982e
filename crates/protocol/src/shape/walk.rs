//! The walk along a shape.

use std::fmt::Write;

use super::mend::{Mend, Mended};
use super::scan::{Cursor, Malformed, unescape};
use super::{Field, Need, Problem, ProblemKind, Problems, Shape, decimal};

/// Problems of one document that are reported; further ones are dropped.
const MAX_PROBLEMS: usize = 32;

/// Checks documents, one after the other; what it needs for one it uses for the next.
#[derive(Debug, Default)]
pub struct Checker {
    mend: Mend,
    problems: Vec<Problem>,
}

impl Checker {
    /// Walks along a document, which must be well-formed JSON (a [`serde_json::value::RawValue`] is): either it fits, and
    /// is given back as it has to be passed on, or it does not. `name` is what paths begin with, if it is not empty.
    ///
    /// ```
    /// use plugin_protocol::{Action, request, shape::Checker};
    ///
    /// let mut checker = Checker::default();
    /// let mut sent = Vec::new();
    /// let asked = br#"{"provider":"p","credentials":null}"#;
    /// checker.check("data", request::shape(Action::ValidateToolCredentials), asked)?.append_to(&mut sent);
    /// assert_eq!(sent, br#"{"provider":"p","credentials":{}}"#);
    ///
    /// let problems = checker.check("data", request::shape(Action::ValidateToolCredentials), b"{}").unwrap_err();
    /// assert!(problems.to_string().starts_with("Key: 'data.provider' Error:"));
    /// # Ok::<(), plugin_protocol::shape::Problems>(())
    /// ```
    pub fn check<'a>(&'a mut self, name: &str, shape: &Shape, text: &'a [u8]) -> Result<Mended<'a>, Problems> {
        self.mend.clear();
        self.problems.clear();
        let path = Path { parent: None, step: Step::Key(name) };
        let mut walk = Walk { cursor: Cursor::new(text), mend: &mut self.mend, problems: &mut self.problems };
        let seen = walk.value(shape, &path);
        let offset = walk.cursor.at();
        match seen {
            Ok(Seen::Null) => walk.problem(&path, ProblemKind::Rule("required")),
            Ok(_) => {}
            Err(Malformed) => walk.problem(&path, ProblemKind::Malformed { offset }),
        }
        if self.problems.is_empty() {
            Ok(self.mend.of(text))
        } else {
            Err(Problems(std::mem::take(&mut self.problems)))
        }
    }
}

/// What a value turned out to be, as far as a field's need asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Null,
    /// `""`.
    EmptyText,
    /// `0`.
    Zero,
    Other,
}

#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl Path<'_> {
    fn write(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(out);
        }
        match self.step {
            Step::Key(key) => {
                if !out.is_empty() && !key.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
            Step::Index(index) => out.write_fmt(format_args!("[{index}]")).unwrap_or_default(),
        }
    }
}

struct Walk<'c, 'a> {
    cursor: Cursor<'a>,
    mend: &'c mut Mend,
    problems: &'c mut Vec<Problem>,
}

impl<'a> Walk<'_, 'a> {
    fn problem(&mut self, path: &Path<'_>, kind: ProblemKind) {
        if self.problems.len() < MAX_PROBLEMS {
            let mut text = String::new();
            path.write(&mut text);
            self.problems.push(Problem { path: text, kind });
        }
    }

    fn value(&mut self, shape: &Shape, path: &Path<'_>) -> Result<Seen, Malformed> {
        self.cursor.space(self.mend);
        let byte = self.cursor.peek().ok_or(Malformed)?;
        if byte == b'n' {
            self.cursor.literal("null")?;
            return Ok(Seen::Null);
        }
        match (shape, byte) {
            (Shape::Any, _) | (Shape::Map, b'{') => self.cursor.value(self.mend)?,
            (Shape::Bool, b't') => self.cursor.literal("true")?,
            (Shape::Bool, b'f') => self.cursor.literal("false")?,
            (Shape::Int | Shape::Number, b'-' | b'0'..=b'9') => {
                let number = self.cursor.number(self.mend)?;
                if matches!(shape, Shape::Int) && !number.whole {
                    self.problem(path, ProblemKind::Type { expected: "an integer", found: "a fraction" });
                }
                return Ok(if number.zero { Seen::Zero } else { Seen::Other });
            }
            (Shape::Decimal, b'-' | b'0'..=b'9' | b'"') => self.decimal(path)?,
            (Shape::Text | Shape::TextOr(_), b'"') => {
                let text = self.cursor.string(self.mend)?;
                return Ok(if text.is_empty() { Seen::EmptyText } else { Seen::Other });
            }
            (Shape::OneOf(known), b'"') => {
                let text = self.cursor.string(self.mend)?;
                if text.is_empty() {
                    return Ok(Seen::EmptyText);
                }
                if !known.iter().any(|one| one.as_bytes() == &*unescape(text)) {
                    self.problem(path, ProblemKind::Rule("oneof"));
                }
            }
            (Shape::Within(limit), b'"') => {
                let text = self.cursor.string(self.mend)?;
                if text.is_empty() {
                    return Ok(Seen::EmptyText);
                }
                if unescape(text).len() >= *limit {
                    self.problem(path, ProblemKind::Rule("lt"));
                }
            }
            (Shape::List(item), b'[') => self.list(item, path)?,
            (Shape::TextOr(other), _) => return self.value(other, path),
            (Shape::Object(fields), b'{') => self.object(fields, path)?,
            (Shape::Also(inner, rule), _) => {
                let start = self.cursor.at();
                let before = self.problems.len();
                let seen = self.value(inner, path)?;
                if self.problems.len() == before
                    && let Some((field, rule)) = rule(self.cursor.since(start))
                {
                    self.problem(&Path { parent: Some(path), step: Step::Key(field) }, ProblemKind::Rule(rule));
                }
                return Ok(seen);
            }
            _ => {
                self.cursor.value(self.mend)?;
                self.problem(path, ProblemKind::Type { expected: expected(shape), found: found(byte) });
            }
        }
        Ok(Seen::Other)
    }

    fn decimal(&mut self, path: &Path<'_>) -> Result<(), Malformed> {
        let start = self.cursor.at();
        let quoted = self.cursor.peek() == Some(b'"');
        let content = if quoted { self.cursor.string(self.mend)? } else { self.bare_number(start)? };
        let content = unescape(content);
        let text = std::str::from_utf8(&content).map_err(|_| Malformed)?;
        match decimal::canonical(text) {
            Some(plain) if !quoted || plain != text => {
                self.mend.replace_with(start, self.cursor.at() - start, format!("\"{plain}\""));
            }
            Some(_) => {}
            None => self.problem(path, ProblemKind::Type { expected: "a decimal", found: "something else" }),
        }
        Ok(())
    }

    /// A number that is about to be replaced as a whole.
    fn bare_number(&mut self, start: usize) -> Result<&'a [u8], Malformed> {
        let mut unused = Mend::default();
        self.cursor.number(&mut unused)?;
        Ok(self.cursor.since(start))
    }

    fn list(&mut self, item: &Shape, path: &Path<'_>) -> Result<(), Malformed> {
        self.cursor.expect(b'[')?;
        self.cursor.space(self.mend);
        if self.cursor.eat(b']') {
            return Ok(());
        }
        for index in 0.. {
            let path = Path { parent: Some(path), step: Step::Index(index) };
            if self.value(item, &path)? == Seen::Null && !matches!(item, Shape::Any) {
                self.problem(&path, ProblemKind::Type { expected: expected(item), found: "null" });
            }
            self.cursor.space(self.mend);
            if self.cursor.eat(b']') {
                break;
            }
            self.cursor.expect(b',')?;
        }
        Ok(())
    }

    fn object(&mut self, fields: &[Field], path: &Path<'_>) -> Result<(), Malformed> {
        self.cursor.expect(b'{')?;
        let mut members = Members::default();
        self.cursor.space(self.mend);
        let mut more = self.cursor.peek() != Some(b'}');
        while more {
            self.cursor.space(self.mend);
            let start = self.cursor.at();
            let key = self.cursor.string(self.mend)?;
            let key = unescape(key);
            self.cursor.space(self.mend);
            self.cursor.expect(b':')?;
            self.cursor.space(self.mend);
            let known = fields.iter().enumerate().find(|(_, field)| field.name.as_bytes() == &*key);
            let stays = if let Some((index, field)) = known {
                let (found, stays) = self.field(field, path)?;
                members.note(index, found);
                stays
            } else {
                self.cursor.value(self.mend)?;
                true
            };
            let end = self.cursor.at();
            self.cursor.space(self.mend);
            let comma = self.cursor.at();
            more = self.cursor.eat(b',');
            if stays {
                members.kept(more.then_some(comma));
            } else {
                let (from, to) = members.gap(start, if more { self.cursor.at() } else { end }, more);
                self.mend.overwrite(from, to - from, "");
            }
        }
        let end = self.cursor.at();
        self.cursor.expect(b'}')?;
        for (index, field) in fields.iter().enumerate() {
            if members.has(index) {
                continue;
            }
            let json = match field.need {
                Need::Given | Need::Present => {
                    let path = Path { parent: Some(path), step: Step::Key(field.name) };
                    self.problem(&path, ProblemKind::Rule("required"));
                    continue;
                }
                Need::Or(json) | Need::Always(json) => json,
                Need::Null => "null",
                Need::Free | Need::Omit | Need::Never => continue,
            };
            self.mend.insert(end, members.any, field.name, json);
            members.any = true;
        }
        Ok(())
    }

    /// The value of a field: whether it counts as there, and whether it stays.
    fn field(&mut self, field: &Field, path: &Path<'_>) -> Result<(bool, bool), Malformed> {
        let start = self.cursor.at();
        let path = Path { parent: Some(path), step: Step::Key(field.name) };
        let seen = self.value(&field.shape, &path)?;
        let length = self.cursor.at() - start;
        Ok(match (field.need, seen) {
            (Need::Given, Seen::Null | Seen::EmptyText | Seen::Zero) | (Need::Present, Seen::Null) => (false, true),
            (Need::Omit, Seen::Null | Seen::EmptyText) | (Need::Never, _) => (true, false),
            (Need::Or(json), Seen::Null) => {
                self.mend.overwrite(start, length, json);
                (true, true)
            }
            (Need::Always(json), _) => {
                if self.cursor.since(start) != json.as_bytes() {
                    self.mend.overwrite(start, length, json);
                }
                (true, true)
            }
            (_, Seen::EmptyText) if matches!(field.shape, Shape::OneOf(_)) => {
                self.problem(&path, ProblemKind::Rule("oneof"));
                (true, true)
            }
            _ => (true, true),
        })
    }
}

/// What an object has turned out to hold.
#[derive(Default)]
struct Members {
    known: u64,
    /// One that stays has been passed.
    any: bool,
    /// The comma after the last one that stays.
    comma: Option<usize>,
}

impl Members {
    /// Of equal keys the last one counts.
    fn note(&mut self, index: usize, found: bool) {
        let bit = 1_u64 << (index & 63);
        self.known = if found { self.known | bit } else { self.known & !bit };
    }

    fn has(&self, index: usize) -> bool {
        self.known & (1_u64 << (index & 63)) != 0
    }

    fn kept(&mut self, comma: Option<usize>) {
        self.any = true;
        self.comma = comma;
    }

    /// What goes with a member that is left out: the comma after it, or else the one that it follows.
    fn gap(&mut self, start: usize, end: usize, more: bool) -> (usize, usize) {
        match self.comma {
            Some(comma) if !more => (comma, end),
            _ => (start, end),
        }
    }
}

fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Any => "any value",
        Shape::Bool => "a boolean",
        Shape::Int => "an integer",
        Shape::Number => "a number",
        Shape::Decimal => "a decimal",
        Shape::Text | Shape::OneOf(_) | Shape::Within(_) => "a string",
        Shape::Map | Shape::Object(_) => "an object",
        Shape::List(_) => "a list",
        Shape::TextOr(_) => "a string or a list",
        Shape::Also(inner, _) => expected(inner),
    }
}

fn found(byte: u8) -> &'static str {
    match byte {
        b'"' => "a string",
        b'{' => "an object",
        b'[' => "a list",
        b't' | b'f' => "a boolean",
        _ => "a number",
    }
}
