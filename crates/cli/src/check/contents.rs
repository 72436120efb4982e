//! What would go into the package: nothing that is needed may be missing, nothing secret should be in it.

use std::collections::BTreeSet;

use plugin_manifest::Declaration;

use super::place::Place;
use super::{Checker, Diagnostic};

/// Folders that do not belong into a package, with the reason.
const FOLDERS: [(&str, &str); 8] = [
    (".git", "the history of the project"),
    (".venv", "an environment, which every daemon makes for itself"),
    ("venv", "an environment, which every daemon makes for itself"),
    ("__pycache__", "compiled files"),
    ("__MACOSX", "attributes of files on a Mac"),
    ("node_modules", "packages of another language"),
    (".idea", "settings of an editor"),
    (".vscode", "settings of an editor"),
];
/// Files that file managers leave.
const STRAY: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// Whether a file is below one of those folders.
pub(super) fn is_foreign(file: &str) -> bool {
    file.split('/').any(|part| FOLDERS.iter().any(|(folder, _)| *folder == part))
}

/// A file with a key is small.
const LARGEST_KEY: usize = 64 * 1024;

impl Checker<'_> {
    pub(super) fn contents(&mut self, declaration: &Declaration) {
        let files = match self.source.files().walk() {
            Ok(files) => files,
            Err(error) => {
                let fix = "make all files of the folder readable, or name them in .difyignore";
                return self.report.add(Diagnostic::error("unreadable", error.to_string()).fix(fix));
            }
        };
        let files: BTreeSet<&str> = files.iter().map(String::as_str).collect();
        self.ignored(declaration, &files);
        self.unwanted(&files);
        self.repeated();
        self.links();
        self.texts(declaration, &files);
    }

    /// What the declarations name and the ignore file hides.
    fn ignored(&mut self, declaration: &Declaration, packed: &BTreeSet<&str>) {
        let Some(folder) = self.source.folder() else { return };
        let rules = [".difyignore", ".gitignore"].into_iter().find(|name| folder.root().join(name).is_file());
        let Some(rules) = rules else { return };
        let mut reported = BTreeSet::new();
        for file in self.needed_files(declaration) {
            let is_icon = file.starts_with(plugin_package::ASSETS);
            if !packed.contains(&*file) && folder.size(&file).is_ok() && reported.insert(file.clone()) {
                let what = if is_icon { "icon" } else { "file" };
                let message = format!("{what} {file} is needed, and {rules} leaves it out of the package");
                let fix = format!("take the rule out of {rules}, or make it narrower");
                self.report.add(Diagnostic::error("needed_file_ignored", message).at(Place::file(rules)).fix(fix));
            }
        }
        for rule in folder.ignore_rules().negated() {
            let message = format!("`{rule}` brings nothing back: what an earlier rule hides stays hidden");
            let fix = "make the earlier rule narrower";
            self.report.add(Diagnostic::warning("negated_rule", message).at(Place::file(rules)).fix(fix));
        }
    }

    fn unwanted(&mut self, files: &BTreeSet<&str>) {
        let mut reported = BTreeSet::new();
        for file in files {
            let mut parts: Vec<&str> = file.split('/').collect();
            let name = parts.pop().unwrap_or_default();
            for (depth, part) in parts.iter().enumerate() {
                let Some((folder, what)) = FOLDERS.iter().find(|(folder, _)| folder == part) else { continue };
                let path = parts.get(..=depth).unwrap_or_default().join("/");
                if reported.insert(path.clone()) {
                    let message = format!("folder {path} goes into the package: {what}");
                    let fix = format!("write {folder}/ into .difyignore");
                    self.report.add(Diagnostic::warning("unwanted_folder", message).fix(fix));
                }
                break;
            }
            if STRAY.contains(&name) && !is_foreign(file) {
                let message = "this file is of a file manager, and goes into the package";
                let fix = format!("write {name} into .difyignore");
                self.report.add(Diagnostic::warning("stray_file", message).at(Place::file(*file)).fix(fix));
            }
            let is_environment = name == ".env" || (name.starts_with(".env.") && !name.contains("example"));
            if is_environment || self.holds_key(file, name) {
                let message = "this file is likely secret, and goes into the package";
                let fix = format!("write {file} into .difyignore");
                self.report.add(Diagnostic::warning("secret_file", message).at(Place::file(*file)).fix(fix));
            }
        }
    }

    /// Entries of one name: the first one counts, and which that is shows nowhere.
    fn repeated(&mut self) {
        for path in self.source.package().map(plugin_package::Package::repeated_paths).unwrap_or_default() {
            let message = "the package has several files of this name, of which the first one counts";
            let fix = "pack the folder again with `dify plugin package`";
            self.report.add(Diagnostic::error("repeated_file", message).at(Place::file(path)).fix(fix));
        }
    }

    fn holds_key(&self, file: &str, name: &str) -> bool {
        let is_candidate = [".pem", ".key"].iter().any(|end| name.ends_with(end)) || name.starts_with("id_");
        is_candidate
            && self.source.files().read(file).is_ok_and(|content| {
                content.len() <= LARGEST_KEY && String::from_utf8_lossy(&content).contains("PRIVATE KEY-----")
            })
    }

    fn links(&mut self) {
        let Some(Ok(links)) = self.source.folder().map(plugin_package::Folder::links_outside) else { return };
        for (file, target) in links {
            let message =
                format!("this link leads out of the plugin, and what {} holds would be packed", target.display());
            let fix = "copy the file into the plugin, or name the link in .difyignore";
            self.report.add(Diagnostic::warning("link_outside", message).at(Place::file(file)).fix(fix));
        }
    }

    /// What users read.
    fn texts(&mut self, declaration: &Declaration, files: &BTreeSet<&str>) {
        if !files.contains("README.md") {
            let message = "there is no README.md: users see no description of the plugin";
            self.report.add(Diagnostic::warning("readme_missing", message).fix("write README.md, in English"));
        }
        let Some(privacy) = declaration.privacy.as_deref().filter(|privacy| !privacy.is_empty()) else { return };
        if !privacy.contains("://") && !files.contains(privacy.trim_start_matches("./")) {
            let (place, _) = self.documents.find(declaration, "privacy");
            let message = format!("`privacy` names {privacy}, which is not in the package");
            let fix = "write the file, or give the address of the policy";
            self.report.add(Diagnostic::warning("privacy_missing", message).at(place).fix(fix));
        }
    }
}
