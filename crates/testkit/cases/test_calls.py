"""Calls, answers that something gives in Dify's name, workers that die, and debugging."""

import contextlib
import json
import os
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import install
from harness import packages, puppet
from harness.cli import Program
from harness.client import Client, DaemonError
from harness.daemon import Daemon
from harness.fake_dify import Answer, FakeDify
from harness.raw_debug import RawDebugger
from harness.settings import Settings
from harness.stdio import wait_for
from outside import (
    HANG,
    Attempt,
    Listener,
    Reply,
    Request,
    Starts,
    Web,
    listening,
    starts,  # noqa: F401 - a fixture
)


# ------------------------------------------------------------------------------------------------- nothing or nonsense


@pytest.fixture(scope="module")
def actor(make_client: Callable[..., Client], settings: Settings) -> Callable[..., list[Any]]:
    """actor(step, ...): a call of a plugin that does just this, and what comes back."""
    client = make_client()
    install(client, "backwards", puppet.package("backwards"), settings.install_timeout)

    def call(*steps: list[Any]) -> list[Any]:
        script = puppet.script(*steps)
        return list(client.invoke_tool("conformance/backwards", "backwards", "call", {}, credentials=script))

    return call


TEXT = {"type": "text", "message": {"text": "hi"}, "meta": None}


def test_empty_wrong_and_failed_are_three_things(actor: Callable[..., list[Any]]) -> None:
    assert actor(["sleep", 0]) == []
    with pytest.raises(DaemonError) as failed:
        actor(["error", {"error_type": "Sad", "message": "no more", "args": {}}])
    assert (failed.value.error_type, failed.value.message) == ("Sad", "no more")
    with pytest.raises(DaemonError) as wrong:
        actor(["stream", {"type": "json", "message": {"json_object": {"x": float("nan")}}}])
    assert wrong.value.error_type == "PluginDaemonInnerError"
    assert "conformance/backwards:0.0.1" in wrong.value.message and "must be JSON" in wrong.value.message


@pytest.mark.parametrize(
    "chunk, rule",
    [({"message": {}}, "'type'"), ("hello", "an object")],
)
def test_a_chunk_of_the_wrong_shape_says_which_rule(actor: Callable[..., list[Any]], chunk: Any, rule: str) -> None:
    with pytest.raises(DaemonError) as wrong:
        actor(["stream", TEXT], ["stream", chunk])
    assert rule in wrong.value.message


# ------------------------------------------------------------------------------------------------- in Dify's name

INVOCATION = {
    "type": "tool",
    "request": {"tool_type": "builtin", "provider": "any", "tool": "any", "tool_parameters": {}},
}


def told(actor: Callable[..., list[Any]]) -> str:
    """The error that a call into Dify gives the plugin."""
    with pytest.raises(DaemonError) as mirrored:
        actor(["call", INVOCATION])
    events = puppet.mirrored(mirrored.value)
    [error] = [event["message"] for event in events if event["event"] == "error"]
    return error


def page(text: bytes = b"", status: int = 200, **headers: str) -> Answer:
    return Answer(raw=text, status=status, headers={"Content-Type": "text/html", **headers})


IN_BETWEEN = {
    "login": (page(b"<html><title>Sign in</title></html>"), ["status 200", "text/html", "Sign in"]),
    "empty page": (page(), ["status 200", "text/html"]),
    "redirect": (page(status=302, Location="https://sso.example.com/login"), ["302", "https://sso.example.com/login"]),
    "gateway": (page(b"<html>Bad Gateway</html>", 502), ["502", "text/html", "Bad Gateway"]),
    "frame": (Answer(chunks=[b"not json"]), ["not json"]),
}


@pytest.mark.parametrize("kind", IN_BETWEEN)
def test_something_answers_in_dify_s_name(actor: Callable[..., list[Any]], dify: FakeDify, kind: str) -> None:
    answer, words = IN_BETWEEN[kind]
    dify.always("invoke/tool", answer)
    error = told(actor)
    assert all(word in error for word in [*words, "/inner/api/invoke/tool"]), error


def test_a_page_that_shows_the_key(
    actor: Callable[..., list[Any]], dify: FakeDify, daemon: Daemon, settings: Settings
) -> None:
    dify.always("invoke/tool", page(f"<html>your key is {settings.inner_api_key} !</html>".encode()))
    error = told(actor)
    assert "your key is **** !" in error and settings.inner_api_key not in error + daemon.logs()
    wait_for(lambda: f"{dify.url}/inner/api/invoke/tool" in daemon.logs(), HANG, "the URL in the log")
    assert "DIFY_INNER_API_URL" in daemon.logs()


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_to_the_same_host(actor: Callable[..., list[Any]], dify: FakeDify, status: int) -> None:
    moved = page(status=status, Location=f"{dify.url}/inner/api/invoke/tool")
    dify.script("invoke/tool", moved)
    with pytest.raises(DaemonError) as mirrored:
        actor(["call", INVOCATION])
    events = puppet.mirrored(mirrored.value)
    assert [event["event"] for event in events] == ["response", "response", "end"]
    first, second = dify.requests("invoke/tool")
    assert first.body == second.body and second.headers["x-inner-api-key"] == first.headers["x-inner-api-key"]


@pytest.fixture
def caller_of(starts: Starts, settings: Settings) -> Iterator[Callable[..., tuple[Callable[..., list[Any]], Attempt]]]:
    """A plugin that calls Dify, on a daemon of its own."""
    clients: list[Client] = []

    def make(**variables: str) -> tuple[Callable[..., list[Any]], Attempt]:
        running = starts(**variables).until_ready()
        clients.append(client := Client(running.base_url, running.server_key))
        install(client, "backwards", puppet.package("backwards"), settings.install_timeout)

        def call(*steps: list[Any]) -> list[Any]:
            script = puppet.script(*steps)
            return list(client.invoke_tool("conformance/backwards", "backwards", "call", {}, credentials=script))

        return call, running

    yield make
    for one in clients:
        one.close()


@pytest.mark.parametrize("kind", ["silent", "down"])
def test_a_dify_that_does_not_answer(caller_of: Callable[..., Any], kind: str) -> None:
    with listening() if kind == "silent" else contextlib.nullcontext() as silent:
        port = silent.port if isinstance(silent, Listener) else "1"
        limit = {"DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT": "300"}
        call, running = caller_of(DIFY_INNER_API_URL=f"http://127.0.0.1:{port}", **limit)
        errors = [told(call) for _ in range(2)]
    expected = "DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT" if kind == "silent" else "onnection refused"
    assert all(expected in error for error in errors), errors
    line = running.said(" WARN ", "DIFY_INNER_API_URL", f"http://127.0.0.1:{port}")
    assert expected in line and running.logs().count("Dify does not answer") == 1, "once a minute"


# ------------------------------------------------------------------------------------------------- workers that die

# tells its process, and ends it on demand
MORTAL = packages.LIGHT_MAIN.replace(b'open("answer.txt").read()', b"str(__import__('os').getpid())").replace(
    b"def answer(session_id, data):\n",
    b"def answer(session_id, data):\n"
    b'    if (data.get("tool_parameters") or {}).get("die"):\n'
    b'        __import__("os").kill(__import__("os").getpid(), 9)\n',
)


@pytest.fixture
def mortal(tenant: Client, settings: Settings) -> Callable[..., int]:
    """mortal(): calls a plugin, and gives the number of its process."""
    version = f"0.0.{uuid.uuid4().int % 10000}"  # a process of its own
    install(tenant, "tool_kitchen", packages.light("tool_kitchen", version, main=MORTAL), settings.install_timeout)

    def call(**parameters: Any) -> int:
        first, *_ = tenant.invoke_tool("conformance/tool_kitchen", "kitchen", "echo", parameters)
        return int(first.text)

    return call


def test_a_worker_that_has_answered_is_replaced_at_once(mortal: Callable[..., int]) -> None:
    """No caller is refused, however often."""
    processes = []
    for _ in range(8):
        processes.append(mortal())
        with contextlib.suppress(ProcessLookupError):
            os.kill(processes[-1], signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{processes[-1]}").exists(), HANG, "the end of the process")
    assert len(set(processes)) == 8


def test_a_request_that_kills_worker_after_worker(mortal: Callable[..., int]) -> None:
    """It is recognised, named and refused; what others ask goes on."""
    said = []
    for _ in range(5):
        assert mortal()
        with pytest.raises(DaemonError) as killed:
            mortal(die=True)
        said.append(killed.value.message)
    assert mortal() == mortal(), "the process lives, since the request does not reach it any more"
    assert "SIGKILL" in said[0] or "signal" in said[0] or "killed" in said[0], said
    assert "refused" in said[-1] and said[-1] != said[0], said


# ------------------------------------------------------------------------------------------------- numbers in refusals


def test_a_storage_that_is_full(actor: Callable[..., list[Any]], daemon: Daemon) -> None:
    """What is used, asked for and allowed, and what sets the limit."""
    value = {"opt": "set", "key": "large", "value": bytes(2_000_000).hex()}
    with pytest.raises(DaemonError) as mirrored:
        actor(["call", {"type": "storage", "request": value}])
    assert "storage size" in json.dumps(puppet.mirrored(mirrored.value))

    def line() -> str:
        return next((line for line in daemon.logs().splitlines() if "storage is full" in line), "")

    wait_for(lambda: bool(line()), HANG, "a line about it")
    assert all(word in line() for word in ("used=", "2000000", "1048576", "conformance/backwards")), line()


def test_limits_are_named(client: Client) -> None:
    said = client.raw("GET", "management/list", params={"page": 1, "page_size": 257}).text
    assert "page_size" in said and "257 given, at most 256" in said


# ------------------------------------------------------------------------------------------------- debugging


def said_to(daemon: Daemon, data: bytes, source: str) -> str:
    """What the debugging port answers to this, from another of this machine's addresses."""
    with socket.create_connection(daemon.debug_address, HANG, (source, 0)) as stream:
        stream.sendall(data)
        with contextlib.suppress(ConnectionError):
            return b"".join(iter(lambda: stream.recv(4096), b"")).decode(errors="replace")
        return ""


WRONG = {
    "a wrong key": (b'{"type": "handshake", "data": {"key": "no-such-key"}}\n', "invalid key"),
    "http": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SERVER_PORT"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\n", "TLS"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_debugging_port_refuses_is_logged(starts: Starts, kind: str) -> None:
    """One line a peer and minute."""
    running = starts().until_ready()
    data, word = WRONG[kind]
    for _ in range(3):
        said_to(running, data, "127.0.0.2")
    line = running.said("debugging connection refused", "127.0.0.2")
    assert word in line and "no-such-key" not in line, line
    assert running.logs().count("debugging connection refused") == 1


def test_blanks_around_a_key(tenant: Client, daemon: Daemon) -> None:
    with RawDebugger(daemon.debug_address) as wire:
        wire.register(f" {tenant.debugging_key()}\t", "tool_kitchen", author="blanks")
        wait_for(lambda: bool(tenant.installations(["blanks/tool_kitchen"])), HANG, "the plugin")


@pytest.mark.parametrize("kind", ["http", "silent", "down", "key"])
def test_dev_says_what_is_wrong_with_the_server(cli: Program, daemon: Daemon, tmp_path: Path, kind: str) -> None:
    for name, data in packages.sources("tool_kitchen").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with listening() as silent:
        port = {"http": daemon.port, "silent": silent.port, "down": 1, "key": daemon.debug_port}[kind]
        where = ["--url", f"127.0.0.1:{port}", "--key", str(uuid.uuid4())]
        done = cli("plugin", "dev", tmp_path, "--no-reload", *where)
    assert done.code == 1 and len(done.output.splitlines()) < 20, done.output
    assert (f"127.0.0.1:{port}" in done.output or kind == "key") and "hint: " in done.output, done.output
    assert {"http": "HTTP", "silent": "does not answer", "down": "refused", "key": "key"}[kind] in done.output, (
        done.output
    )


# ------------------------------------------------------------------------------------------------ traces, logs, silence


def test_the_trace_of_the_caller_reaches_the_connector(starts: Starts) -> None:
    def answer(request: Request) -> Reply:
        if request.path.startswith("/v1/launch"):
            return Reply(500, b"no")
        body = b'"pong"' if request.path == "/ping" else b'{"error": "", "Items": []}'
        return Reply(body=body, headers={"Content-Type": "application/json"})

    trace = uuid.uuid4().hex
    with Web(answer) as connector:
        running = starts(
            PLATFORM="serverless",
            DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL=connector.url,
            DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY="any",
        ).until_ready()
        client = Client(running.base_url, running.server_key)
        client.http.headers["traceparent"] = f"00-{trace}-{uuid.uuid4().hex[:16]}-01"
        client.install([client.upload(packages.light("tool_kitchen", "0.0.1")).unique_identifier])
        launches = lambda: [one for one in connector.requests if one.path.startswith("/v1/launch")]  # noqa: E731
        wait_for(lambda: bool(launches()), HANG, "a launch")
        assert trace in launches()[0].headers.get("traceparent", "")
        client.close()


def test_lines_of_a_plugin_in_the_log(starts: Starts, settings: Settings) -> None:
    """The reference's message and names; of a flood a few lines, and how many were left out."""
    main = b"import sys\nfor n in range(500):\n    print('flood', n, file=sys.stderr)\n" + packages.LIGHT_MAIN
    running = starts(PLUGIN_LOG_LINES_PER_SECOND="5").until_ready()
    client = Client(running.base_url, running.server_key)
    install(client, "tool_kitchen", packages.light("tool_kitchen", "0.0.1", main=main), settings.install_timeout)
    line = running.said("plugin instance log", "flood 0")
    assert "plugin=conformance/tool_kitchen:0.0.1" in line and "instance=" in line and 'message="flood 0"' in line
    assert running.logs().count("flood ") < 250
    client.close()


@pytest.mark.parametrize("seconds, comments", [("1", True), ("0", False)])
def test_a_silent_plugin_keeps_the_connection(
    make_daemon: Callable[..., Daemon],
    make_client: Callable[..., Client],
    settings: Settings,
    seconds: str,
    comments: bool,
) -> None:
    client = make_client(make_daemon(SERVER_KEEP_ALIVE_SECONDS=seconds))
    install(client, "tool_kitchen", packages.light("tool_kitchen", "0.0.1"), settings.install_timeout)
    data = {"provider": "kitchen", "tool": "echo", "credentials": {}, "tool_parameters": {"seconds": 2.5}}
    headers = {"X-Plugin-ID": "conformance/tool_kitchen"}
    body = {"user_id": client.user, "data": data}
    with client.http.stream("POST", client.path("dispatch/tool/invoke"), json=body, headers=headers) as answer:
        pieces = [piece for piece in answer.iter_raw() if piece]
    assert (
        [piece.strip() == b"" for piece in pieces].count(True) >= 1 if comments else b"" not in map(bytes.strip, pieces)
    )
