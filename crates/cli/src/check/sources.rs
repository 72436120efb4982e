//! The Python files that the declarations name: they have to be there, and in the package.

use plugin_manifest::declaration::Declaration;
use plugin_manifest::locate::{KINDS, at, pair, sources_of};
use plugin_manifest::yaml::{Kind, Mark, Node};

use super::place::Place;
use super::{Checker, Diagnostic, MANIFEST};

/// A source that a file names.
struct Named {
    path: String,
    place: Place,
    /// Whether the SDK loads it.
    loaded: bool,
}

impl Checker<'_> {
    /// Checks the sources and the entrypoint.
    pub(super) fn sources(&mut self, declaration: &Declaration) {
        for named in self.named_sources(declaration) {
            if self.source.files().read(&named.path).is_ok() {
                continue;
            }
            let message = format!("source {} is not there", named.path);
            let found = if named.loaded {
                Diagnostic::error("source_missing", message).fix("write the file, or name one that is there")
            } else {
                Diagnostic::warning("source_missing", message).fix("take the line out: the SDK does not read it")
            };
            self.report.add(found.at(named.place));
        }
        let entrypoint = &declaration.meta.runner.entrypoint;
        if !entrypoint.is_empty() && self.entrypoint_file(entrypoint).is_none() {
            let file = format!("{}.py", entrypoint.replace('.', "/"));
            let message = format!("entrypoint `{entrypoint}` is not there: {file} is missing");
            let (place, _) = self.documents.find(declaration, "meta.runner.entrypoint");
            let fix = format!("write {file}, or name the module that starts the plugin");
            self.report.add(Diagnostic::error("entrypoint_missing", message).at(place).fix(fix));
        }
    }

    /// The file that `python -m` runs for a module.
    pub(super) fn entrypoint_file(&self, entrypoint: &str) -> Option<String> {
        let path = entrypoint.replace('.', "/");
        [format!("{path}.py"), format!("{path}/__main__.py")]
            .into_iter()
            .find(|file| self.source.files().read(file).is_ok())
    }

    /// The paths of all sources that are there.
    pub(super) fn present_sources(&self, declaration: &Declaration) -> Vec<String> {
        let named = self.named_sources(declaration).into_iter().map(|named| named.path);
        named.filter(|path| self.source.files().read(path).is_ok()).collect()
    }

    fn named_sources(&self, declaration: &Declaration) -> Vec<Named> {
        let mut found = Vec::new();
        for kind in &KINDS {
            let Some(provider) = kind.file(declaration) else { continue };
            // agent strategies' providers have no class that the SDK would load
            let loaded = kind.children != "strategies";
            let sources = self.documents.with(provider, |root| {
                let mut sources = of_node(root, loaded);
                if let Some(constructor) = at(root, &["subscription_constructor"]) {
                    sources.extend(of_node(constructor, false));
                }
                let inline = pair(root, kind.children).map(|(_, list)| list.children().collect::<Vec<_>>());
                for child in
                    inline.unwrap_or_default().into_iter().filter(|child| matches!(child.kind(), Kind::Mapping))
                {
                    sources.extend(of_node(child, true));
                }
                sources
            });
            add(&mut found, provider, sources.unwrap_or_default());
            if kind.children == "models" {
                continue;
            }
            for child in self.documents.children(provider, kind.children).1 {
                let sources = self.documents.with(&child, |root| of_node(root, true));
                add(&mut found, &child, sources.unwrap_or_default());
            }
        }
        found
    }
}

fn add(found: &mut Vec<Named>, file: &str, sources: Vec<(String, Mark, bool)>) {
    let place = |mark| Place::new(file, Some(mark));
    found.extend(sources.into_iter().map(|(path, mark, loaded)| Named { path, place: place(mark), loaded }));
}

/// What `extra.python` of a declaration names.
fn of_node(node: Node<'_>, loaded: bool) -> Vec<(String, Mark, bool)> {
    sources_of(node).map(|(path, mark)| (path.to_owned(), mark, loaded)).collect()
}

impl Checker<'_> {
    /// The files that the declarations name and that a package cannot do without.
    pub(super) fn needed_files(&self, declaration: &Declaration) -> Vec<String> {
        let mut files = vec![MANIFEST.to_owned()];
        for kind in &KINDS {
            let Some(provider) = kind.file(declaration) else { continue };
            files.push(provider.clone());
            if kind.children != "models" {
                files.extend(self.documents.children(provider, kind.children).1);
            }
        }
        files.extend(declaration.icons().iter().map(|icon| format!("{}/{}", plugin_package::ASSETS, icon.name)));
        files.extend(self.present_sources(declaration));
        files.extend(self.entrypoint_file(&declaration.meta.runner.entrypoint));
        files
    }
}
