//! What Dify and the SDK refuse of declarations that decode.

use plugin_manifest::{Declaration, dify, sdk};

use super::place::Place;
use super::{Checker, Diagnostic};

impl Checker<'_> {
    /// Checks the declarations against the models of those that read them.
    pub(super) fn readers(&mut self, declaration: &Declaration) {
        for problem in sdk::problems(self.source.files()) {
            let field = problem.field;
            if !self.reported.insert((problem.place.file.clone(), field.clone())) {
                continue;
            }
            // without the SDK its rules are none
            let found = if self.uses_sdk { Diagnostic::error } else { Diagnostic::warning };
            let message = match &*field {
                "" => format!("this file {}", problem.reason),
                field => format!("`{field}` {}: the SDK refuses it, and the plugin does not start", problem.reason),
            };
            let misspelt =
                problem.is_missing.then(|| self.documents.misspelt_in(&problem.place.file, &field)).flatten();
            let fix = misspelt.map_or_else(|| problem.fix.to_owned(), |key| format!("did you mean it by `{key}`?"));
            // what another release may take, or what published packages lack
            let code = if problem.is_final { "sdk" } else { "sdk_rule" };
            self.report.add(found(code, message).at(problem.place).fix(fix));
        }
        for violation in dify::unreadable(declaration) {
            let (place, field) = self.documents.find(declaration, &violation.path);
            if !self.reported.insert((place.file.clone(), field.clone())) {
                continue;
            }
            let found = if dify::is_refused(&violation) { Diagnostic::error } else { Diagnostic::warning };
            let message = format!("`{field}`: {}: Dify does not list the plugin", violation.reason);
            self.report.add(found(violation.tag, message).at(Place::from(place)).fix("write a value that is allowed"));
        }
    }
}
