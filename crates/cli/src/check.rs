//! Says what is wrong with a plugin before a daemon or its users do: with file, line, reason and remedy.
//!
//! An *error* keeps the plugin from being packed, installed or started. A *warning* is something its author most likely
//! does not want.

mod contents;
mod dependencies;
mod diagnostic;
mod locate;
mod marketplace;
mod sources;

use plugin_manifest::identifier::is_uuid;
use plugin_manifest::rules::{Scope, Violation, violations};
use plugin_manifest::{Declaration, DecodeError, InvalidManifest};
use plugin_package::{ASSETS, read_asset};

pub(crate) use self::diagnostic::{Diagnostic, Report, Severity};
use self::locate::{Documents, Place};
use crate::source::Source;
use crate::version::Version;

const MANIFEST: &str = "manifest.yaml";

/// Which checks are run beside those that every plugin has to pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// What the marketplace demands.
    pub(crate) marketplace: bool,
}

/// Checks a plugin.
pub(crate) fn check(source: &Source, options: Options) -> Report {
    let mut checker = Checker { source, documents: Documents::new(source.files()), report: Report::default() };
    match plugin_manifest::decode_with_notices(source.files()) {
        Ok((declaration, notices)) => {
            checker.declaration(&declaration);
            for notice in notices {
                let warning = Diagnostic::warning(notice.code, notice.message).at(Place::new(notice.file, notice.mark));
                checker.report.add(warning);
            }
            checker.icons(&declaration);
            checker.sources(&declaration);
            checker.contents(&declaration);
            checker.dependencies();
            if options.marketplace {
                checker.marketplace(&declaration);
            }
        }
        Err(error) => checker.undecodable(&error),
    }
    checker.report.sort();
    checker.report
}

/// One run over one plugin.
struct Checker<'s> {
    source: &'s Source,
    documents: Documents<'s>,
    report: Report,
}

impl Checker<'_> {
    fn undecodable(&mut self, error: &DecodeError) {
        let message = error.to_string();
        // the place is told apart from the text
        let message =
            message.rsplit_once("\nat ").filter(|_| error.mark().is_some()).map_or(&*message, |(text, _)| text);
        let fix = match error.code() {
            "file_missing" if error.file() == MANIFEST => {
                "run this in the plugin's folder; `dify plugin init` makes a new one".to_owned()
            }
            "file_missing" => format!("write {}, or take it out of the file that names it", error.file()),
            "yaml_syntax" => "correct the YAML; quote texts that hold `: `, ` #`, or begin with a mark".to_owned(),
            "yaml_type" => "give the key a value of the type that is named".to_owned(),
            _ => "correct the file".to_owned(),
        };
        let place = Place::new(error.file(), error.mark());
        self.report.add(Diagnostic::error(error.code(), message.replace('\n', "; ")).at(place).fix(fix));
    }

    fn declaration(&mut self, declaration: &Declaration) {
        let of_manifest = violations(declaration, Scope::Manifest);
        for violation in violations(declaration, Scope::All) {
            // the packager insists on the manifest alone; a debugging connection on all
            let found = if of_manifest.contains(&violation) { Diagnostic::error } else { Diagnostic::warning };
            let (place, field) = self.documents.find(declaration, &violation.path);
            let message = format!("{} {}", named(&field), violation.reason);
            let misspelt =
                self.documents.misspelt(declaration, &violation.path).filter(|_| violation.tag == "required");
            let fix =
                misspelt.map_or_else(|| remedy(&violation).to_owned(), |key| format!("did you mean it by `{key}`?"));
            self.report.add(found(rule_code(&violation), message).at(place).fix(fix));
        }
        if let Err(error) = declaration.validate() {
            let (path, fix) = match error {
                InvalidManifest::Author => ("author", "write lower-case letters, digits, - and _"),
                InvalidManifest::Name => ("name", "write lower-case letters, digits, - and _"),
                InvalidManifest::NoProvider => ("plugins", "name a provider's file under a key of `plugins`"),
                _ => ("plugins", "make a plugin of each kind: only tools and endpoints go together"),
            };
            let (place, _) = self.documents.find(declaration, path);
            self.report.add(Diagnostic::error("manifest_refused", format!("`{path}`: {error}")).at(place).fix(fix));
        }
        if is_uuid(&declaration.author) {
            let (place, _) = self.documents.find(declaration, "author");
            let message = "`author` is a UUID, which stands for plugins under development";
            self.report.add(Diagnostic::error("author_is_uuid", message).at(place).fix("write a name"));
        }
        if let Some(version) = declaration.meta.minimum_dify_version.as_deref().filter(|version| !version.is_empty())
            && let Err(error) = version.parse::<Version>()
        {
            let path = "meta.minimum_dify_version";
            let (place, _) = self.documents.find(declaration, path);
            self.report.add(Diagnostic::error("bad_version", format!("`{path}`: {error}")).at(place));
        }
    }

    fn icons(&mut self, declaration: &Declaration) {
        for icon in declaration.icons() {
            if !matches!(read_asset(self.source.files(), icon.name), Ok(Some(_))) {
                let message = format!("{} is {}, and there is no file {ASSETS}/{}", icon.place, icon.name, icon.name);
                let fix = format!("put the file into {ASSETS}, or name one that is there");
                let place = self.documents.mention(declaration, icon.name);
                self.report.add(Diagnostic::error("icon_missing", message).at(place).fix(fix));
            }
        }
    }
}

fn named(field: &str) -> String {
    if field.is_empty() { "this".to_owned() } else { format!("`{field}`") }
}

fn rule_code(violation: &Violation) -> String {
    format!("rule_{}", violation.tag)
}

fn remedy(violation: &Violation) -> &'static str {
    match violation.tag {
        "required" => "add the key, and give it a value",
        "max" => "make it shorter, or smaller",
        "min" => "make it larger",
        "url" => "write the whole address, with https://",
        "version" => "write three numbers, such as 0.0.1",
        _ => "write a value that is allowed",
    }
}

#[cfg(test)]
mod tests;
