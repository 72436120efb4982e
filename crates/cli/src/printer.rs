//! Output: results go to standard output, everything else to standard error.
//!
//! Standard output holds only the result, which may be parsed. Notes, warnings and errors are lines on standard error: `2026/01/31 12:00:00 INFO message key=value` (cli 1.5).

use std::fmt;
use std::io::{self, IsTerminal, Write};

use jiff::ZonedDateTime;

use crate::failure::{Failure, OutputClosed};

/// Prints for one run of the program. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    color: bool,
}

/// The level of a log line.
#[derive(Clone, Copy)]
enum Level {
    Info,
    Warn,
}

impl Printer {
    /// Colours where a person reads, unless `NO_COLOR` is set.
    pub(crate) fn new() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { color: io::stderr().is_terminal() && !no_color }
    }

    /// A line of the result.
    pub(crate) fn line(self, text: impl fmt::Display) -> Result<(), OutputClosed> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// A part of the result as it is.
    #[expect(clippy::unused_self, reason = "printing takes a printer, so that it is not done everywhere")]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), OutputClosed> {
        let mut output = io::stdout().lock();
        output.write_all(bytes).and_then(|()| output.flush()).map_err(|_| OutputClosed)
    }

    /// A value as JSON, on one line.
    pub(crate) fn json(self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        Ok(self.line(serde_json::to_string(value)?)?)
    }

    /// Reports something done.
    pub(crate) fn info(self, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
        self.log(Level::Info, message, fields);
    }

    /// Warns.
    pub(crate) fn warn(self, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
        self.log(Level::Warn, message, fields);
    }

    /// A line on standard error without time and level.
    pub(crate) fn note(self, text: impl fmt::Display) {
        self.diagnostic(&format!("{text}\n"));
    }

    /// Why a command failed, cause by cause, and what to do.
    pub(crate) fn failure(self, error: &anyhow::Error) {
        let mut text = self.painted("31;1", "error:");
        let mut last = String::new();
        for (depth, cause) in error.chain().map(ToString::to_string).enumerate() {
            // a cause that its context has quoted says nothing new
            if cause.is_empty() || last.contains(&cause) {
                continue;
            }
            let indented = cause.trim_end().replace('\n', "\n  ");
            text.push_str(if depth == 0 { " " } else { "\n  caused by: " });
            text.push_str(&indented);
            last = cause;
        }
        if let Some(hint) = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()?.hint.as_deref()) {
            text.extend(["\n", &self.painted("36;1", "hint:"), " ", &hint.replace('\n', "\n      ")]);
        }
        text.push('\n');
        self.diagnostic(&text);
    }

    /// A word in a colour, given by the numbers of its escape sequence.
    pub(crate) fn painted(self, code: &str, word: &str) -> String {
        if self.color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
    }

    fn log(self, level: Level, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
        let now = ZonedDateTime::now().strftime("%Y/%m/%d %H:%M:%S").to_string();
        let level = match level {
            Level::Info => self.painted("32", "INFO"),
            Level::Warn => self.painted("33", "WARN"),
        };
        let mut text = format!("{now} {level} {message}");
        for (key, value) in fields {
            text.extend([" ", key, "=", &quoted(&value.to_string())]);
        }
        text.push('\n');
        self.diagnostic(&text);
    }

    /// Writes to standard error; a failure cannot be reported anywhere.
    #[expect(clippy::unused_self, reason = "printing takes a printer, so that it is not done everywhere")]
    fn diagnostic(self, text: &str) {
        let _ignored = io::stderr().lock().write_all(text.as_bytes());
    }
}

impl Default for Printer {
    fn default() -> Self {
        Self::new()
    }
}

/// A value of a log line: in quotes when it could be taken for more than one.
fn quoted(value: &str) -> String {
    let is_plain =
        !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || "\"=".contains(c));
    if is_plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_log_lines() {
        for (value, expected) in [
            ("plain/path.txt", "plain/path.txt"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("say \"x\"\n", r#""say \"x\"\n""#),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
