"""Endpoints and their webhooks: Dify's forms, proxies, odd requests."""

import http.client
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from conftest import install
from harness import packages
from harness.client import Client
from harness.daemon import Daemon
from harness.fake_dify import FakeDify
from harness.settings import Settings
from harness.stdio import wait_for
from outside import (
    HANG,
    starts,  # noqa: F401 - a fixture
)

# every webhook answers with what the plugin was handed
HANDED = packages.LIGHT_MAIN.replace(
    b"text.encode().hex()",
    b'json.dumps({"raw": data.get("raw_http_request", ""), "settings": data.get("settings")}).encode().hex()',
)


class Handed:
    """A request as the plugin is handed it."""

    def __init__(self, answer: bytes) -> None:
        document = json.loads(answer)
        self.settings = document["settings"]
        self.head, _, self.body = bytes.fromhex(document["raw"]).partition(b"\r\n\r\n")
        self.line, *lines = self.head.decode().split("\r\n")  # UTF-8, or no SDK reads it
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.fixture(scope="module")
def make_hook(make_client: Callable[..., Client], settings: Settings) -> Callable[..., tuple[Client, Daemon, str]]:
    """An endpoint of a plugin that answers with what it was handed: its client, its daemon and its hook."""

    def make(daemon: Daemon, values: dict[str, Any] | None = None) -> tuple[Client, Daemon, str]:
        client = make_client(daemon)
        package = packages.light("endpoint_kitchen", "0.0.1", main=HANDED)
        plugin = install(client, "endpoint_kitchen", package, settings.install_timeout)
        client.setup_endpoint(plugin.identifier, "hook", values or {"token": "any"})
        return client, daemon, client.endpoints()[0].hook_id

    return make


@pytest.fixture(scope="module")
def hook(make_hook: Callable[..., Any], daemon: Daemon) -> tuple[Client, Daemon, str]:
    return make_hook(daemon)


def exchange(daemon: Daemon, hook: str, headers: bytes = b"", path: bytes = b"/echo") -> tuple[int, bytes]:
    """The status and the body of the answer to a request of these bytes."""
    with socket.create_connection(("127.0.0.1", daemon.port), HANG) as stream:
        line = b"GET /e/" + hook.encode() + path + b" HTTP/1.1\r\n"
        stream.sendall(line + b"Host: hooks.example.com\r\nConnection: close\r\n" + headers + b"\r\n")
        answer = http.client.HTTPResponse(stream)
        answer.begin()
        return answer.status, answer.read()


def handed(daemon: Daemon, hook: str, headers: bytes = b"", path: bytes = b"/echo") -> Handed:
    status, body = exchange(daemon, hook, headers, path)
    assert status == 200, body
    return Handed(body)


# ------------------------------------------------------------------------------------------------- endpoints


@pytest.mark.parametrize(
    "given, told",
    [
        ({"loud": 1}, {"loud": True}),
        ({"loud": 0}, {"loud": False}),
        ({"loud": None}, {}),
        ({"greeting": None, "mood": None}, {}),
        ({"mood": ""}, {}),
        ({"app": None}, {}),
    ],
)
def test_forms_of_dify_s_page(
    make_client: Callable[..., Client], dify: FakeDify, settings: Settings, given: dict, told: dict
) -> None:
    """What Dify's page sends is taken, at first and when it is saved unchanged; the plugin gets booleans."""
    client = make_client()
    plugin = install(client, "endpoint_kitchen", packages.light("endpoint_kitchen", "0.0.1"), settings.install_timeout)
    assert client.setup_endpoint(plugin.identifier, "one", {"token": "any", **given})
    [endpoint] = client.endpoints()
    rest = {name: value for name, value in endpoint.settings.items() if name in given}
    assert rest == told
    assert client.update_endpoint(endpoint.id, "one", {**endpoint.settings, **given})
    [again] = client.endpoints()
    assert {name: value for name, value in again.settings.items() if name in given} == told


# ------------------------------------------------------------------------------------------------- behind a proxy


@pytest.mark.parametrize(
    "headers, url",
    [
        ({}, "http://hooks.example.com/e/"),
        ({"X-Forwarded-Proto": "https"}, "https://hooks.example.com/e/"),
        ({"X-Forwarded-Proto": "https,http"}, "https://hooks.example.com/e/"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "pub.example.com"}, "https://pub.example.com/e/"),
        ({"Forwarded": "for=10.0.0.1;proto=https;host=pub.example.com"}, "https://pub.example.com/e/"),
        ({"X-Forwarded-Prefix": "/plugins"}, "http://hooks.example.com/plugins/e/"),
        ({"X-Forwarded-Host": "a b<script>"}, "http://hooks.example.com/e/"),
        ({"X-Forwarded-Host": "evil.example.com/path?x="}, "http://hooks.example.com/e/"),
    ],
)
def test_the_url_of_a_hook_behind_a_proxy(hook: tuple, headers: dict[str, str], url: str) -> None:
    _, daemon, hook_id = hook
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    assert handed(daemon, hook_id, lines).headers["dify-hook-url"] == f"{url}{hook_id}/echo"


def test_whose_headers_are_believed(make_daemon: Callable[..., Daemon], make_hook: Callable[..., Any]) -> None:
    lines = b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example.com\r\nDify-Hook-Url: https://evil.example.com/\r\n"
    _, daemon, hook_id = make_hook(make_daemon(SERVER_TRUSTED_PROXIES="10.9.9.0/24"))
    assert handed(daemon, hook_id, lines).headers["dify-hook-url"] == f"http://hooks.example.com/e/{hook_id}/echo"
    _, daemon, hook_id = make_hook(make_daemon(SERVER_TRUSTED_PROXIES="127.0.0.1"))
    assert handed(daemon, hook_id, b"X-Forwarded-Proto: https\r\n").headers["dify-hook-url"].startswith("https://")


# ------------------------------------------------------------------------------------------------- odd requests


def test_many_headers(hook: tuple) -> None:
    _, daemon, hook_id = hook
    headers = handed(daemon, hook_id, b"".join(b"X-N%d: 1\r\n" % number for number in range(120))).headers
    assert sum(name.startswith("x-n") for name in headers) == 120


def test_far_too_many_headers_are_refused_with_a_line(hook: tuple) -> None:
    _, daemon, hook_id = hook
    status, _ = exchange(daemon, hook_id, b"".join(b"X-N%d: 1\r\n" % number for number in range(300)))
    assert status == 431
    wait_for(lambda: "more than 256 headers" in daemon.logs(), HANG, "a line about it")


def test_bytes_that_are_no_utf8(hook: tuple) -> None:
    _, daemon, hook_id = hook
    assert handed(daemon, hook_id, b"X-Name: caf\xe9\r\n").headers["x-name"] == "café"


def test_text_in_path_and_query(hook: tuple) -> None:
    _, daemon, hook_id = hook
    line = handed(daemon, hook_id, path="/item/grün?q=süß&r=%20".encode()).line
    assert line == "GET /item/gr%C3%BCn?q=s%C3%BC%C3%9F&r=%20 HTTP/1.1"
