//! One thing that is wrong, and how all of them are shown.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;

use super::place::Place;
use crate::printer::Printer;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    /// A stable word for the kind of fault, for machines.
    pub(crate) code: Cow<'static, str>,
    /// Relative to the plugin.
    #[serde(flatten)]
    pub(crate) place: Place,
    pub(crate) message: String,
    /// What to do.
    pub(crate) fix: Option<String>,
}

impl Diagnostic {
    pub(crate) fn error(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.into(),
            place: Place::default(),
            message: message.into(),
            fix: None,
        }
    }

    pub(crate) fn warning(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    pub(crate) fn at(mut self, place: impl Into<Place>) -> Self {
        self.place = place.into();
        self
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// As a line for people, `severity` in place of its own.
    pub(crate) fn show(&self, printer: Printer, severity: Severity) -> String {
        let Self { place, code, message, fix, .. } = self;
        let color = if severity == Severity::Error { "31;1" } else { "33;1" };
        let word = printer.painted(color, severity.as_str());
        let mut text = format!("{place}{word}[{code}]: {message}");
        if let Some(fix) = fix {
            text.extend(["\n    ", &printer.painted("36", "fix:"), " ", fix]);
        }
        text
    }

    /// As GitHub's annotations have it.
    pub(crate) fn annotation(&self) -> String {
        let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let Place { file, line, column } = &self.place;
        let mut properties = vec![format!("title={}", self.code)];
        if let Some(file) = file {
            properties.push(format!("file={}", escape(file).replace(':', "%3A").replace(',', "%2C")));
        }
        properties.extend(line.map(|line| format!("line={line}")));
        properties.extend(column.map(|column| format!("col={column}")));
        let fix = self.fix.as_ref().map(|fix| format!(" - {fix}")).unwrap_or_default();
        format!("::{} {}::{}", self.severity.as_str(), properties.join(","), escape(&format!("{}{fix}", self.message)))
    }
}

/// All that is wrong with a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// The same with places as they are seen from outside the plugin's folder, for editors and annotations.
    pub(crate) fn seen_from_outside(&self, folder: &Path) -> Vec<Diagnostic> {
        let folder = folder.strip_prefix(".").unwrap_or(folder);
        let moved = |diagnostic: &Diagnostic| {
            let mut diagnostic = diagnostic.clone();
            if let Some(file) = &mut diagnostic.place.file {
                *file = folder.join(&*file).display().to_string();
            }
            diagnostic
        };
        self.diagnostics.iter().map(moved).collect()
    }

    /// Errors first, then by place.
    pub(crate) fn sort(&mut self) {
        self.diagnostics.sort_by(|a, b| (a.severity, &a.place).cmp(&(b.severity, &b.place)));
        self.diagnostics.dedup();
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}
