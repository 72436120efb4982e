"""Tests of architecture.py: `python3 -m unittest discover -s .ci`."""

import tempfile
import unittest
from pathlib import Path

import architecture
import rust_modules

PAGE = """\
| Crate | May use | Its tests may use, too |
| --- | --- | --- |
| `ground` | | |
| `upper` | `ground` | `help` |
| `help` | | |

| Library | Only in |
| --- | --- |
| `sqlx` | `ground` |
"""


class Workspace(unittest.TestCase):
    """A workspace of three crates in a folder of its own, without findings at first."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("Cargo.toml", '[workspace]\nmembers = ["crates/ground", "crates/upper", "crates/help"]\n')
        self.write("docs/architecture.md", PAGE)
        self.write("CONTRIBUTING.md", "Files are in `crates/ground/src`.\n")
        self.write(".ci/long-files.txt", "# nothing\n")
        self.crate("ground", "[dependencies]\nsqlx.workspace = true\n")
        self.crate("upper", "[dependencies]\nplugin-ground.workspace = true\n[dev-dependencies]\nplugin-help.workspace = true\n")
        self.crate("help", "")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def crate(self, name: str, dependencies: str) -> None:
        self.write(f"crates/{name}/Cargo.toml", f'[package]\nname = "plugin-{name}"\n{dependencies}')
        self.write(f"crates/{name}/src/lib.rs", "//! A crate.\n")

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        self.assertIn(old, text)
        self.write(path, text.replace(old, new))

    def findings(self) -> list[str]:
        return [str(finding) for finding in architecture.check(self.root)]

    def assert_finding(self, *parts: str) -> None:
        findings = self.findings()
        self.assertEqual(len(findings), 1, findings)
        for part in parts:
            self.assertIn(part, findings[0])


class Crates(Workspace):
    def test_what_the_page_allows_is_no_finding(self) -> None:
        self.assertEqual(self.findings(), [])

    def test_a_dependency_that_is_not_allowed(self) -> None:
        self.crate("ground", "[dependencies]\nsqlx.workspace = true\nplugin-upper.workspace = true\n")
        self.assert_finding("crates/ground/Cargo.toml:5: `ground` must not use `upper`", "docs/architecture.md:3")

    def test_a_dependency_of_one_target_counts(self) -> None:
        self.crate("help", '[target."cfg(unix)".dependencies]\nplugin-ground = { workspace = true }\n')
        self.assert_finding("crates/help/Cargo.toml:4: `help` must not use `ground`")

    def test_a_dependency_for_tests_is_for_tests_alone(self) -> None:
        self.crate("upper", "[dev-dependencies]\nplugin-help.workspace = true\n[dependencies]\nplugin-help.workspace = true\n")
        self.assert_finding("crates/upper/Cargo.toml:6: `upper` must not use `help`")

    def test_what_is_offered_to_the_tests_of_others_is_for_tests(self) -> None:
        optional = "[dependencies]\nplugin-help = { workspace = true, optional = true }\n"
        self.crate("upper", optional + '[features]\ntest-util = ["dep:plugin-help"]\n')
        self.assertEqual(self.findings(), [])
        self.crate("upper", optional + '[features]\ntest-util = ["dep:plugin-help"]\nfull = ["dep:plugin-help"]\n')
        self.assert_finding("crates/upper/Cargo.toml:4: `upper` must not use `help`")

    def test_a_crate_without_a_row(self) -> None:
        self.replace("docs/architecture.md", "| `help` | | |\n", "")
        findings = self.findings()
        self.assertTrue(any("no row for the crate `help`" in finding for finding in findings), findings)

    def test_a_row_without_a_crate(self) -> None:
        self.replace("docs/architecture.md", "| `help` | | |\n", "| `help` | | |\n| `gone` | | |\n")
        self.assert_finding("docs/architecture.md:6: there is no crate `gone`")

    def test_rows_that_allow_a_circle(self) -> None:
        self.replace("docs/architecture.md", "| `ground` | | |", "| `ground` | `upper` | |")
        self.assert_finding("docs/architecture.md:3: the crates ground, upper may use each other in a circle")

    def test_a_page_without_the_table(self) -> None:
        self.write("docs/architecture.md", "nothing")
        with self.assertRaisesRegex(architecture.Unreadable, "must be one table"):
            self.findings()


class Libraries(Workspace):
    def test_a_library_outside_its_crates(self) -> None:
        self.crate("help", '[dependencies]\nsqlx = "1"\n')
        self.assert_finding("crates/help/Cargo.toml:4: `help` must not use sqlx", "docs/architecture.md:9")

    def test_tests_may_use_any(self) -> None:
        self.crate("help", '[dev-dependencies]\nsqlx = "1"\n')
        self.assertEqual(self.findings(), [])

    def test_a_permission_that_is_not_used(self) -> None:
        self.crate("ground", "")
        self.assert_finding("docs/architecture.md:9: `ground` does not use sqlx")


class Modules(Workspace):
    def modules(self, **files: str) -> None:
        self.write("crates/ground/src/lib.rs", "//! A crate.\n" + "".join(f"mod {name};\n" for name in files))
        for name, text in files.items():
            self.write(f"crates/ground/src/{name}.rs", "//! A module.\n" + text)

    def test_a_circle(self) -> None:
        self.modules(a="use crate::b::B;\n", b="\nuse super::{c, c::C};\n", c="fn f() -> crate::a::A { todo() }\n")
        self.assert_finding(
            "crates/ground/src/a.rs:2: ",
            "a uses b at crates/ground/src/a.rs:2; b uses c at crates/ground/src/b.rs:3; c uses a at crates/ground/src/c.rs:2",
        )

    def test_one_way_is_no_circle(self) -> None:
        self.modules(a="use crate::b::B;\nuse crate::c::C;\n", b="use super::c::C;\n", c="use self::inner::X;\n")
        self.assertEqual(self.findings(), [])

    def test_what_is_below_a_module_counts_for_it(self) -> None:
        self.modules(a="mod below;\n", b="use crate::a::A;\n")
        self.write("crates/ground/src/a/below.rs", "//! Below.\nuse super::super::b::B;\nuse super::Other;\n")
        self.assert_finding("a uses b at crates/ground/src/a/below.rs:2; b uses a at crates/ground/src/b.rs:2")

    def test_names_that_the_root_exports_count_for_their_module(self) -> None:
        self.modules(a="use crate::Renamed;\n", b="use crate::a::A;\n")
        self.replace("crates/ground/src/lib.rs", "mod b;", "mod b;\npub use b::{Other, B as Renamed};\npub struct Own;")
        self.assert_finding("a uses b at crates/ground/src/a.rs:2")

    def test_tests_comments_and_texts_do_not_count(self) -> None:
        self.modules(
            a="use crate::b::B;\n",
            b='''
// use crate::a::A;
/* use crate::a::A; /* and */ use crate::a::A; */
const TEXT: &str = "use crate::a::A;";
const RAW: &str = r#"a " use crate::a::A;"#;
const QUOTE: char = '"'; fn f<'a>(_: &'a str) {}
#[cfg(test)]
use crate::a::{A, B};
#[cfg(test)]
#[allow(dead_code, reason = "x")]
mod tests { use crate::a::A; fn f() { let _ = "}"; } }
#[cfg(test)]
mod testing;
#[cfg(any(test, feature = "test-util"))]
pub mod theatre { use crate::a::A; }
#[cfg(feature = "test-util")]
pub use crate::a::A;
''',
        )
        self.write("crates/ground/src/b/testing.rs", "//! For tests.\nuse crate::a::A;\n")
        self.assertEqual(self.findings(), [])

    def test_programs_are_looked_at_too(self) -> None:
        self.write("crates/help/src/bin/tool.rs", "//! A program.\nmod a { use super::b::B; }\nmod b { use crate::a::A; }\n")
        self.assert_finding("crates/help/src/bin/tool.rs:2", "b uses a at crates/help/src/bin/tool.rs:3")

    def test_the_code_behind_a_text_is_read(self) -> None:
        code = rust_modules.code_only("a(b\"\\\"\", 'x', '\\'', r\"\\\"); // c\nd('e)")
        self.assertEqual(code.split(), ["a(", ",", ",", ",", ");", "d('e)"])


class Places(Workspace):
    def test_a_place_that_is_gone(self) -> None:
        self.write("CONTRIBUTING.md", "\n`crates/ground/src/lib.rs`, `cargo doc`, `crates/ground/src/gone.rs`\n")
        self.assert_finding("CONTRIBUTING.md:2: there is no crates/ground/src/gone.rs")


class Files(Workspace):
    def test_a_long_file(self) -> None:
        self.write("crates/help/src/lib.rs", "//! Long.\n" + "\n" * 400)
        self.assert_finding("crates/help/src/lib.rs:401: 401 lines")

    def test_a_long_file_with_an_excuse(self) -> None:
        self.write("crates/help/src/lib.rs", "//! Long.\n" + "\n" * 400)
        self.write(".ci/long-files.txt", "crates/help/src/lib.rs: a table\n")
        self.assertEqual(self.findings(), [])

    def test_excuses_that_are_not_needed(self) -> None:
        self.write(".ci/long-files.txt", "\ncrates/help/src/lib.rs: a table\n")
        self.assert_finding(".ci/long-files.txt:2: crates/help/src/lib.rs has only 1 lines")
        self.write(".ci/long-files.txt", "gone.rs: a table\n")
        self.assert_finding(".ci/long-files.txt:1: there is no gone.rs")

    def test_an_excuse_without_a_reason(self) -> None:
        self.write(".ci/long-files.txt", "crates/help/src/lib.rs\n")
        with self.assertRaisesRegex(architecture.Unreadable, "long-files.txt:1"):
            self.findings()

    def test_a_file_that_does_not_say_what_it_holds(self) -> None:
        self.write("crates/help/tests/it.rs", "use x;\n")
        self.write("crates/help/src/tests.rs", "use x;\n")
        self.assert_finding("crates/help/tests/it.rs:1: the file does not say what it holds")


if __name__ == "__main__":
    unittest.main()
