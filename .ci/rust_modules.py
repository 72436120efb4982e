"""Which modules of a Rust crate use which, read from its source without compiling it.

Only as much of the language is understood as that takes: comments, literals, items for tests, `mod`, `use`, and paths that
begin with `crate`, `super` or `self`. Macros are read as they stand.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NOT_CODE = re.compile(
    r"""
    //[^\n]*                                    # a comment to the end of the line
  | /\*                                         # the start of a block comment, which may hold others
  | \b(?:b|c)?r(?P<hashes>\#*)"                 # the start of a raw string
  | (?:\b[bc])?"(?:[^"\\]|\\.)*"                # a string
  | (?:\bb)?'(?:[^'\\\n]|\\(?:u\{[^}]*\}|x..|.))'  # a character, which a lifetime is not
    """,
    re.VERBOSE | re.DOTALL,
)
# what a crate offers to the tests of others
TEST_FEATURE = '"test-util"'
FOR_TESTS = re.compile(
    r"#\s*\[\s*cfg\s*\(\s*(?:test|all\s*\(\s*test\b[^\]]*|(?:any\s*\(\s*test\s*,\s*)?feature\s*=\s*"
    + TEST_FEATURE
    + r"\s*\)?)\s*\)\s*\]"
)
ATTRIBUTE = re.compile(r"\s*#\s*\[")
MODULE = re.compile(r"\bmod\s+(?:r#)?(\w+)\s*([;{])")
USE = re.compile(r"\buse\s+")
WORD = re.compile(r"\s*(?:r#)?(\w+|\*)\s*")
PATH = re.compile(r"(?<![\w:$])(?:crate|super|self)\s*::")


class Edge(NamedTuple):
    """The module `user` names something of the module `used`."""

    user: str
    used: str
    file: Path
    line: int


class Source(NamedTuple):
    """The code of a file without comments, literals and tests, and the path of its module from the crate's root."""

    path: tuple[str, ...]
    file: Path
    code: str


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def code_only(text: str) -> str:
    """The text with comments and literals blanked; every line stays where it is."""
    pieces = []
    position = 0
    while match := NOT_CODE.search(text, position):
        end = match.end()
        if match.group() == TEST_FEATURE:
            pieces.append(text[position:end])
            position = end
            continue
        if match.group() == "/*":
            depth = 1
            while depth and (mark := re.compile(r"/\*|\*/").search(text, end)):
                depth += 1 if mark.group() == "/*" else -1
                end = mark.end()
        elif match.group("hashes") is not None:
            close = text.find('"' + match.group("hashes"), end)
            end = len(text) if close < 0 else close + 1 + len(match.group("hashes"))
        pieces += [text[position : match.start()], blank(text[match.start() : end])]
        position = end
    return "".join([*pieces, text[position:]])


def closing(code: str, start: int, pair: str) -> int:
    """Behind the bracket that closes the one at `start`."""
    depth = 0
    for position in range(start, len(code)):
        if code[position] == pair[0]:
            depth += 1
        elif code[position] == pair[1]:
            depth -= 1
            if depth == 0:
                return position + 1
    return len(code)


def without_tests(code: str) -> str:
    """The code with the items under `#[cfg(test)]` blanked."""
    while match := FOR_TESTS.search(code):
        end = match.end()
        while attribute := ATTRIBUTE.match(code, end):
            end = closing(code, attribute.end() - 1, "[]")
        # an item ends with its block or, where that comes first, with a semicolon
        last = re.compile(r"[;{]").search(code, end)
        if last is None:
            end = len(code)
        elif last.group() == ";":
            end = last.end()
        else:
            end = closing(code, last.start(), "{}")
            # `use a::{b, c};` has both
            if re.match(r"\s*(?:pub(?:\([^)]*\))?\s+)?use\b", code[match.end() :]):
                end = code.find(";", end) + 1 or len(code)
        code = code[: match.start()] + blank(code[match.start() : end]) + code[end:]
    return code


def sources(entry: Path) -> Iterator[Source]:
    """The files of a crate from its root file on, those for tests alone left out."""
    todo = [((), entry)]
    while todo:
        path, file = todo.pop()
        code = without_tests(code_only(file.read_text()))
        yield Source(path, file, code)
        folder = file.parent if not path or file.name == "mod.rs" else file.parent / file.stem
        for match in MODULE.finditer(code):
            if match.group(2) != ";":
                continue
            inline = enclosing(code, match.start())
            below = folder.joinpath(*inline)
            for candidate in (below / f"{match.group(1)}.rs", below / match.group(1) / "mod.rs"):
                if candidate.exists():
                    todo.append(((*path, *inline, match.group(1)), candidate))


def enclosing(code: str, position: int) -> list[str]:
    """The modules written out within the file that surround a place of it."""
    return [
        match.group(1)
        for match in MODULE.finditer(code, 0, position)
        if match.group(2) == "{" and closing(code, match.end() - 1, "{}") > position
    ]


def paths_at(code: str, position: int) -> tuple[list[tuple[list[str], str]], int]:
    """The paths of a path or use tree that begins here, each with the name that it brings into scope, and its end."""
    words: list[str] = []
    while True:
        while position < len(code) and code[position].isspace():
            position += 1
        if code.startswith("{", position):
            found = []
            position += 1
            while position < len(code) and code[position] != "}":
                if code[position].isspace() or code[position] == ",":
                    position += 1
                    continue
                inner, end = paths_at(code, position)
                found += [(words + path, name) for path, name in inner]
                position = max(end, position + 1)
            return found, position + 1
        word = WORD.match(code, position)
        if word is None:
            break
        words.append(word.group(1))
        position = word.end()
        if not code.startswith("::", position):
            break
        position += 2
    name = words[-1] if words else ""
    if renamed := re.compile(r"as\s+(\w+)").match(code, position):
        name, position = renamed.group(1), renamed.end()
    if words and words[-1] == "self" and len(words) > 1:
        words.pop()
    return ([(words, name)] if words else []), position


def absolute(path: list[str], module: tuple[str, ...]) -> list[str]:
    """The path from the crate's root."""
    base = list(module)
    for number, word in enumerate(path):
        if word == "crate":
            base = []
        elif word == "super":
            base = base[:-1]
        elif word != "self":
            return base + path[number:]
    return base


def module_edges(entry: Path) -> Iterator[Edge]:
    """The uses between modules directly below the root, each where it stands. What the root itself uses is left out."""
    files = list(sources(entry))
    root = files[0]
    modules = {source.path[0] for source in files if source.path}
    modules |= {name for name, end in MODULE.findall(root.code) if end == "{"}
    # names that the root re-exports stand for the module that they come from
    exported = {}
    for match in USE.finditer(root.code):
        for path, name in paths_at(root.code, match.end())[0]:
            target = absolute(path, ())
            if len(target) > 1 and target[0] in modules:
                exported[name] = target[0]
    for source in files:
        for match in PATH.finditer(source.code):
            here = (*source.path, *enclosing(source.code, match.start()))
            if not here:
                continue
            for path, _ in paths_at(source.code, match.start())[0]:
                target = absolute(path, here)
                used = target[0] if target else ""
                used = used if used in modules else exported.get(used, "")
                if used and used != here[0]:
                    yield Edge(here[0], used, source.file, source.code.count("\n", 0, match.start()) + 1)
