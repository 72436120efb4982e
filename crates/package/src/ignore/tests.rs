use super::IgnoreRules;

/// Rules, a path (a directory when it ends with a slash), whether it is left out.
fn check(rules: &str, path: &str, expected: bool) {
    let is_directory = path.ends_with('/');
    let found = IgnoreRules::parse(rules).excludes(path.trim_end_matches('/'), is_directory);
    assert_eq!(found, expected, "{rules:?} {path:?}");
}

#[test]
fn patterns_without_a_slash_apply_everywhere() {
    check("*.log", "a.log", true);
    check("*.log", "deep/a.log", true);
    check("build", "build/out.o", true);
    check("build", "deep/build/", true);
    check("build", "building", false);
    check("a**", "abc", true);
}

#[test]
fn patterns_with_a_slash_apply_from_the_root() {
    check("/a.log", "a.log", true);
    check("/a.log", "deep/a.log", false);
    check("docs/*.md", "docs/a.md", true);
    check("docs/*.md", "docs/sub/b.md", false);
    check("docs/sub", "docs/sub/b.md", true);
    check("docs/sub", "docs/", false);
    check("build/*.o", "build/out.o", true);
    check("a/b", "x/a/b", false);
}

#[test]
fn two_stars_stand_for_any_number_of_parts() {
    check("**/x", "x", true);
    check("**/x", "a/b/x", true);
    check("**/x", "a/b/y", false);
    check("a/**/z", "a/z", true);
    check("a/**/z", "a/b/c/z", true);
    check("docs/**", "docs/sub/b.md", true);
    check("docs/**", "docs/", false);
    check("a/b**", "a/bc", false);
    check("**/build/", "deep/build/", true);
    check("**/build/", "deep/build/x", true);
    check("**/a/b", "a/x/a/b", false);
}

#[test]
fn a_trailing_slash_means_directories() {
    check("a.txt/", "a.txt", false);
    check("a.txt/", "a.txt/", true);
    check("build/", "build/keep.txt", true);
    check("/build/", "build/", true);
    check("/build/", "deep/build/", false);
    check("/build/", "build", false);
}

#[test]
fn lines() {
    check("# a.txt", "a.txt", false);
    check("  a.txt  ", "a.txt", true);
    check("a.txt\r\nb.txt", "a.txt", true);
    check("\n\n*.log\n\n# comment\na.txt", "a.txt", true);
    check("", "a.txt", false);
    check("[", "[", false);
    check("\\#odd", "#odd", true);
    check("A.LOG", "a.log", false);
}

#[test]
fn negated_lines_bring_nothing_back() {
    check("*.log\n!keep.log", "keep.log", true);
    check("!keep.log", "keep.log", false);
    assert_eq!(IgnoreRules::parse("*.log\n!keep.log\n!x").negated(), ["!keep.log", "!x"]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken(rules in ".{0,60}", path in "[a-z*/\\[\\]\\\\.]{0,30}", is_directory: bool) {
        IgnoreRules::parse(&rules).excludes(&path, is_directory);
    }
}
