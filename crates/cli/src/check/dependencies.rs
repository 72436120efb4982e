//! The plugin's Python dependencies.

use plugin_manifest::names_sdk;

use super::place::Place;
use super::{Checker, Diagnostic};

const PROJECT: &str = "pyproject.toml";
const REQUIREMENTS: &str = "requirements.txt";

impl Checker<'_> {
    /// Checks what an environment is made of, and finds out whether the plugin uses the SDK.
    pub(super) fn dependencies(&mut self) {
        let project = self.text(PROJECT);
        let requirements = self.text(REQUIREMENTS);
        if project.is_none() && requirements.is_none() {
            let message = format!("there is neither {REQUIREMENTS} nor {PROJECT}: no environment can be made");
            let fix = format!("write {REQUIREMENTS} with a line such as dify_plugin>=0.9.0");
            return self.report.add(Diagnostic::error("no_dependencies", message).fix(fix));
        }
        let is_readable = project.as_deref().is_none_or(|text| self.project(text));
        self.uses_sdk = names_sdk(self.source.files()) || !is_readable;
        if !self.uses_sdk {
            let file = if project.is_some() { PROJECT } else { REQUIREMENTS };
            let message = "the SDK is not among the dependencies: the plugin cannot be started without dify_plugin";
            let fix = "add dify_plugin>=0.9.0";
            self.report.add(Diagnostic::warning("sdk_missing", message).at(Place::file(file)).fix(fix));
        }
    }

    /// Checks `pyproject.toml`; whether it can be read.
    fn project(&mut self, text: &str) -> bool {
        let project: toml::Table = match text.parse() {
            Ok(project) => project,
            Err(error) => {
                let line = error.span().map(|span| {
                    let before = text.get(..span.start).unwrap_or_default();
                    u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
                });
                let place = Place { line, ..Place::file(PROJECT) };
                let found = Diagnostic::error("bad_toml", error.message().to_owned()).at(place);
                self.report.add(found.fix("correct the file: no environment can be made from it"));
                return false;
            }
        };
        let dependencies = project.get("project").and_then(|project| project.get("dependencies")?.as_array());
        let dependencies = dependencies.into_iter().flatten().filter_map(toml::Value::as_str);
        for dependency in dependencies.filter(|dependency| dependency.contains('&')) {
            let message = format!("`{dependency}` is no requirement: a tool has escaped it for HTML");
            let fix = "write < for &lt; and > for &gt;";
            self.report
                .add(Diagnostic::error("bad_requirement", message).at(self.line_of(PROJECT, dependency)).fix(fix));
        }
        true
    }

    /// The first line of a file that holds a text.
    pub(super) fn line_of(&self, file: &str, text: &str) -> Place {
        let content = self.text(file).unwrap_or_default();
        let line = content.lines().position(|line| line.contains(text)).and_then(|at| u32::try_from(at + 1).ok());
        Place { line, ..Place::file(file) }
    }

    /// A file of the plugin as text, if it is there: UTF-8, or UTF-16 with a byte-order mark, as pip and uv read it.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        let content = self.source.files().read(file).ok()?;
        Some(plugin_manifest::text(&content))
    }
}
