//! New plugins are valid and well-formed in every category.

use plugin_package::{Folder, PackOptions, pack};

use super::*;
use crate::check::{self, Options};
use crate::files::write_folder;
use crate::source::Source;

fn project(category: Category) -> Project {
    let mut permissions = Permissions { storage: Some(2048), model: true, llm: true, ..Permissions::default() };
    permissions.add_those_of(category);
    Project {
        name: "demo".to_owned(),
        author: "acme".to_owned(),
        description: "It's C++ & \"more\": <tags> # {{ x }}".to_owned(),
        repository: Some("https://example.com/acme/demo".to_owned()),
        category,
        minimum_dify_version: Some("1.4.0".to_owned()),
        permissions,
        languages: vec![Language::Chinese, Language::Japanese, Language::Portuguese],
    }
}

fn written(project: &Project) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let files = project.files().unwrap();
    write_folder(&root.path().join("demo"), files.iter().map(|(path, text)| (path.as_str(), text.as_str()))).unwrap();
    root
}

#[test]
fn every_category_is_without_fault_and_packs() {
    for category in Category::ALL {
        let root = written(&project(category));
        let folder = root.path().join("demo");
        let report = check::check(&Source::open(&folder).unwrap(), Options::default());
        assert_eq!(report.diagnostics, [], "{category}");
        pack(&Folder::open(&folder).unwrap(), &PackOptions::default()).unwrap();
    }
}

#[test]
fn texts_are_quoted_for_the_language_they_are_in() {
    for category in Category::ALL {
        let project = project(category);
        for (path, text) in project.files().unwrap() {
            assert!(!text.contains("&amp;") && !text.contains("&#39;"), "{path}");
            if path == "pyproject.toml" {
                text.parse::<toml::Table>().unwrap();
            }
            assert!(text.ends_with('\n'), "{path}");
        }
        let root = written(&project);
        let declaration = Source::open(&root.path().join("demo")).unwrap().declaration().unwrap();
        assert_eq!(declaration.description.en_us, project.description);
        assert_eq!(Permissions::of(declaration.permission()), project.permissions);
        assert_eq!(declaration.repo, project.repository);
        assert_eq!(declaration.meta.minimum_dify_version, project.minimum_dify_version);
    }
}

#[test]
fn names_like_numbers_stay_texts() {
    for name in ["1", "true", "1e5", "-", "null"] {
        let project = Project { name: name.to_owned(), ..project(Category::Tool) };
        let root = written(&project);
        let declaration = Source::open(&root.path().join("demo")).unwrap().declaration().unwrap();
        assert_eq!(declaration.name, name);
        assert_eq!(declaration.tool.unwrap().tools[0].identity.name, name);
    }
}

#[test]
fn placeholders_are_known_as_such() {
    let root = written(&project(Category::Llm));
    let report = check::check(&Source::open(&root.path().join("demo")).unwrap(), Options { marketplace: true });
    let mut codes: Vec<&str> = report.diagnostics.iter().map(|diagnostic| &*diagnostic.code).collect();
    codes.dedup();
    assert_eq!(codes, ["privacy_placeholder", "template_icon"]);
}
