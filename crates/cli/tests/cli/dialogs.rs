//! The questions of `plugin init`, answered in a terminal.

use std::collections::BTreeMap;

use plugin_testkit::Terminal;
use plugin_testkit::terminal::{CTRL_C, DOWN, ENTER};

use crate::plugins::CATEGORIES;
use crate::support::{Place, tree};

/// Rows of the permissions.
const ROWS: usize = 12;

/// The files of a folder, without what depends on the time.
fn files(place: &Place, folder: &str) -> BTreeMap<String, String> {
    let root = place.path(folder);
    let files = tree(&root).into_iter().filter(|path| path.is_file());
    files
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with("created_at: ")).collect::<Vec<_>>().join("\n");
            (path.strip_prefix(&root).unwrap().display().to_string(), lines)
        })
        .collect()
}

/// Answers all questions up to that for the category.
fn to_category(place: &Place, name: &str) -> Terminal {
    let mut terminal = Terminal::start(place.command(&["plugin", "init"])).unwrap();
    for (question, answer) in [
        ("Name of the plugin", name),
        ("Author", "acme"),
        ("What it does", "A new one"),
        ("Address of its repository", ""),
        ("READMEs in other languages", ""),
    ] {
        terminal.until(question).unwrap();
        terminal.press(&[answer, ENTER]).unwrap();
    }
    terminal.until("What kind of plugin").unwrap();
    terminal
}

#[test]
fn every_category_comes_out_of_the_dialog_as_by_flags() {
    let (asked, given) = (Place::new(), Place::new());
    for (index, category) in CATEGORIES.into_iter().enumerate() {
        let mut terminal = to_category(&asked, category);
        terminal.press(&[vec![DOWN; index], vec![ENTER]].concat()).unwrap();
        terminal.until("endpoint.enabled").unwrap();
        terminal.press(&[ENTER; ROWS]).unwrap();
        terminal.until("Oldest version").unwrap();
        terminal.press(&[ENTER]).unwrap();
        assert_eq!(terminal.end().unwrap(), Some(0), "{category}");
        given.init(category, category);
        assert_eq!(files(&asked, category), files(&given, category), "{category}");
    }
}

#[test]
fn ctrl_c_leaves_nothing() {
    let place = Place::new();
    let mut terminal = to_category(&place, "demo");
    terminal.press(&[CTRL_C]).unwrap();
    assert_eq!(terminal.end().unwrap(), Some(1));

    let mut terminal = to_category(&place, "demo");
    terminal.press(&[ENTER]).unwrap();
    terminal.until("endpoint.enabled").unwrap();
    terminal.press(&[CTRL_C]).unwrap();
    assert_eq!(terminal.end().unwrap(), Some(1));
    assert_eq!(tree(place.root.path()), Vec::<std::path::PathBuf>::new());
}
