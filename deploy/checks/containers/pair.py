"""The serverless image and the connector beside it, in the ways in which people run both."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import bases
import client
import engine
import ways
from engine import Container, Fault
from ways import UNPRIVILEGED, Row, environment, expect

SECRET = "secret-of-daemon-and-connector"


@dataclass
class Pair:
    name: str
    options: list = field(default_factory=list)
    # of each, as they are without options
    daemon_user: int = 1000
    connector_user: int = 1001
    # whose files are in the daemon's volume
    volume_of: int | None = None


def every() -> list[Pair]:
    random = 1000650000
    return [
        Pair("as the images say"),
        Pair("random user of group 0 (OpenShift)", ["--user", f"{random}:0", *UNPRIVILEGED], random, random),
        Pair("read-only root, tmpfs at /tmp", ["--read-only", "--tmpfs", "/tmp", *UNPRIVILEGED]),
        Pair("600 MB of memory, 200 processes", ["--memory", "600m", "--memory-swap", "600m", "--pids-limit", "200"]),
        Pair("volume that user 1000 has written", volume_of=1000),
    ]


def short() -> list[Pair]:
    random = 1000650000
    return [Pair("random user of group 0, read-only root", ["--user", f"{random}:0", "--read-only", "--tmpfs", "/tmp", *UNPRIVILEGED], random, random)]


def check_users(container: Container, user: int) -> None:
    users = {int(process["Uid"].split()[0]) for process in container.processes()}
    expect(f"users of the processes of {container.image}", users, {user})


def level_of(connector: Container) -> str:
    found = re.search(r"isolation of plugins.*?level\W+(.+)", connector.log())
    if not found:
        raise Fault("the connector's log does not say how plugins are kept apart")
    return found.group(1).strip('" }')


def go(daemon_image, connector_image, way: Pair, plugin: Path) -> list[Row]:
    engine.say(f"serverless and connector: {way.name}")
    network = engine.podman("network", "create").strip()
    try:
        return in_network(network, daemon_image, connector_image, way, plugin)
    finally:
        engine.podman("network", "rm", "--force", network)


def in_network(network: str, daemon_image, connector_image, way: Pair, plugin: Path) -> list[Row]:
    connector_variables = bases.variables() | {
        "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY": SECRET,
        "CONNECTOR_DAEMON_URL": "http://daemon:5002",
        "CONNECTOR_PUBLIC_URL": "http://connector:5004",
    }
    daemon_variables = ways.COMMON | {
        "DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL": "http://connector:5004",
        "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY": SECRET,
    }
    owner = ways.volume_left_by(daemon_image.name, way.volume_of) if way.volume_of is not None else engine.podman("volume", "create").strip()
    volume = ["--volume", f"{owner}:/app/storage"]
    beside = ["--network", f"{network}:alias=connector", *way.options, *environment(connector_variables)]
    with Container(connector_image.name, beside) as connector:
        engine.until("the connector's health", lambda: connector.pid and answers(connector.pid), 30)
        connector_ready = time.monotonic() - connector.begun
        options = ["--network", f"{network}:alias=daemon", *way.options, *volume, *environment(daemon_variables)]
        with Container(daemon_image.name, options) as container:
            daemon = client.Daemon(container.pid)
            ways.wait_ready(container, daemon)
            took = time.monotonic() - container.begun
            begun = time.monotonic()
            daemon.install(plugin, 300)
            installed = f"function made in {time.monotonic() - begun:.0f} s"
            seen = daemon.look("around")
            expect("the plugin's user", seen["user"], way.connector_user)
            expect("the plugin's capabilities", int(seen["capabilities"], 16), 0)
            check_users(container, way.daemon_user)
            check_users(connector, way.connector_user)
            for one in (container, connector):
                engine.podman("healthcheck", "run", one.id)
            ways.check_reaping(connector, None)
            drained = ways.check_drain(container, lambda: daemon.look("slow"))
            status = connector.stop()
            expect("the connector's exit status", status, 0)
            level = level_of(connector)
    words = [installed, "called", f"healthy, reaps, drained in {drained:.1f} s"]
    return [
        Row("serverless", way.name, "plugins run elsewhere", took, words, daemon_image.size),
        Row("connector", way.name, level, connector_ready, ["makes and runs functions, healthy, reaps, status 0"], connector_image.size),
    ]


def answers(pid: int) -> bool:
    try:
        return client.Daemon(pid, 5004).ask("GET", "/health", timeout=2)[0] == 200
    except OSError:
        return False
