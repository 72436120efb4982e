"""Compares what is accepted here with what Dify and the SDK can read.

Nothing that an upload accepts may be refused by Dify's models, and nothing in which `dify plugin check` finds no error
may be refused by an upload, an install, by Dify or by the SDK. What an upload or an install refuses because of the SDK may
not be started by any release of it that knows the kind of plugin; what no release starts because a key is missing, null or
of another type may not be accepted by both.
"""

import argparse
import collections
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pydantic
import variants
from packaging.version import Version

HERE = Path(__file__).resolve().parent


def load(path: Path) -> Any:
    """A module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class Program:
    """A process that answers each folder with a line of JSON."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __call__(self, folder: Path) -> Any:
        self.ask(folder)
        return self.answer()

    def ask(self, folder: Path) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())


class Releases:
    """Releases of the SDK, each as far as it knows the kind of a plugin."""

    # the first of those here that know the kind; the others start such a plugin and read nothing of it
    KNOWN_SINCE = {"datasource": "0.5.0", "trigger": "0.7.0"}

    def __init__(self, versions: list[str]) -> None:
        self.programs = {version: self.start(version) for version in versions}
        self.usable: dict[str, list[Program]] = {}

    @staticmethod
    def start(version: str) -> Program:
        packages = ["--with", f"dify_plugin=={version}", "--with", "packaging"]
        command = ["uv", "run", "--quiet", "--no-project", "--python", sys.executable, *packages]
        return Program(*command, "python", str(HERE / "sdk.py"))

    def prepare(self, folder: Path) -> None:
        """Finds out which releases start the unchanged plugin."""
        since = self.KNOWN_SINCE.get(folder.name, "0")
        known = {version: program for version, program in self.programs.items() if Version(version) >= Version(since)}
        self.usable[folder.name] = [program for program in known.values() if program(folder) is None]

    def start_it(self, folder: Path) -> bool:
        """Whether one of them starts the plugin."""
        programs = self.usable[folder.name]
        for program in programs:
            program.ask(folder)
        return None in [program.answer() for program in programs]


def errors_of_check(program: str, folder: Path) -> list[str]:
    """The errors that `dify plugin check` reports."""
    command = [program, "plugin", "check", "--format", "json", str(folder)]
    # without a Python on PATH the sources are not parsed, which takes most of the time
    run = subprocess.run(command, capture_output=True, text=True, env={"PATH": "", "HOME": str(folder)}, check=False)
    assert run.returncode in {0, 1} and run.stdout, run
    found = json.loads(run.stdout)["diagnostics"]
    return [f"{one['code']}: {one['message']}" for one in found if one["severity"] == "error"]


def error_of_dify(models: Any, declaration: dict[str, Any]) -> str | None:
    try:
        models.Declaration.model_validate(declaration)
    except pydantic.ValidationError as error:
        return brief(error)
    return None


def brief(error: pydantic.ValidationError) -> str:
    one = error.errors()[0]
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"


def prepare(plugin: Path, folder: Path) -> None:
    """Copies a plugin, with the files that those beside this one leave out."""
    shutil.copytree(plugin, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    for name, text in {"main.py": "", "requirements.txt": "dify_plugin\n", "_assets/icon.svg": "<svg/>"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        if not (folder / name).exists():
            (folder / name).write_text(text)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("plugins", nargs="*", type=Path, help="folders of plugins; those beside this file if none")
    arguments.add_argument("--decode", required=True, help="the example program of plugin-package")
    arguments.add_argument("--dify", required=True, help="the command line")
    arguments.add_argument("--models", type=Path, default=HERE / "dify.py", help="Dify's models")
    arguments.add_argument("--release", action="append", default=[], help="an older release of the SDK")
    arguments.add_argument("--sample", type=int, help="compare only so many variants")
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments.add_argument("--verbose", action="store_true", help="print errors of check that nothing else has")
    options = arguments.parse_args()

    options.plugins = options.plugins or sorted((HERE / "plugins").iterdir())
    upload, models = Program(options.decode), load(options.models)
    sdk, releases = Program(sys.executable, str(HERE / "sdk.py")), Releases(options.release)
    chosen = [(plugin, *variant) for plugin in options.plugins for variant in variants.of_plugin(plugin)]
    if options.sample and options.sample < len(chosen):
        print(f"seed {options.seed}")
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    failures, counts, strict = [], collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as root:
        for plugin in options.plugins:
            folder = Path(root, plugin.name)
            prepare(plugin, folder)
            releases.prepare(folder)
            answer = upload(folder)
            found = [answer.get("error"), answer.get("install_error"), sdk(folder)]
            found += errors_of_check(options.dify, folder)
            failures.extend(f"{plugin.name} itself: {error}" for error in found if error)
        for plugin, name, file, text in chosen:
            folder = Path(root, plugin.name)
            good = (folder / file).read_bytes()
            (folder / file).write_text(text, encoding="utf-8")
            uploaded = upload(folder)
            found = errors_of_check(options.dify, folder)
            refused = uploaded.get("error")
            dify = None if refused else error_of_dify(models, uploaded["declaration"])
            started = sdk(folder)
            refused_later = uploaded.get("install_error")
            is_of_sdk = "the SDK could not start the plugin" in (refused or refused_later or "")
            is_needless = is_of_sdk and (not started or releases.start_it(folder))
            (folder / file).write_bytes(good)
            counts["refused at upload" if refused else "accepted"] += 1
            counts["refused by the SDK"] += bool(started)
            counts["errors of check"] += bool(found)
            if dify:
                failures.append(f"{name}: accepted, and Dify refuses it: {dify}")
            counts["refused at upload because of the SDK"] += is_of_sdk
            counts["refused at install"] += bool(refused_later)
            counts["accepted, and refused by the newest SDK"] += bool(started and not refused and not refused_later)
            if is_needless:
                failures.append(f"{name}: refused, and a release of the SDK starts it: {refused or refused_later}")
            if not found and (refused or refused_later):
                failures.append(f"{name}: check finds no error, and it is refused: {refused or refused_later}")
            if not found and started:
                failures.append(f"{name}: check finds no error, and the SDK refuses it: {started}")
            if found and not refused and not started and not dify:
                strict[found[0].split(":")[0]] += 1
                if options.verbose:
                    print(f"stricter: {name}: {found[0]}")
    print(f"{len(chosen)} variants of {len(options.plugins)} plugins: {dict(counts)}")
    print(f"errors of check alone: {dict(strict)}")
    for failure in failures:
        print(failure)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
