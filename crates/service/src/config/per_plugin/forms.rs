//! How the values of keys are written in the file.

use std::path::Path;
use std::time::Duration;

use plugin_sandbox::Mode;
use serde_json::{Value, json};
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use crate::config::Prefork;
use crate::config::kind::{IsolationMode, Kind};
use crate::config::unknown;

/// Reports a fault at a place of the text, in bytes.
pub(super) type Report<'a> = &'a mut dyn FnMut(usize, String);

/// What a value is judged by, beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Names for several variables at once.
    pub presets: &'a [&'a str],
}

/// A form that values are written in. Implementors are names only; the value is [`Form::Value`].
pub trait Form {
    /// What a plugin gets.
    type Value: Clone + std::fmt::Debug + PartialEq;

    /// The name in the documentation.
    const NAME: &'static str;

    /// The value; `None` once everything that is wrong with it is reported.
    fn read(value: &Spanned<DeValue<'_>>, known: Known<'_>, report: Report<'_>) -> Option<Self::Value>;
}

/// A value as operators see it.
pub(super) trait Shown {
    /// In JSON: sizes in bytes, times in seconds.
    fn shown(&self) -> Value;
}

macro_rules! shown {
    ($($kind:ty: |$value:ident| $shown:expr;)+) => {
        $(impl Shown for $kind {
            fn shown(&self) -> Value {
                let $value = self;
                $shown
            }
        })+
    };
}

shown! {
    bool: |is_on| json!(is_on);
    u32: |number| json!(number);
    u64: |number| json!(number);
    Duration: |time| json!(time.as_secs());
    Prefork: |prefork| json!(prefork.word());
    Mode: |mode| json!(mode.to_string());
    Vec<String>: |list| json!(list);
}

macro_rules! forms {
    ($($(#[doc = $doc:literal])+ $form:ident($kind:ty) $name:literal, |$value:ident, $report:ident| $read:expr;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $form {}

            impl Form for $form {
                type Value = $kind;

                const NAME: &'static str = $name;

                fn read($value: &Spanned<DeValue<'_>>, _: Known<'_>, $report: Report<'_>) -> Option<$kind> {
                    $read
                }
            }
        )+
    };
}

forms! {
    /// How far the plugin is kept apart.
    Isolation(Mode) "`\"auto\"`, `\"off\"`, `\"required\"` or `\"required:L1\"`", |value, report| {
        word::<IsolationMode>(value, Self::NAME, report)
    };
    /// Whether it may be forked.
    Fork(Prefork) "`\"auto\"` or `\"off\"`", |value, report| word::<Prefork>(value, Self::NAME, report);
    /// Whether something is done.
    Switch(bool) "`true` or `false`", |value, report| {
        let is_on = value.get_ref().as_bool();
        if is_on.is_none() {
            report(start(value), format!("has to be true or false, is {}", kind_of(value.get_ref())));
        }
        is_on
    };
    /// Processes or calls, of which there may be none.
    Count(u32) "integer", |value, report| number(value, 0..=65_536, report);
    /// Processes or calls, at least one.
    AtLeastOne(u32) "integer from 1", |value, report| number(value, 1..=65_536, report);
    /// Open files: fewer than an interpreter needs would end it with an error that does not say why.
    Files(u32) "integer from 64, or 0", |value, report| {
        let number = number(value, 0..=1_048_576, report)?;
        if (1..64).contains(&number) {
            let text = format!("{number} is too few: an interpreter needs 64; 0 stands for the daemon's own limit");
            report(start(value), text);
            return None;
        }
        Some(number)
    };
    /// Whole seconds, at least one.
    Seconds(Duration) "seconds", |value, report| {
        number(value, 1..=604_800, report).map(|number| Duration::from_secs(number.into()))
    };
    /// Whole seconds, of which 0 has a meaning of its own.
    SecondsOrNone(Duration) "seconds", |value, report| {
        number(value, 0..=604_800, report).map(|number| Duration::from_secs(number.into()))
    };
}

/// A size: an integer of bytes, or a text with a unit.
#[derive(Debug)]
pub enum Size {}

impl Form for Size {
    type Value = u64;

    const NAME: &'static str = "bytes, or text such as `\"512MiB\"`";

    fn read(value: &Spanned<DeValue<'_>>, _: Known<'_>, report: Report<'_>) -> Option<u64> {
        /// Anything less was meant in another unit.
        const LEAST: u64 = 1024 * 1024;
        let bytes = match value.get_ref() {
            DeValue::Integer(integer) => unsigned(integer),
            DeValue::String(text) => size(text),
            other => {
                report(start(value), format!("has to be a size, is {}", kind_of(other)));
                return None;
            }
        };
        match bytes {
            Some(bytes) if bytes > 0 && bytes < LEAST => {
                report(
                    start(value),
                    format!(
                        "{bytes} bytes are too few: at least 1 MiB, or 0 for no limit; write units, as in \"{bytes}MiB\""
                    ),
                );
                None
            }
            Some(bytes) => Some(bytes),
            None => {
                report(
                    start(value),
                    format!(
                        "{} is no size: write bytes, or a number with KiB, MiB, GiB or TiB, as in \"512MiB\"",
                        shown_value(value.get_ref())
                    ),
                );
                None
            }
        }
    }
}

fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let shift = match unit.trim_start() {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// Absolute paths.
#[derive(Debug)]
pub enum Paths {}

impl Form for Paths {
    type Value = Vec<String>;

    const NAME: &'static str = "list of absolute paths";

    fn read(value: &Spanned<DeValue<'_>>, _: Known<'_>, report: Report<'_>) -> Option<Vec<String>> {
        list(value, report, |path| {
            if !Path::new(path).is_absolute() {
                return Err(format!("{path:?} has to be an absolute path"));
            }
            if Path::new(path).parent().is_none() {
                return Err("\"/\" would allow everything; isolation = \"off\" does that".to_owned());
            }
            Ok(())
        })
    }
}

/// Names of variables.
#[derive(Debug)]
pub enum Names {}

impl Form for Names {
    type Value = Vec<String>;

    const NAME: &'static str = "list of names";

    fn read(value: &Spanned<DeValue<'_>>, known: Known<'_>, report: Report<'_>) -> Option<Vec<String>> {
        list(value, report, |name| {
            if name.starts_with('@') {
                if known.presets.contains(&name) {
                    return Ok(());
                }
                return Err(format!("there is no preset {name:?}, there are {}", known.presets.join(", ")));
            }
            let start = name.strip_suffix('*').unwrap_or(name);
            is_variable(start, name == "*").map_err(|reason| format!("{name:?} {reason}"))
        })
    }
}

/// Whether a plugin may be given a variable of this name.
pub(super) fn is_variable(name: &str, may_be_empty: bool) -> Result<(), String> {
    /// What the daemon sets in every process.
    const SET: [&str; 2] = ["INSTALL_METHOD", "DIFY_PLUGIN_WORKER"];
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if (name.is_empty() && !may_be_empty)
        || !name.chars().all(is_word)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err("is no name of a variable: letters, digits and _".to_owned());
    }
    if unknown::secrets().any(|secret| secret == name) {
        return Err("is a secret of the daemon's own, which no plugin gets".to_owned());
    }
    if SET.contains(&name) {
        return Err("is set by the daemon in every process of a plugin".to_owned());
    }
    Ok(())
}

fn list(
    value: &Spanned<DeValue<'_>>,
    report: Report<'_>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Option<Vec<String>> {
    let Some(items) = value.get_ref().as_array() else {
        report(
            start(value),
            format!("has to be a list of texts, as in [\"one\", \"two\"], is {}", kind_of(value.get_ref())),
        );
        return None;
    };
    let mut list = Vec::new();
    let mut is_good = true;
    for item in items {
        let found = text(item, "a list of texts", report).and_then(|text| {
            check(text).map_err(|reason| report(start(item), reason)).ok()?;
            Some(text.to_owned())
        });
        is_good &= found.is_some();
        list.extend(found);
    }
    is_good.then_some(list)
}

/// A text; `expected` completes the sentence "has to be ...".
pub(super) fn text<'v>(value: &'v Spanned<DeValue<'_>>, expected: &str, report: Report<'_>) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        report(start(value), format!("has to be {expected}, is {}", kind_of(value.get_ref())));
    }
    text
}

/// One of the words of a kind of variable.
fn word<K: Kind>(value: &Spanned<DeValue<'_>>, words: &str, report: Report<'_>) -> Option<K::Value> {
    let text = text(value, &format!("text, {words}"), report)?;
    K::parse(text).map_err(|reason| report(start(value), format!("{text:?} {reason}"))).ok()
}

fn number(value: &Spanned<DeValue<'_>>, range: std::ops::RangeInclusive<u32>, report: Report<'_>) -> Option<u32> {
    let (least, most) = (range.start(), range.end());
    let DeValue::Integer(integer) = value.get_ref() else {
        report(start(value), format!("has to be an integer from {least} to {most}, is {}", kind_of(value.get_ref())));
        return None;
    };
    let number =
        unsigned(integer).and_then(|number| u32::try_from(number).ok()).filter(|number| range.contains(number));
    if number.is_none() {
        report(start(value), format!("{integer} is out of range: from {least} to {most}"));
    }
    number
}

/// What fits into TOML's own integers and is not negative.
fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    u64::try_from(number).ok()
}

/// Where a value begins, in bytes.
pub(super) fn start(value: &Spanned<DeValue<'_>>) -> usize {
    value.span().start
}

/// What a value is, for those who expected another.
fn kind_of(value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!(
        "{kind}{}",
        if matches!(value, DeValue::Array(_) | DeValue::Table(_)) {
            String::new()
        } else {
            format!(", {}", shown_value(value))
        }
    )
}

fn shown_value(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    }
}
