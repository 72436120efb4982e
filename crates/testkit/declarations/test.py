"""Compares what is accepted here with what Dify and the SDK can read.

Nothing that an upload accepts may be refused by Dify's models, and nothing in which `dify plugin check` finds no error
may be refused by an upload, by Dify or by the SDK.
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

HERE = Path(__file__).resolve().parent


def load(path: Path) -> Any:
    """A module from its file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class Uploads:
    """What an upload makes of a folder."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, folder: Path) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


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


class Sdk:
    """Loads the declarations as the SDK does when a plugin starts."""

    def __init__(self) -> None:
        from dify_plugin.core.plugin_registration import PluginRegistration

        self.registration = PluginRegistration

    def __call__(self, folder: Path) -> str | None:
        registration = self.registration.__new__(self.registration)
        for kind in ("tools", "models", "endpoints", "agent_strategies", "triggers"):
            setattr(registration, f"{kind}_configuration", [])
        registration.datasource_configuration = []
        before = Path.cwd()
        os.chdir(folder)
        try:
            registration._load_plugin_configuration()
        except Exception as error:  # whatever it is, the plugin does not start
            return str(error).replace("\n", " ")[:300]
        finally:
            os.chdir(before)
        return None


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
    arguments.add_argument("--sample", type=int, help="compare only so many variants")
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments.add_argument("--verbose", action="store_true", help="print errors of check that nothing else has")
    options = arguments.parse_args()

    options.plugins = options.plugins or sorted((HERE / "plugins").iterdir())
    upload, sdk, models = Uploads(options.decode), Sdk(), load(options.models)
    chosen = [(plugin, *variant) for plugin in options.plugins for variant in variants.of_plugin(plugin)]
    if options.sample and options.sample < len(chosen):
        print(f"seed {options.seed}")
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    failures, counts, strict = [], collections.Counter(), collections.Counter()
    with tempfile.TemporaryDirectory() as root:
        for plugin in options.plugins:
            folder = Path(root, plugin.name)
            prepare(plugin, folder)
            found = [upload(folder).get("error"), sdk(folder), *errors_of_check(options.dify, folder)]
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
            (folder / file).write_bytes(good)
            counts["refused at upload" if refused else "accepted"] += 1
            counts["refused by the SDK"] += bool(started)
            counts["errors of check"] += bool(found)
            if dify:
                failures.append(f"{name}: accepted, and Dify refuses it: {dify}")
            if not found and refused:
                failures.append(f"{name}: check finds no error, and an upload refuses it: {refused}")
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
