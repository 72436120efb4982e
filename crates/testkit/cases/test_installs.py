"""Installs that fail: the index, the mirror, the proxy, the plugin; and what stays of a plugin that goes."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable

import pytest

from conftest import wait_for_task
from harness import packages
from harness.client import Client
from harness.settings import Settings
from outside import (
    Attempt,
    Reply,
    Request,
    Starts,
    Web,
    starts,  # noqa: F401 - a fixture
)


def wheel(name: str, version: str, text: str = "") -> bytes:
    """A wheel with one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"text = {text!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for path, data in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


class Index:
    """A package index with these files."""

    def __init__(self, *files: tuple[str, str, bytes]) -> None:
        self.files = {f"{name}-{version}-py3-none-any.whl": content for name, version, content in files}

    def __call__(self, request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        if parts[0] == "files" and parts[-1] in self.files:
            return Reply(body=self.files[parts[-1]])
        names = [name for name in self.files if name.split("-")[0].replace("_", "-") == parts[-1]]
        links = "".join(f'<a href="/files/{name}">{name}</a>' for name in names)
        return Reply(body=links.encode(), headers={"Content-Type": "text/html"}) if names else Reply(404)


def locked(index: str, content: bytes) -> packages.Files:
    """The project of a plugin that is locked to this content of parsley 1.0.0, at this index."""
    digest = hashlib.sha256(content).hexdigest()
    lock = f"""version = 1
requires-python = ">=3.12"

[[package]]
name = "parsley"
version = "1.0.0"
source = {{ registry = "{index}/simple" }}
wheels = [{{ url = "{index}/files/parsley-1.0.0-py3-none-any.whl", hash = "sha256:{digest}", size = {len(content)} }}]

[[package]]
name = "x"
version = "0.0.1"
source = {{ virtual = "." }}
dependencies = [{{ name = "parsley" }}]

[package.metadata]
requires-dist = [{{ name = "parsley" }}]
"""
    project = '[project]\nname = "x"\nversion = "0.0.1"\nrequires-python = ">=3.12"\ndependencies = ["parsley"]\n'
    return {"pyproject.toml": project.encode(), "uv.lock": lock.encode()}


Outcome = tuple[str, str, Attempt]  # how it ended, the task's message, and the daemon


@pytest.fixture
def attempt(starts: Starts, settings: Settings) -> Callable[..., Outcome]:
    """attempt(files={...}, PIP_MIRROR_URL=...): installs a light plugin on a daemon with these variables."""

    def do(files: dict | None = None, main: bytes = packages.LIGHT_MAIN, **variables: str) -> Outcome:
        # no cache of an earlier run: what has been fetched once would be asked of nobody again
        running = starts(PYTHON_ENV_INIT_TIMEOUT="60", NO_PROXY="", **variables).until_ready()
        client = Client(running.base_url, running.server_key)
        package = packages.light("tool_kitchen", "0.0.1", files=files, main=main)
        started = client.install([client.upload(package).unique_identifier])
        task = wait_for_task(client, started, settings.install_timeout)
        client.close()
        assert task
        return task.status, task.plugins[0].message, running

    return do


NEEDS = {"requirements.txt": b"parsley==1.0.0\n"}


# ------------------------------------------------------------------------------------------------- indexes and mirrors


def test_an_index(attempt: Callable[..., Outcome]) -> None:
    with Web(Index(("parsley", "1.0.0", wheel("parsley", "1.0.0")))) as mirror:
        status, message, _ = attempt(NEEDS, PIP_MIRROR_URL=f"{mirror.url}/simple")
    assert status == "success", message


def test_a_mirror_with_other_bytes_than_the_lock_names(attempt: Callable[..., Outcome]) -> None:
    """Final, whatever the operator allows."""
    good = wheel("parsley", "1.0.0")
    origin, mirror = Index(("parsley", "1.0.0", good)), Index(("parsley", "1.0.0", wheel("parsley", "1.0.0", "evil")))
    with Web(origin) as at_origin, Web(mirror) as at_mirror:
        status, message, _ = attempt(
            {"requirements.txt": None, **locked(at_origin.url, good)},
            PIP_MIRROR_URL=f"{at_mirror.url}/simple",
            PIP_MIRROR_FALLBACK="true",
        )
        assert at_mirror.requests and not at_origin.requests
    assert status == "failed" and f"{at_mirror.url}/simple" in message and "Hash mismatch" in message


def test_a_mirror_that_lacks_a_package(attempt: Callable[..., Outcome]) -> None:
    good = wheel("parsley", "1.0.0")
    with Web(Index(("parsley", "1.0.0", good))) as origin, Web(Index()) as mirror:
        files = {"requirements.txt": None, **locked(origin.url, good)}
        where = f"{mirror.url}/simple"
        status, message, _ = attempt(files, PIP_MIRROR_URL=where)
        assert status == "failed" and where in message and "parsley" in message and "PIP_MIRROR_FALLBACK" in message
        assert not origin.requests, "not without the operator's word"
        status, message, _ = attempt(files, PIP_MIRROR_URL=where, PIP_MIRROR_FALLBACK="true")
        assert (status, bool(origin.requests)) == ("success", True), message


def test_a_mirror_that_is_down(attempt: Callable[..., Outcome]) -> None:
    status, message, _ = attempt(NEEDS, PIP_MIRROR_URL="http://127.0.0.1:1/simple", UV_HTTP_RETRIES="0")
    assert status == "failed" and "127.0.0.1:1" in message and "onnection refused" in message
    assert "PIP_MIRROR_URL" in message


def test_an_index_that_wants_credentials(attempt: Callable[..., Outcome]) -> None:
    with Web(lambda request: Reply(401)) as mirror:
        status, message, _ = attempt(NEEDS, PIP_MIRROR_URL=f"http://someone:a-secret@127.0.0.1:{mirror.port}/simple")
    assert status == "failed" and "refuses the credentials (401" in message and f"127.0.0.1:{mirror.port}" in message
    assert "a-secret" not in message


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_that_refuses(attempt: Callable[..., Outcome], variable: str) -> None:
    with Web(lambda request: Reply(407, headers={"Proxy-Authenticate": "Basic"})) as proxy:
        where = f"http://someone:a-secret@127.0.0.1:{proxy.port}"
        status, message, running = attempt(NEEDS, PIP_MIRROR_URL="http://index.invalid/simple", **{variable: where})
    assert status == "failed" and "the proxy refuses the credentials (407)" in message
    assert variable in message and f"127.0.0.1:{proxy.port}" in message
    assert "a-secret" not in message + running.logs()


def test_a_version_that_was_withdrawn(attempt: Callable[..., Outcome]) -> None:
    """The versions that there are, in one sentence."""
    there = [("dify_plugin", version, wheel("dify_plugin", version)) for version in ("0.7.4", "0.9.0")]
    with Web(Index(*there)) as mirror:
        needs = {"requirements.txt": b"dify-plugin==0.7.99\n"}
        status, message, _ = attempt(needs, PIP_MIRROR_URL=f"{mirror.url}/simple")
    first = message.splitlines()[0]
    assert status == "failed" and "there is no version dify-plugin==0.7.99" in first
    assert "0.7.4" in first and "0.9.0" in first and f"{mirror.url}/simple" in first


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_requirements_in_other_encodings(attempt: Callable[..., Outcome], encoding: str) -> None:
    with Web(Index(("parsley", "1.0.0", wheel("parsley", "1.0.0")))) as mirror:
        needs = {"requirements.txt": "parsley==1.0.0\n".encode(encoding)}
        status, message, _ = attempt(needs, PIP_MIRROR_URL=f"{mirror.url}/simple")
        assert status == "success" and mirror.requests, message


# -------------------------------------------------------------------------------------------- plugins that do not start

TRACEBACK = """Traceback (most recent call last):
  File "/x/main.py", line 3, in <module>
    import greenfield
ValueError: the greenfield is not green
"""
BOX = """\u256d\u2500\u2500 Traceback (most recent call last) \u2500\u2500\u256e
\u2502 /x/main.py:3 in <module>            \u2502
\u2502   3 import greenfield                \u2502
\u2570\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u2500\u256f
ValueError: the greenfield is not green
"""


def printing(stream: str, text: str) -> bytes:
    return f"import sys\nsys.{stream}.write({text!r})\nsys.exit(1)\n".encode()


@pytest.mark.parametrize("text", [TRACEBACK, BOX], ids=["plain", "rich"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_traceback_wherever_it_is_printed(attempt: Callable[..., Outcome], stream: str, text: str) -> None:
    status, message, _ = attempt(main=printing(stream, text))
    assert status == "failed" and "ValueError: the greenfield is not green" in message.splitlines()[0]


def test_the_last_line_of_a_long_traceback(attempt: Callable[..., Outcome]) -> None:
    """The exception, and no frames of the daemon's own."""
    main = b"def deep(n):\n    if n == 0:\n        raise RuntimeError('the cause')\n    other(n - 1)\n\n"
    main += b"def other(n):\n    deep(n)\n\ndeep(100)\n"
    status, message, _ = attempt(main=main)
    assert status == "failed" and "RuntimeError: the cause" in message.splitlines()[0]
    assert message.splitlines()[-1] == "RuntimeError: the cause"
    assert ".bootstrap" not in message and "runpy" not in message


def test_the_end_of_the_interpreter_is_no_cause(attempt: Callable[..., Outcome]) -> None:
    end = "Exception ignored in: <object>\nRuntimeError: greenlet is being finalized\n"
    status, message, _ = attempt(main=printing("stderr", TRACEBACK + end))
    assert status == "failed" and "the greenfield is not green" in message.splitlines()[0]
    assert "finalized" not in message


def test_a_plugin_that_says_nothing_at_its_end(attempt: Callable[..., Outcome]) -> None:
    status, message, _ = attempt(main=b"raise SystemExit(3)\n")
    assert status == "failed" and "plugin failed to start: exit code 3" in message


def test_a_plugin_without_the_sdk(attempt: Callable[..., Outcome]) -> None:
    status, message, _ = attempt(main=b"import dify_plugin\n")
    first = message.splitlines()[0]
    assert status == "failed" and "the SDK is missing" in first
    assert "requirements.txt" in first and "dify_plugin" in first


def test_a_plugin_without_a_library_of_the_system(attempt: Callable[..., Outcome]) -> None:
    missing = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
    text = TRACEBACK.replace("ValueError: the greenfield is not green", missing)
    status, message, _ = attempt(main=printing("stderr", text))
    first = message.splitlines()[0]
    assert status == "failed" and "shared library libGL.so.1 is missing" in first and "install" in first


# ------------------------------------------------------------------------------------------------- what goes when


def test_what_stays_after_an_uninstall_is_shown(starts: Starts, settings: Settings) -> None:
    """For how long, which variable says it, and what waits."""
    key = "an-admin-key-of-some-length"
    running = starts(
        ADMIN_API_ENABLED="true", ADMIN_API_KEY=key, PLUGIN_UNUSED_FILES_GRACE_SECONDS="4321"
    ).until_ready()
    client = Client(running.base_url, running.server_key)
    identifier = client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier
    task = wait_for_task(client, client.install([identifier]), settings.install_timeout)
    assert task and task.status == "success"
    [row] = client.plugins().list
    client.uninstall(row.id)
    assert "4321" in running.said("PLUGIN_UNUSED_FILES_GRACE_SECONDS", identifier)
    shown = client.raw("GET", "/admin/unused", headers={"X-Admin-Api-Key": key})
    assert shown.status_code == 200 and "tool_kitchen-0.0.1" in shown.text, shown.text
    client.close()
