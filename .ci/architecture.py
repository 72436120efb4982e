#!/usr/bin/env python3
"""Checks the structure of the workspace against docs/architecture.md: `.ci/architecture.py [ROOT]`.

- A crate depends only on the crates that the page allows, and a library in its table is used by those crates alone. What
  tests use, and what a crate offers to the tests of others under its feature `test-util`, may be more.
- The modules directly below a crate's root do not import each other in a circle. Code that is only compiled for tests does
  not count.
- Files and folders that the page and CONTRIBUTING.md name exist.
- A source file has at most 400 lines, unless .ci/long-files.txt excuses it, and a Rust file begins with its `//!`, for
  which the name `tests.rs` is enough.

Prints each finding as `file:line: what is wrong; what to do`. Exit status: 0 without findings, 1 with, 2 when the page or a
manifest cannot be read.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from rust_modules import Edge, module_edges

PAGE = "docs/architecture.md"
PAGES = (PAGE, "CONTRIBUTING.md")
EXCUSES = ".ci/long-files.txt"
LONGEST = 400
# the feature of what a crate offers to the tests of others
FOR_TESTS = "test-util"
SOURCES = ("crates", "fuzz/fuzz_targets", ".ci", "deploy", "examples")
SUFFIXES = (".rs", ".py")
# folders of builds and of installed packages
NOT_OURS = {"target", ".venv", "node_modules", "__pycache__"}


class Finding(NamedTuple):
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class Unreadable(Exception):
    """What the check itself depends on is missing or malformed."""


class Row(NamedTuple):
    line: int
    name: str
    cells: list[set[str]]


def table(page: str, *header: str) -> list[Row]:
    """The rows of the table with this header. A cell holds names in backticks; the first cell holds the row's own."""
    lines = page.splitlines()
    cells_of = lambda line: [cell.strip() for cell in line.strip().strip("|").split("|")]
    starts = [number for number, line in enumerate(lines) if line.startswith("|") and cells_of(line) == list(header)]
    if len(starts) != 1:
        raise Unreadable(f"{PAGE}: there must be one table with the header | {' | '.join(header)} |")
    rows = []
    for number, line in enumerate(lines[starts[0] + 2 :], starts[0] + 3):
        if not line.startswith("|"):
            break
        names = [set(re.findall(r"`([^`]+)`", cell)) for cell in cells_of(line)]
        if len(names) != len(header) or len(names[0]) != 1:
            raise Unreadable(f"{PAGE}:{number}: a row needs {len(header)} cells, and one name in backticks in the first")
        rows.append(Row(number, names[0].pop(), names[1:]))
    return rows


class Crate(NamedTuple):
    name: str
    folder: str
    manifest: str
    dependencies: dict[str, int]
    dev_dependencies: dict[str, int]


def read_crate(root: Path, folder: str) -> Crate:
    """The crate of a folder, named as the page names it: without the common prefix."""
    path = root / folder / "Cargo.toml"
    text = path.read_text()
    manifest = tomllib.loads(text)
    normal: dict[str, int] = {}
    dev: dict[str, int] = {}
    features = manifest.get("features", {})
    for section in [manifest, *manifest.get("target", {}).values()]:
        for key, into in (("dependencies", normal), ("build-dependencies", normal), ("dev-dependencies", dev)):
            for name, value in section.get(key, {}).items():
                optional = isinstance(value, dict) and value.get("optional", False)
                of_tests = optional and {f for f, parts in features.items() if f"dep:{name}" in parts} == {FOR_TESTS}
                (dev if of_tests else into)[name] = line_of(text, key, name)
    return Crate(short(manifest["package"]["name"]), folder, f"{folder}/Cargo.toml", normal, dev)


def line_of(manifest: str, section: str, name: str) -> int:
    here = ""
    for number, line in enumerate(manifest.splitlines(), 1):
        if line.startswith("["):
            here = line.strip("[] ")
        elif here.endswith(section) and re.match(rf'"?{re.escape(name)}"?\s*[.=]', line):
            # `dev-dependencies` ends with `dependencies`, too
            if here.rpartition(".")[2] == section:
                return number
    return 1


def short(package: str) -> str:
    return package.removeprefix("plugin-")


def crates_of(root: Path) -> list[Crate]:
    workspace = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]
    return [read_crate(root, folder) for folder in workspace["members"]]


def check_crates(page: str, crates: list[Crate]) -> list[Finding]:
    """Dependencies between the crates of the workspace."""
    rows = {row.name: row for row in table(page, "Crate", "May use", "Its tests may use, too")}
    known = {crate.name for crate in crates}
    findings = []
    for row in rows.values():
        for name in {row.name}.union(*row.cells) - known:
            findings.append(Finding(PAGE, row.line, f"there is no crate `{name}`; remove it from the table"))
    for crate in crates:
        row = rows.get(crate.name)
        if row is None:
            findings.append(Finding(PAGE, 1, f"the table has no row for the crate `{crate.name}`; add it"))
            continue
        may, tests_may = row.cells
        for dependencies, allowed in ((crate.dependencies, may), (crate.dev_dependencies, may | tests_may)):
            for package, line in dependencies.items():
                name = short(package)
                if name in known and name not in allowed:
                    remedy = f"do without it, or change the table in {PAGE}:{row.line} and say why in the commit"
                    findings.append(Finding(crate.manifest, line, f"`{crate.name}` must not use `{name}`; {remedy}"))
    edges = {name: row.cells[0] for name, row in rows.items()}
    for circle in circles(edges):
        text = f"the crates {', '.join(circle)} may use each other in a circle; remove one of them from the row of another"
        findings.append(Finding(PAGE, rows[circle[0]].line, text))
    return findings


def check_libraries(page: str, crates: list[Crate]) -> list[Finding]:
    """Libraries that only some crates may use. Tests may use any."""
    findings = []
    known = {crate.name for crate in crates}
    for row in table(page, "Library", "Only in"):
        allowed = row.cells[0]
        for name in allowed - known:
            findings.append(Finding(PAGE, row.line, f"there is no crate `{name}`; remove it from the table"))
        users = {crate.name for crate in crates if row.name in crate.dependencies}
        for name in sorted((allowed & known) - users):
            findings.append(Finding(PAGE, row.line, f"`{name}` does not use {row.name}; remove it from the row"))
        for crate in crates:
            if crate.name in users - allowed:
                remedy = f"use the crate that wraps it, or change {PAGE}:{row.line} and say why in the commit"
                text = f"`{crate.name}` must not use {row.name}; {remedy}"
                findings.append(Finding(crate.manifest, crate.dependencies[row.name], text))
    return findings


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """A shortest circle of each group of names that all reach each other."""
    reach = {name: reachable(edges, name) for name in edges}
    done: set[str] = set()
    found = []
    for name in sorted(edges):
        if name in done or name not in reach[name]:
            continue
        done |= {other for other in reach[name] if name in reach.get(other, ())}
        found.append(shortest_circle(edges, name))
    return found


def reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(edges[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(edges.get(name, ()))
    return seen


def shortest_circle(edges: dict[str, set[str]], start: str) -> list[str]:
    paths = [[start]]
    seen: set[str] = set()
    for path in paths:
        for name in sorted(edges.get(path[-1], ())):
            if name == start:
                return path
            if name not in seen:
                seen.add(name)
                paths.append([*path, name])
    raise AssertionError(f"{start} is in no circle")


def check_modules(root: Path, crate: Crate) -> list[Finding]:
    """Circles between the modules directly below each root of a crate."""
    findings = []
    source = root / crate.folder / "src"
    for entry in [source / "lib.rs", source / "main.rs", *sorted(source.glob("bin/*.rs"))]:
        if not entry.exists():
            continue
        used: dict[tuple[str, str], Edge] = {}
        for edge in module_edges(entry):
            used.setdefault((edge.user, edge.used), edge)
        edges: dict[str, set[str]] = {}
        for user, name in used:
            edges.setdefault(user, set()).add(name)
        for circle in circles(edges):
            steps = list(zip(circle, [*circle[1:], circle[0]]))
            places = "; ".join(
                f"{user} uses {name} at {used[user, name].file.relative_to(root)}:{used[user, name].line}"
                for user, name in steps
            )
            first = used[steps[0]]
            text = f"modules import each other in a circle: {places}; move what is shared into the lower one or into a third"
            findings.append(Finding(str(first.file.relative_to(root)), first.line, text))
    return findings


def read_excuses(root: Path) -> dict[str, int]:
    """File by file, the line of its excuse: `path: reason`."""
    excuses = {}
    for number, line in enumerate((root / EXCUSES).read_text().splitlines(), 1):
        path, colon, reason = line.partition(": ")
        if line and not line.startswith("#"):
            if not colon or not reason.strip():
                raise Unreadable(f"{EXCUSES}:{number}: an excuse is `path: reason`")
            excuses[path] = number
    return excuses


def check_files(root: Path) -> list[Finding]:
    """Lengths and first lines."""
    findings = []
    excuses = read_excuses(root)
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root)
            if path.suffix not in SUFFIXES or NOT_OURS.intersection(name.parts) or not path.is_file():
                continue
            lines = path.read_text().splitlines()
            excuse = excuses.pop(str(name), None)
            if len(lines) > LONGEST and excuse is None:
                text = f"{len(lines)} lines, more than {LONGEST}; split the file, or give the reason in {EXCUSES}"
                findings.append(Finding(str(name), LONGEST + 1, text))
            if len(lines) <= LONGEST and excuse is not None:
                findings.append(Finding(EXCUSES, excuse, f"{name} has only {len(lines)} lines; remove its excuse"))
            says_what = path.name == "tests.rs" or (lines and lines[0].startswith("//!"))
            if path.suffix == ".rs" and not says_what:
                findings.append(Finding(str(name), 1, "the file does not say what it holds; begin it with a line of `//!`"))
    for name, line in excuses.items():
        findings.append(Finding(EXCUSES, line, f"there is no {name}; remove its excuse"))
    return findings


def check_places(root: Path) -> list[Finding]:
    """Places of the project that pages name in backticks."""
    findings = []
    for page in PAGES:
        for number, line in enumerate((root / page).read_text().splitlines(), 1):
            for place in re.findall(r"`((?:\.ci|crates|deploy|docs|examples|fuzz)/[\w./-]*)`", line):
                if not (root / place).exists():
                    findings.append(Finding(page, number, f"there is no {place}; name the place that it is now"))
    return findings


def check(root: Path) -> list[Finding]:
    page = (root / PAGE).read_text()
    crates = crates_of(root)
    findings = check_crates(page, crates) + check_libraries(page, crates) + check_places(root) + check_files(root)
    for crate in crates:
        findings += check_modules(root, crate)
    return findings


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    try:
        findings = check(root)
    except (OSError, Unreadable, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        print(f"architecture: {error}", file=sys.stderr)
        return 2
    for finding in findings:
        print(finding)
    if findings:
        print(f"architecture: {len(findings)} findings; {PAGE} explains the rules", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
