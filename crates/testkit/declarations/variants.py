"""Variants of a plugin: each key of its declarations deleted, null, of another type, or with an unknown value."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """Leaves timestamps the text they are."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Date(str):
    """A text that is written as a plain YAML timestamp."""


class Dumper(yaml.SafeDumper):
    """Writes plain timestamps."""


Dumper.add_representer(Date, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:timestamp", value))

NONE = object()  # the key is deleted
ODD: dict[type, list[Any]] = {
    str: [7, 1.5, True, Date("2024-01-02"), [], {}, "", "nonsense", "é" * 2000],
    bool: ["nonsense", "true", 2, [], {}],
    int: ["nonsense", "7", 1.5, -1, True, [], {}],
    float: ["nonsense", "7", -1, True, [], {}],
    list: [{}, "nonsense", 7, [], [None], [7], ["nonsense"], [{}]],
    dict: [[], "nonsense", 7, {}, {"nonsense": 1}, [{}]],
    type(None): ["nonsense", 7, [], {}],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> str:
    document = copy.deepcopy(document)
    around = document
    for key in path[:-1]:
        around = around[key]
    if value is NONE:
        del around[path[-1]]
    else:
        around[path[-1]] = value
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def of_plugin(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name of the variant, the file that it changes, and that file's text."""
    for file in sorted(folder.rglob("*.yaml")):
        if any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        name = file.relative_to(folder).as_posix()
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=Loader)
        for path in places(document):
            value = document
            for key in path:
                value = value[key]
            for odd in [NONE, None, *ODD[type(value)]]:
                shown = "deleted" if odd is NONE else repr(odd)[:20]
                where = ".".join(map(str, path))
                yield f"{folder.name}/{name}: {where} {shown}", name, changed(document, path, odd)
