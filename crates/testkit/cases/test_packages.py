"""Packages, bundles and declarations that are refused: what is wrong, where, and what to do."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import wait_for_task
from harness import packages
from harness.cli import Done, Program
from harness.client import Client, DaemonError
from harness.daemon import Daemon
from harness.settings import Settings

NAME = {"en_US": "Any"}


def tool(*parameters: dict[str, Any], **more: Any) -> bytes:
    """The declaration of a tool with these parameters."""
    common = {"form": "form", "label": NAME, "human_description": NAME, "llm_description": "any"}
    declared = {
        "identity": {"author": "conformance", "name": "echo", "label": NAME},
        "description": {"human": NAME, "llm": "any"},
        "parameters": [common | one for one in parameters],
        "extra": {"python": {"source": "tools/echo.py"}},
    }
    return yaml.safe_dump(declared | more, sort_keys=False).encode()


def refusal(client: Client, package: bytes) -> str:
    """What an upload says that refuses a package."""
    with pytest.raises(DaemonError) as caught:
        client.upload(package)
    assert (caught.value.code, caught.value.kind) == (-400, "PluginDaemonBadRequestError")
    return caught.value.message


def folder_of(path: Path, files: packages.Files) -> Path:
    folder = path / "plugin"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """The folder of a plugin without fault, with other files: project({"tools/echo.yaml": ...})."""

    def make(files: dict[str, bytes | None] | None = None, **manifest: Any) -> Path:
        return folder_of(tmp_path, packages.sources("tool_kitchen", manifest=manifest, files=files))

    return make


def check(cli: Program, path: Path) -> list[dict[str, Any]]:
    """What `dify plugin check` finds; its exit status says whether one of it is an error."""
    done = cli("plugin", "check", "--format", "json", path)
    found = json.loads(done.stdout)["diagnostics"]
    assert done.code == int(any(one["severity"] == "error" for one in found)), done
    return found


def errors(cli: Program, path: Path) -> dict[str, str]:
    """The errors that `dify plugin check` finds, by their code, each with its file and text."""
    found = [one for one in check(cli, path) if one["severity"] == "error"]
    return {one["code"]: f"{one.get('file')}: {one['message']} {one.get('fix') or ''}" for one in found}


# ------------------------------------------------------------------------------------------------- identifiers


@pytest.mark.parametrize(
    "field, value",
    [("author", "DarkNess"), ("version", "v1.0.0"), ("version", "1"), ("name", "Tool Kitchen"), ("author", "a" * 65)],
)
def test_an_identifier_is_refused_with_its_reason(client: Client, field: str, value: str) -> None:
    said = refusal(client, packages.build("tool_kitchen", manifest={field: value}))
    assert said.startswith("plugin_unique_identifier is not valid: "), "the reference's words come first"
    assert f'the {field} "{value}" has to be' in said


@pytest.mark.parametrize(
    "identifier, missing",
    [("someone/thing", "no version and no checksum"), ("someone/thing:1.0.0", "no checksum")],
)
def test_an_identifier_without_its_parts(client: Client, identifier: str, missing: str) -> None:
    with pytest.raises(DaemonError) as caught:
        client.install([identifier])
    assert caught.value.code == -400 and "plugin_unique_identifiers[0]" in caught.value.message
    assert f"{identifier} (it has {missing}" in caught.value.message
    assert "author/name:version@checksum" in caught.value.message


# ------------------------------------------------------------------------------------------------- kinds of files


WHOLE = packages.build("tool_kitchen")
FOREIGN = {
    "page": (b"<!DOCTYPE html><html><title>Log in</title></html>", "HTML page", "login"),
    "json": (b'{"code": "not_found", "message": "no such file"}', "JSON document", "no such file"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML document", "AccessDenied"),
    "half": (WHOLE[: len(WHOLE) // 2], "cut off", "fetch it again"),
    "without_end": (WHOLE[:-60], "cut off", "fetch it again"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(100), "gzip", ".difypkg"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS", "git lfs pull"),
    "yaml": (packages.sources("tool_kitchen")["manifest.yaml"], "text", "version: 0.0.1"),
    "nothing": (b"", "empty", ""),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_is_no_package(client: Client, cli: Program, tmp_path: Path, kind: str) -> None:
    content, what, word = FOREIGN[kind]
    said = refusal(client, content)
    assert what in said and word in said, said
    (tmp_path / "some.difypkg").write_bytes(content)
    done = cli("plugin", "check", tmp_path / "some.difypkg")
    assert done.code == 1 and what in done.output and word in done.output, done


def test_a_folder_too_deep(client: Client, cli: Program, tmp_path: Path) -> None:
    files = {f"plugin/{name}": data for name, data in packages.sources("tool_kitchen").items()}
    said = refusal(client, packages.pack(files))
    assert said.startswith("open manifest.yaml: file does not exist") and "manifest.yaml is in plugin/" in said
    done = cli("plugin", "check", folder_of(tmp_path, files))
    assert done.code == 1 and "plugin/" in done.output and "manifest.yaml" in done.output


def test_what_the_sdk_cannot_decode(client: Client, cli: Program, project: Callable[..., Path]) -> None:
    manifest = packages.sources("tool_kitchen")["manifest.yaml"].decode().encode("utf-16")
    said = refusal(client, packages.build("tool_kitchen", files={"manifest.yaml": manifest}))
    assert "manifest.yaml" in said and "UTF-16" in said and "save it as UTF-8" in said
    done = cli("plugin", "check", project({"manifest.yaml": manifest}))
    assert done.code == 1 and "UTF-16" in done.output and "UTF-8" in done.output


def test_a_mark_of_utf8_is_no_fault(client: Client) -> None:
    manifest = b"\xef\xbb\xbf" + packages.sources("tool_kitchen")["manifest.yaml"]
    assert client.upload(packages.build("tool_kitchen", files={"manifest.yaml": manifest})).manifest.name


def test_backslashes_in_paths(client: Client, cli: Program, project: Callable[..., Path]) -> None:
    declared = packages.sources("tool_kitchen")["provider/kitchen.yaml"]
    source = {"provider/kitchen.yaml": declared.replace(b"source: provider/", b"source: provider\\")}
    for package in (
        packages.build("tool_kitchen", manifest={"plugins": {"tools": ["provider\\kitchen.yaml"]}}),
        packages.build("tool_kitchen", files=source),  # type: ignore[arg-type]
    ):
        said = refusal(client, package)
        assert "provider\\kitchen" in said and "forward slashes" in said
    done = cli("plugin", "check", project(source))
    assert done.code == 1 and "forward slashes" in done.output and "provider/kitchen.yaml" in done.output


# ------------------------------------------------------------------------------------------------- declarations


@pytest.mark.parametrize("value, shown", [(None, "``"), ("nonsense", "`nonsense`")])
def test_a_type_that_would_empty_a_page_of_dify(client: Client, value: str | None, shown: str) -> None:
    parameter = {"name": "one", "type": value} if value else {"name": "one"}
    said = refusal(client, packages.build("tool_kitchen", files={"tools/echo.yaml": tool(parameter)}))
    assert "tools/echo.yaml:" in said and "parameters[0].type" in said and shown in said
    assert "string" in said and "select" in said, "the values that there are"


def test_a_version_that_dify_cannot_read(client: Client) -> None:
    said = refusal(client, packages.build("tool_kitchen", manifest={"version": "0.0.1-foo"}))
    assert "manifest.yaml:" in said and "version" in said and "0.0.1-foo" in said


def test_a_version_of_the_runner_that_the_sdk_cannot_read(client: Client, cli: Program, project: Callable) -> None:
    """3.12 without quotation marks is a number."""
    runner = {"meta": {"runner": {"version": 3.12}}}
    assert "quot" in refusal(client, packages.build("tool_kitchen", manifest=runner))
    found = errors(cli, project(meta=runner["meta"]))
    assert any("manifest.yaml" in one and "version" in one and "quot" in one for one in found.values()), found


def test_parameters_keep_what_newer_sdks_declare(tenant: Client, settings: Settings) -> None:
    more = {
        "show_on": [{"variable": "one", "value": "a"}],
        "input_schema": {"type": "object", "properties": {"x": {"type": "string"}}},
    }
    declared = tool({"name": "one", "type": "string"}, {"name": "two", "type": "string", **more})
    package = packages.light("tool_kitchen", "0.0.1", files={"tools/echo.yaml": declared})
    task = wait_for_task(tenant, tenant.install([tenant.upload(package).unique_identifier]), settings.install_timeout)
    assert task and task.status == "success"
    [row] = tenant.raw("GET", "management/tools", params={"page": 1, "page_size": 256}).json()["data"]
    [echo] = [one for one in row["declaration"]["tools"] if one["identity"]["name"] == "echo"]
    assert {name: echo["parameters"][1].get(name) for name in more} == more


OPTIONS = [{"value": "a", "label": NAME}, {"value": "b", "label": NAME}]
FAULTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no_options": ([{"name": "one", "type": "select"}], "options"),
    "default_type": ([{"name": "one", "type": "number", "default": "many"}], "default"),
    "default_not_an_option": ([{"name": "one", "type": "select", "options": OPTIONS, "default": "c"}], "default"),
    "duplicate_name": ([{"name": "one", "type": "string"}, {"name": "one", "type": "string"}], "one"),
    "auto_generate": (
        [{"name": "one", "type": "number", "auto_generate": {"type": "prompt_instruction"}}],
        "auto_generate",
    ),
    "multiple": ([{"name": "one", "type": "files", "multiple": True}], "multiple"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_dify_does_not_like_is_an_error(cli: Program, project: Callable[..., Path], fault: str) -> None:
    parameters, word = FAULTS[fault]
    found = errors(cli, project({"tools/echo.yaml": tool(*parameters)}))
    assert any("tools/echo.yaml" in one and word in one for one in found.values()), found


def test_a_plugin_without_fault(cli: Program, project: Callable[..., Path]) -> None:
    folder = project({"tools/echo.yaml": tool({"name": "one", "type": "select", "options": OPTIONS, "default": "a"})})
    assert errors(cli, folder) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_requirements_in_any_encoding(cli: Program, project: Callable[..., Path], encoding: str) -> None:
    """uv reads them all, so none of them is without the SDK."""
    folder = project({"requirements.txt": "dify_plugin>=0.7.4,<1.0\n".encode(encoding)})
    assert errors(cli, folder) == {}
    (folder / "requirements.txt").write_bytes("six\n".encode(encoding))
    assert any("dify_plugin" in one["message"] for one in check(cli, folder))


def test_leftovers_are_named(cli: Program, project: Callable[..., Path]) -> None:
    folder = project({"__MACOSX/._manifest.yaml": b"x", ".DS_Store": b"x", "tools/.DS_Store": b"x"})
    said = json.dumps(check(cli, folder))
    assert "__MACOSX" in said and ".DS_Store" in said


def test_two_files_of_one_name_in_a_package(cli: Program, tmp_path: Path) -> None:
    buffer = io.BytesIO(WHOLE)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("README.md", "another")
    (tmp_path / "some.difypkg").write_bytes(buffer.getvalue())
    assert any(
        "README.md" in json.dumps(one) and one["code"] == "repeated_file"
        for one in check(cli, tmp_path / "some.difypkg")
    )


# ------------------------------------------------------------------------------------------------- packing


def pack(cli: Program, *arguments: object, cwd: Path | None = None) -> Done:
    return cli("plugin", "package", *arguments, cwd=cwd)


def test_errors_of_the_check_refuse_the_package(cli: Program, project: Callable[..., Path], tmp_path: Path) -> None:
    wrong = tool({"name": "one", "type": "number", "default": "many"})
    folder, output = project({"tools/echo.yaml": wrong}), tmp_path / "out.difypkg"
    done = pack(cli, folder, "-o", output)
    assert done.code == 1 and "tools/echo.yaml" in done.output and "default" in done.output and not output.exists()
    assert pack(cli, folder, "-o", output, "--skip-check").code == 0 and output.exists()


def test_packages_in_the_folder_are_not_packed(cli: Program, project: Callable[..., Path]) -> None:
    """Packed into its own folder again and again, it does not grow."""
    folder = project({"foreign.difypkg": WHOLE})
    sizes = []
    for _ in range(3):
        done = pack(cli, folder, "-o", folder / "own.difypkg")
        assert done.code == 0, done
        sizes.append((folder / "own.difypkg").stat().st_size)
    inside = packages.unpack((folder / "own.difypkg").read_bytes())
    assert len(set(sizes)) == 1 and not [name for name in inside if name.endswith(".difypkg")]
    assert "foreign.difypkg" in done.output


def test_an_environment_in_the_folder(cli: Program, project: Callable[..., Path], tmp_path: Path) -> None:
    """Without any ignore file."""
    files = {
        ".venv/pyvenv.cfg": b"",
        ".venv/lib/site.py": b"x",
        ".git/HEAD": b"x",
        ".git/objects/x": b"x",
        "__pycache__/x.pyc": b"x",
    }
    folder = project(files)
    (folder / ".venv/lib64").symlink_to("lib")
    assert not (folder / ".difyignore").exists() and not (folder / ".gitignore").exists()
    done = pack(cli, folder, "-o", tmp_path / "out.difypkg")
    assert done.code == 0, done
    inside = packages.unpack((tmp_path / "out.difypkg").read_bytes())
    assert not [name for name in inside if name.startswith((".venv", ".git/", "__pycache__"))]


def test_a_locked_project_without_a_dev_group(cli: Program, project: Callable[..., Path], tmp_path: Path) -> None:
    declared = b'[project]\nname = "x"\nversion = "0.0.1"\nrequires-python = ">=3.12"\ndependencies = []\n'
    lock = b'version = 1\nrequires-python = ">=3.12"\n\n[[package]]\n'
    lock += b'name = "x"\nversion = "0.0.1"\nsource = { virtual = "." }\n'
    folder = project({"requirements.txt": None, "pyproject.toml": declared, "uv.lock": lock})
    done = pack(cli, folder, "-o", tmp_path / "out.difypkg", "--skip-check")
    assert done.code == 0 and "dev" not in done.stderr, done


def test_what_is_too_large_is_listed(cli: Program, project: Callable[..., Path], tmp_path: Path) -> None:
    folder = project({"large.bin": bytes(2_000_000), "larger.bin": bytes(3_000_000)})
    done = pack(cli, folder, "-o", tmp_path / "out.difypkg", "--max-size", "1")
    assert done.code == 1 and done.output.index("larger.bin") < done.output.index("large.bin"), done


def test_the_folder_one_stands_in(cli: Program, project: Callable[..., Path]) -> None:
    folder = project({".difyignore": b"*.difypkg\n"})
    done = pack(cli, ".", cwd=folder)
    assert done.code == 0 and (folder / "tool_kitchen.difypkg").exists(), done


# ------------------------------------------------------------------------------------------------- bundles


def refused_bundle(client: Client, bundle: bytes) -> str:
    with pytest.raises(DaemonError) as caught:
        client.upload_bundle(bundle)
    assert (caught.value.code, caught.value.kind) == (-400, "PluginDaemonBadRequestError"), caught.value.raw
    return caught.value.message


BAD_BUNDLES = {
    "missing": (packages.bundle({}, [{"type": "package", "value": {"path": "gone.difypkg"}}]), "gone.difypkg"),
    "page": (packages.bundle({"one.difypkg": b"<html>Log in</html>"}), "one.difypkg"),
    "pattern": (packages.bundle({}, [{"type": "marketplace", "value": {"marketplace_pattern": "a/b"}}]), "a/b"),
    "no_bundle": (b"<html>Log in</html>", "HTML page"),
    "plugin": (WHOLE, "no bundle"),
}


@pytest.mark.parametrize("fault", BAD_BUNDLES)
def test_a_bundle_that_is_refused(
    make_daemon: Callable[..., Daemon], make_client: Callable[..., Client], fault: str
) -> None:
    """A fault of the caller's, which is no error of the daemon's."""
    daemon = make_daemon(LOG_LEVEL="WARN")
    bundle, word = BAD_BUNDLES[fault]
    assert word in refused_bundle(make_client(daemon), bundle)
    assert " ERROR " not in daemon.logs()


@pytest.fixture
def bundle(cli: Program, tmp_path: Path) -> Path:
    """The folder of a bundle with one package."""
    (tmp_path / "one.difypkg").write_bytes(WHOLE)
    done = cli(
        "bundle", "init", "--name", "some-bundle", "--author", "conformance", "--description", "Any", cwd=tmp_path
    )
    assert done.code == 0, done
    folder = tmp_path / "some-bundle"
    assert cli("bundle", "append", "package", folder, "--package_path", tmp_path / "one.difypkg").code == 0
    return folder


def test_a_bundle_whose_package_is_gone(cli: Program, bundle: Path, tmp_path: Path) -> None:
    [asset] = (
        path for path in bundle.glob("_assets/*") if packages.identity(WHOLE).endswith(path.name) or "one" in path.name
    )
    asset.unlink()
    done = cli("bundle", "package", bundle, "-o", tmp_path / "out.difybndl")
    assert done.code == 1 and asset.name in done.output and not (tmp_path / "out.difybndl").exists()


def test_a_package_given_to_a_bundle_again(cli: Program, bundle: Path, tmp_path: Path) -> None:
    for _ in range(2):
        cli("bundle", "append", "package", bundle, "--package_path", tmp_path / "one.difypkg")
    assert len(yaml.safe_load((bundle / "manifest.yaml").read_text())["dependencies"]) == 1


def test_the_identifiers_of_a_bundle(cli: Program, bundle: Path) -> None:
    done = cli("bundle", "analyze", bundle)
    assert done.code == 0 and packages.identity(WHOLE) in done.output, done


# ------------------------------------------------------------------------------------------------- limits


def test_a_source_that_dify_could_not_read(client: Client) -> None:
    identifier = client.upload(WHOLE).unique_identifier
    with pytest.raises(DaemonError) as caught:
        client.install([identifier], source="nonsense")
    assert caught.value.code == -400 and "source" in caught.value.message
    assert all(one in caught.value.message for one in ("github", "marketplace", "package", "remote"))


def test_a_package_over_the_limit(make_daemon: Callable[..., Daemon], make_client: Callable[..., Client]) -> None:
    client = make_client(make_daemon(MAX_PLUGIN_PACKAGE_SIZE="1000000"))
    for content in (bytes(2_000_000), os.urandom(2_000_000)):  # too large once it is unpacked, and as it is
        said = refusal(client, packages.build("tool_kitchen", files={"large.bin": content}))
        assert "1000000" in said and "MAX_PLUGIN_PACKAGE_SIZE" in said
