//! Reports what is wrong with a plugin, with file, line, reason and remedy.
//!
//! An *error* is what fails later: when the plugin is packed, uploaded, installed or started, in Dify, or in the hands of
//! its users. A *warning* is something that its author most likely does not want.

mod contents;
mod dependencies;
mod diagnostic;
mod fields;
mod marketplace;
mod place;
mod python;
mod readers;
mod sources;

use std::collections::HashSet;

use plugin_manifest::identifier::is_uuid;
use plugin_manifest::locate::{Documents, MANIFEST};
use plugin_manifest::rules::{Scope, Violation, violations};
use plugin_manifest::yaml::{self, Problem};
use plugin_manifest::{Declaration, DecodeError, InvalidManifest, nested_manifest};
use plugin_package::{ASSETS, read_asset};

pub(crate) use self::diagnostic::{Diagnostic, Report, Severity};
use self::place::Place;
use crate::source::Source;
use crate::version::Version;

const FIX_SYNTAX: &str = "correct the YAML; quote texts that hold `: `, ` #`, or begin with a mark";

/// Which checks are run beside those that every plugin has to pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// What the marketplace demands.
    pub(crate) marketplace: bool,
}

/// Checks a plugin.
pub(crate) fn check(source: &Source, options: Options) -> Report {
    let mut checker = Checker {
        source,
        documents: Documents::new(source.files()),
        report: Report::default(),
        uses_sdk: false,
        reported: HashSet::new(),
    };
    match plugin_manifest::decode_with_notices(source.files()) {
        Ok((declaration, notices)) => {
            for notice in notices {
                if notice.is_fatal && notice.mark.is_none() {
                    checker.reported.insert((notice.file.clone(), String::new()));
                }
                let found = if notice.is_fatal { Diagnostic::error } else { Diagnostic::warning };
                checker.report.add(found(notice.code, notice.message).at(Place::new(notice.file, notice.mark)));
            }
            checker.dependencies();
            // what the packager refuses has the clearest texts
            checker.rules(&declaration, Scope::Manifest);
            checker.declaration(&declaration);
            checker.readers(&declaration);
            checker.rules(&declaration, Scope::All);
            checker.fields(&declaration);
            checker.icons(&declaration);
            checker.sources(&declaration);
            checker.syntax(&declaration);
            checker.contents(&declaration);
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
    /// Whether the SDK is among the dependencies.
    uses_sdk: bool,
    /// Fields that are reported, by their files: another rule need not report them again.
    reported: HashSet<(String, String)>,
}

impl Checker<'_> {
    /// Reports what keeps the declarations from being read, and what is wrong with the files that come after it.
    fn undecodable(&mut self, error: &DecodeError) {
        for problem in error.problems() {
            let (code, fix) = match error.code() {
                "yaml_syntax" => ("yaml_syntax", FIX_SYNTAX),
                "yaml_type" if problem.message.starts_with("mapping key") => {
                    ("yaml_duplicate_key", "take one of the two out")
                }
                "yaml_type" => ("yaml_type", "give the key a value of the type that is named"),
                code => (code, "correct the file"),
            };
            self.problem(error.file(), code, problem, fix);
        }
        if error.problems().is_empty() {
            self.unread(error);
        }
        for file in self.documents.named_files() {
            if file != error.file() {
                self.unparsable(&file);
            }
        }
    }

    fn problem(&mut self, file: &str, code: &'static str, problem: &Problem, fix: &str) {
        // the place is shown before the text
        let message = problem.message.rsplit_once(" (column ").map_or(&*problem.message, |(message, _)| message);
        let place = Place::new(file, Some(problem.mark));
        self.report.add(Diagnostic::error(code, message.replace('\n', "; ")).at(place).fix(fix));
    }

    /// A file that cannot be had, or a pattern that is none.
    fn unread(&mut self, error: &DecodeError) {
        let file = error.file();
        let found = match error.code() {
            "file_missing" => return self.missing(file),
            code => Diagnostic::error(code, error.to_string().replace('\n', "; ")).fix("correct the file"),
        };
        self.report.add(found.at(self.documents.naming(file).map_or_else(|| Place::file(file), Place::from)));
    }

    fn missing(&mut self, file: &str) {
        let fix = if file == MANIFEST {
            match nested_manifest(self.source.files()) {
                Some(folder) if self.source.folder().is_some() => format!("it is in {folder}: check that folder"),
                Some(folder) => format!("it is in {folder}/: pack what that folder holds, not the folder"),
                None => "run this in the plugin's folder; `dify plugin init` makes a new one".to_owned(),
            }
        } else {
            format!("write {file}, or name a file that is there")
        };
        let place = self.documents.naming(file).map_or_else(|| Place::file(file), Place::from);
        self.report.add(Diagnostic::error("file_missing", format!("{file} is not there")).at(place).fix(fix));
    }

    /// A file that the manifest or a provider names: whether it is there, and YAML.
    fn unparsable(&mut self, file: &str) {
        let bytes = match self.source.files().read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return self.missing(file),
            // packing reports it
            Err(_) => return,
        };
        let parsed = yaml::text(&bytes).and_then(|text| yaml::parse(&text).map(drop));
        for problem in parsed.err().iter().flat_map(yaml::Error::problems) {
            self.problem(file, "yaml_syntax", problem, FIX_SYNTAX);
        }
    }

    /// The strict rules (package-format 4) of fields that are not reported yet: the packager insists on those of the
    /// manifest, a debugging connection on most.
    fn rules(&mut self, declaration: &Declaration, scope: Scope) {
        let found = if scope == Scope::Manifest { Diagnostic::error } else { Diagnostic::warning };
        for violation in violations(declaration, scope) {
            let (place, field) = self.documents.find(declaration, &violation.path);
            if !self.reported.insert((place.file.clone(), field.clone())) {
                continue;
            }
            let message = format!("{} {}", named(&field), violation.reason);
            let misspelt =
                self.documents.misspelt(declaration, &violation.path).filter(|_| violation.tag == "required");
            let fix =
                misspelt.map_or_else(|| remedy(&violation).to_owned(), |key| format!("did you mean it by `{key}`?"));
            self.report.add(found(rule_code(&violation), message).at(place).fix(fix));
        }
    }

    fn declaration(&mut self, declaration: &Declaration) {
        if let Err(error) = declaration.validate() {
            let (path, fix) = match error {
                InvalidManifest::Author => ("author", "write lower-case letters, digits, - and _"),
                InvalidManifest::Name => ("name", "write lower-case letters, digits, - and _"),
                InvalidManifest::NoProvider => ("plugins", "name a provider's file under a key of `plugins`"),
                _ => ("plugins", "make a plugin of each kind: only tools and endpoints go together"),
            };
            let (place, field) = self.documents.find(declaration, path);
            self.reported.insert((place.file.clone(), field));
            self.report.add(Diagnostic::error("manifest_refused", format!("`{path}`: {error}")).at(place).fix(fix));
        }
        let may_register = declaration.permission().and_then(|permission| permission.endpoint.as_ref());
        if declaration.endpoint.is_some() && !may_register.is_some_and(|endpoint| endpoint.enabled) {
            let (place, _) = self.documents.find(declaration, "resource.permission");
            let message =
                "the plugin has endpoints, and `resource.permission` does not let it register any: nobody can use them";
            let fix = "add `endpoint: {enabled: true}`, or call `dify plugin permission`";
            self.report.add(Diagnostic::warning("endpoints_not_permitted", message).at(place).fix(fix));
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
            let (place, field) = self.documents.find(declaration, path);
            self.reported.insert((place.file.clone(), field));
            self.report.add(Diagnostic::error("bad_version", format!("`{path}`: {error}")).at(place));
        }
    }

    fn icons(&mut self, declaration: &Declaration) {
        for icon in declaration.icons() {
            if !matches!(read_asset(self.source.files(), icon.name), Ok(Some(_))) {
                let message = format!("{} is {}, and there is no file {ASSETS}/{}", icon.place, icon.name, icon.name);
                let fix = format!("put the file into {ASSETS}, or name one that is there");
                let (place, _) = self.documents.find(declaration, &icon.field);
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
