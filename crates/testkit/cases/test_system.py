"""Folders, the system, what plugins get of the daemon's environment, and mirrors."""

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import wait_for_task
from harness import packages
from harness.cli import Program
from harness.client import Client
from harness.settings import Settings
from outside import (
    HANG,
    Attempt,
    Reply,
    Starts,
    Web,
    starts,  # noqa: F401 - a fixture
    without_clone3,
    without_links,
    without_power_over_files,
)


# ------------------------------------------------------------------------------------------------- folders, the system


def test_a_folder_of_another_user(starts: Starts, settings: Settings) -> None:
    """Told at the start and in /ready, and to whoever installs into it; told to be well once it is."""
    running = starts.prepared()
    running.before = without_power_over_files
    folder = Path(running.env["PLUGIN_WORKING_PATH"]) / "conformance"
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    whose = "belongs to user 12345" if os.geteuid() == 0 else "mode 555"
    running.start().until_ready()
    for text in (running.said(" WARN ", str(folder)), running.part("working path")):
        assert f"user {os.geteuid()}" in text and str(folder) in text and whose in text, text
    client = Client(running.base_url, running.server_key)
    identifier = client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier
    task = wait_for_task(client, client.install([identifier]), settings.install_timeout)
    assert task and task.status == "failed"
    assert str(folder) in task.plugins[0].message and whose in task.plugins[0].message
    client.close()


def test_a_file_system_without_symbolic_links(starts: Starts, settings: Settings) -> None:
    """Said where it is, and not that some Python is missing."""
    running = starts.prepared()
    running.before = without_links
    folder = running.env["PLUGIN_WORKING_PATH"]
    running.start().until_ready()
    client = Client(running.base_url, running.server_key)
    identifier = client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier
    task = wait_for_task(client, client.install([identifier]), settings.install_timeout)
    assert task and task.status == "failed"
    for text in (running.said(" WARN ", "symbolic links"), running.part("working path"), task.plugins[0].message):
        assert folder in text and "symbolic links" in text and "PLUGIN_WORKING_PATH" in text, text
    assert "install Python" not in task.plugins[0].message
    client.close()


def test_what_is_not_the_daemons_own_is_named(starts: Starts) -> None:
    running = starts.prepared()
    working, storage = Path(running.env["PLUGIN_WORKING_PATH"]), Path(running.env["PLUGIN_STORAGE_LOCAL_ROOT"])
    strange = [working / "README", storage / "plugin/notes.txt", storage / "plugin_packages/mine.txt"]
    for path in strange:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    running.start().until_ready()
    running.said("left alone", str(strange[0]))
    for path in strange[1:]:
        running.said("ignored", path.name)
    assert all(path.read_text() == "mine" for path in strange)
    assert all(running.logs().count(path.name) == 1 for path in strange)


def test_a_package_that_is_gone(starts: Starts, settings: Settings) -> None:
    """The storage was lost, the database was kept: said once, with what to do, and nothing is claimed to be well."""
    running = starts().until_ready()
    client = Client(running.base_url, running.server_key)
    identifier = client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier
    task = wait_for_task(client, client.install([identifier]), settings.install_timeout)
    assert task and task.status == "success"
    running.stop()
    shutil.rmtree(running.env["PLUGIN_STORAGE_LOCAL_ROOT"])
    running.start()
    line = running.said(" ERROR ", identifier, "gone from the storage")
    assert client.tenant in line and "upload it again" in line
    assert "put an installed package back" not in running.logs()
    client.close()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_cache_on_another_file_system(starts: Starts, tmp_path: Path) -> None:
    """Dify's shared environment file names one for its own programs."""
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    there = f"/dev/shm/cache-{uuid.uuid4()}"
    running = starts(UV_CACHE_DIR=there).until_ready()
    running.said("UV_CACHE_DIR", there, "another file system", "PLUGIN_UV_CACHE_DIR")
    assert not Path(there).exists()


def test_a_profile_that_does_not_know_clone3(starts: Starts) -> None:
    running = starts.prepared()
    running.before = without_clone3
    said = running.start().refusal()
    assert "seccomp" in said and "clone3" in said and "seccomp=unconfined" in said and "panicked" not in said


@pytest.mark.parametrize(
    "command", [["plugin", "check", "."], ["plugin", "package", ".", "-o", "x.difypkg"], ["version"]]
)
def test_a_command_under_a_profile_that_does_not_know_clone3(cli: Program, tmp_path: Path, command: list[str]) -> None:
    process = cli.start(*command, cwd=tmp_path, preexec_fn=without_clone3, stdout=-1, stderr=-1)
    out, err = process.communicate(timeout=HANG)
    assert b"panicked" not in out + err and b"RUST_BACKTRACE" not in out + err
    if command != ["version"]:
        assert process.returncode == 1 and b"manifest.yaml" in out + err


def test_slim_under_a_profile_that_does_not_know_clone3(slim: Program, tmp_path: Path) -> None:
    identifier = f"conformance/tool_kitchen:0.0.1@{'0' * 64}"
    command = ["-id", identifier, "-action", "invoke_tool", "-args", "{}"]
    process = slim.start(*command, cwd=tmp_path, preexec_fn=without_clone3, stdout=-1, stderr=-1)
    out, err = process.communicate(timeout=HANG)
    assert process.returncode and err and b"panicked" not in out + err and b"RUST_BACKTRACE" not in out + err


# ------------------------------------------------------------------------------------------------- what plugins get


ENVIRONMENT = packages.LIGHT_MAIN.replace(b'open("answer.txt").read()', b"json.dumps(dict(__import__('os').environ))")


@pytest.fixture
def environment_of_a_plugin(starts: Starts, settings: Settings) -> Callable[..., tuple[dict[str, str], Attempt]]:
    """What a plugin of a daemon with these variables finds in its environment."""

    def get(**variables: str) -> tuple[dict[str, str], Attempt]:
        running = starts(**variables).until_ready()
        client = Client(running.base_url, running.env["SERVER_KEY"])
        package = packages.light("tool_kitchen", "0.0.1", main=ENVIRONMENT)
        task = wait_for_task(
            client, client.install([client.upload(package).unique_identifier]), settings.install_timeout
        )
        assert task and task.status == "success", task
        [first, _] = client.invoke_tool("conformance/tool_kitchen", "kitchen", "echo", {})
        client.close()
        return json.loads(first.text), running

    return get


IDENTITY = {
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
    "GOOGLE_APPLICATION_CREDENTIALS": "/var/run/google.json",
    "AZURE_CLIENT_ID": "some-client",
    "FILES_URL": "http://files:5001",
    "HF_ENDPOINT": "https://models.example.com",
}


def test_variables_that_plugins_commonly_read(environment_of_a_plugin: Callable[..., tuple]) -> None:
    """What is harmless is passed, and what is not passed is said once."""
    seen, running = environment_of_a_plugin(**IDENTITY)
    assert seen["FILES_URL"] == "http://files:5001" and seen["HF_ENDPOINT"] == "https://models.example.com"
    for name, preset in (
        ("AWS_ROLE_ARN", "@aws"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "@google"),
        ("AZURE_CLIENT_ID", "@azure"),
    ):
        assert name not in seen
        [line] = [line for line in running.warnings() if name in line]
        assert preset in line and "PLUGIN_PASS_VARIABLES" in line


def test_presets_pass_what_they_name(environment_of_a_plugin: Callable[..., tuple]) -> None:
    seen, running = environment_of_a_plugin(PLUGIN_PASS_VARIABLES="@aws,@google,@azure,OWN_*", OWN_ONE="1", **IDENTITY)
    assert {name: seen.get(name) for name in IDENTITY} == IDENTITY and seen["OWN_ONE"] == "1"
    assert running.warnings() == []


def test_a_star_does_not_pass_secrets(environment_of_a_plugin: Callable[..., tuple]) -> None:
    secrets = {
        "SERVER_KEY": "a-key-of-the-server-itself",
        "DIFY_INNER_API_KEY": "a-key-of-dify-itself",
        "DB_PASSWORD": "database-secret",
        "REDIS_PASSWORD": "redis-secret",
        "AWS_SECRET_KEY": "bucket-secret",
        "ADMIN_API_KEY": "an-admin-key-of-some-length",
    }
    seen, _ = environment_of_a_plugin(PLUGIN_PASS_VARIABLES="*", OWN_ONE="1", **secrets)
    assert seen["OWN_ONE"] == "1" and not set(secrets) & set(seen) and not set(secrets.values()) & set(seen.values())


# ------------------------------------------------------------------------------------------------- mirrors


@pytest.mark.parametrize(
    "more, asked",
    [
        ({"PIP_MIRROR_AUTO_DETECT": "true"}, True),
        ({"PIP_MIRROR_AUTO_DETECT": "false"}, False),
        ({"PIP_MIRROR_AUTO_DETECT": "true", "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple"}, False),
        ({"PIP_MIRROR_AUTO_DETECT": "true", "PIP_MIRROR_URL": "http://127.0.0.1:1/simple"}, False),
        ({"PIP_MIRROR_AUTO_DETECT": "true", "UV_OFFLINE": "1"}, False),
    ],
)
def test_when_mirrors_are_measured(starts: Starts, more: dict[str, str], asked: bool) -> None:
    with Web(lambda request: Reply(404)) as mirror:
        running = starts(PIP_MIRROR_CANDIDATES=f"{mirror.url}/simple/", **more).until_ready()
        running.said("found uv")
        # what was begun before the end is done by then, or never begins
        assert running.terminate(HANG) == 0
    assert bool(mirror.requests) is asked


def test_the_mirrors_that_are_measured_are_shown(starts: Starts) -> None:
    dumped = starts.of(starts.prepared(), "config", "dump").stdout
    [line] = [line for line in dumped.splitlines() if line.startswith("PIP_MIRROR_CANDIDATES=")]
    assert "https://" in line and "# default" in line


def test_what_is_logged_of_statements(starts: Starts) -> None:
    running = starts(DB_GORM_LOG_LEVEL="info").until_ready()
    running.said("statement", "sql=", "CREATE TABLE plugins")
    assert "sql=" not in starts().until_ready().logs()
