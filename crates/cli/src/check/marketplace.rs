//! What the marketplace demands beside what a daemon does (cli 11.3).

use plugin_manifest::Declaration;
use plugin_package::{ASSETS, read_asset};

use super::place::Place;
use super::{Checker, Diagnostic, MANIFEST};

/// Marks the icons of generated projects.
const TEMPLATE_ICON: &[u8] = b"DIFY_MARKETPLACE_TEMPLATE_ICON_DO_NOT_USE";
/// The oldest SDK that is taken.
const SDK: [u32; 2] = [0, 9];

impl Checker<'_> {
    pub(super) fn marketplace(&mut self, declaration: &Declaration) {
        self.template_icons(declaration);
        self.readme();
        self.privacy(declaration);
        self.sdk();
        let author = declaration.author.to_lowercase();
        if author.contains("langgenius") || author.contains("dify") {
            let (place, _) = self.documents.find(declaration, "author");
            let message = "authors whose names hold `langgenius` or `dify` are taken for the platform's own";
            self.report.add(Diagnostic::error("reserved_author", message).at(place).fix("write your own name"));
        }
        if declaration.repo.as_deref().is_none_or(str::is_empty) {
            let message = "`repo` is not given: users cannot find the source, nor report a fault";
            let fix = "add `repo: https://...` to the manifest";
            self.report.add(Diagnostic::warning("repo_missing", message).at(Place::file(MANIFEST)).fix(fix));
        }
    }

    fn template_icons(&mut self, declaration: &Declaration) {
        for icon in declaration.icons() {
            let Ok(Some(content)) = read_asset(self.source.files(), icon.name) else { continue };
            if content.windows(TEMPLATE_ICON.len()).any(|window| window == TEMPLATE_ICON) {
                let place = Place::file(format!("{ASSETS}/{}", icon.name));
                let message = "this icon is the placeholder of a new project";
                self.report.add(Diagnostic::error("template_icon", message).at(place).fix("draw one of your own"));
            }
        }
    }

    fn readme(&mut self) {
        let Some(text) = self.text("README.md") else { return };
        let is_chinese = |character: char| ('\u{4e00}'..='\u{9fff}').contains(&character);
        if let Some(line) = text.lines().position(|line| line.contains(is_chinese)) {
            let place = Place { line: u32::try_from(line + 1).ok(), ..Place::file("README.md") };
            let fix = "move the text to readme/README_zh_Hans.md";
            self.report.add(Diagnostic::error("readme_language", "README.md has to be in English").at(place).fix(fix));
        }
    }

    fn privacy(&mut self, declaration: &Declaration) {
        let (place, _) = self.documents.find(declaration, "privacy");
        let Some(privacy) = declaration.privacy.as_deref().filter(|privacy| !privacy.is_empty()) else {
            let found = Diagnostic::error("privacy_missing", "`privacy` is not given").at(place);
            return self.report.add(found.fix("write PRIVACY.md, and name it in the manifest"));
        };
        let Some(text) = self.text(privacy.trim_start_matches("./")) else { return };
        if text.trim().is_empty() || text.contains("This text is a placeholder") {
            let message = "the privacy policy is not filled in";
            let fix = "say what data the plugin collects, what for, who receives it, and how long it is kept";
            self.report.add(Diagnostic::error("privacy_placeholder", message).at(Place::file(privacy)).fix(fix));
        }
    }

    /// The lower bound of the SDK, where it can be read without resolving anything.
    fn sdk(&mut self) {
        for file in ["requirements.txt", "pyproject.toml"] {
            let Some(text) = self.text(file) else { continue };
            for (at, line) in text.lines().enumerate() {
                let Some(version) = lower_bound(line) else { continue };
                if version < SDK {
                    let place = Place { line: u32::try_from(at + 1).ok(), ..Place::file(file) };
                    let message =
                        format!("the SDK may be as old as {}.{}; at least 0.9.0 is taken", version[0], version[1]);
                    let fix = "write dify_plugin>=0.9.0";
                    self.report.add(Diagnostic::error("old_sdk", message).at(place).fix(fix));
                }
            }
        }
    }
}

/// The first two numbers behind `==`, `>=` or `~=` of a line that asks for the SDK.
fn lower_bound(line: &str) -> Option<[u32; 2]> {
    let line = line.to_lowercase().replace('-', "_");
    let (_, rest) = line.split_once("dify_plugin")?;
    let start = ["==", ">=", "~="].iter().filter_map(|operator| rest.find(operator)).min()?;
    let version = rest.get(start + 2..)?.trim_start();
    let mut numbers = version.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    });
    Some([numbers.next()?, numbers.next().unwrap_or(0)])
}
