"""deploy/compose with podman-compose: the project's own file, and its overlay on the services of Dify's."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import bases
import client
import engine
import servers
import ways
from engine import Fault
from ways import Row, expect

DIFY = engine.PROJECT / "deploy/checks/containers/dify-compose.yaml"
# What Dify gives to its plugin daemon where nothing is configured.
DIFY_VARIABLES = engine.PROJECT / "crates/testkit/environments/compose-1.16.0.env"


class Project:
    """Services that are gone, with their volumes, when it is left."""

    def __init__(self, name: str, folder: Path, files: list[Path], variables: dict[str, str]) -> None:
        self.name, self.folder = name, folder
        self.environment = os.environ | variables
        self.command = ["podman-compose", "--project-name", name, *[word for file in files for word in ("--file", str(file))]]

    def compose(self, *arguments: str) -> str:
        return engine.run(*self.command, *arguments, env=self.environment, cwd=self.folder)

    def container(self, service: str) -> dict:
        filters = ["--filter", f"label=io.podman.compose.project={self.name}", "--filter", f"label=com.docker.compose.service={service}"]
        found = engine.podman("ps", "--all", "--quiet", *filters).split()
        if len(found) != 1:
            raise Fault(f"compose has made {len(found)} containers of the service {service}")
        return json.loads(engine.podman("inspect", found[0]))[0]

    def wait_healthy(self, service: str) -> None:
        """Nobody schedules health checks where no systemd is."""

        def check() -> bool:
            return subprocess.run(["podman", "healthcheck", "run", self.container(service)["Id"]], capture_output=True).returncode == 0

        engine.until(f"the health of {service}", check, 90, 0.5)

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            for service in ("plugin_daemon",):
                done = subprocess.run([*self.command, "logs", service], env=self.environment, cwd=self.folder, capture_output=True, text=True)
                print(f"--- {self.name} {service}\n{(done.stdout + done.stderr)[-6000:]}")
        subprocess.run([*self.command, "down", "--volumes", "--timeout", "5"], env=self.environment, cwd=self.folder, capture_output=True)


def up(project: Project, way: str, needs: list[str], key: str, size: int, plugin: Path) -> Row:
    """Starts the services in their order, installs and calls a plugin, and stops the daemon in the middle of a call."""
    project.compose("up", "--detach", "--no-build", *needs)
    for service in needs:
        project.wait_healthy(service)
    begun = time.monotonic()
    project.compose("up", "--detach", "--no-build", "--no-deps", "plugin_daemon")
    daemon = client.Daemon(project.container("plugin_daemon")["State"]["Pid"], key=key)
    daemon.wait_ready()
    took = time.monotonic() - begun
    project.wait_healthy("plugin_daemon")
    daemon.install(plugin)
    expect("what the plugin could open of the daemon's", daemon.look("around")["opened"], [])
    ready = daemon.wait_ready()
    expect("the level of isolation", ways.level(ready), "L1")
    outcome: list = []
    drained = ways.drain(outcome, lambda: daemon.look("slow"), lambda: project.compose("stop", "--timeout", "60", "plugin_daemon"))
    expect("the call during the stop", outcome, [{"slow": "done"}])
    expect("exit status after the stop", project.container("plugin_daemon")["State"]["ExitCode"], 0)
    project.compose("start", "plugin_daemon")
    daemon = client.Daemon(project.container("plugin_daemon")["State"]["Pid"], key=key)
    daemon.wait_ready()
    daemon.look("around")
    words = ["installed and called", f"drained in {drained:.1f} s", "called again after another start"]
    return Row("compose", way, ways.level(ready), took, words, size)


def own(image, plugin: Path) -> Row:
    """deploy/compose/compose.yaml, with nothing but what a network of this machine needs besides."""
    folder = fresh("compose-own")
    extra = for_machine(folder, names_gateway=True)
    variables = {
        "DB_PASSWORD": "a-password-of-checks", "SERVER_KEY": client.KEY, "DIFY_INNER_API_KEY": client.KEY, "FORCE_VERIFYING_SIGNATURE": "false",
        "PLUGIN_DAEMON_IMAGE": image.name, "PLUGIN_DAEMON_PUBLISH": "127.0.0.1:15002", "PLUGIN_DEBUGGING_PUBLISH": "127.0.0.1:15003",
    }  # fmt: skip
    files = [engine.PROJECT / "deploy/compose/compose.yaml", extra]
    with Project("checks-own", folder, files, variables) as project:
        return up(project, "compose.yaml", ["postgres", "redis"], client.KEY, image.size, plugin)


def override(image, plugin: Path) -> Row:
    """The overlay on Dify's services, with the variables and in the way that Dify has them."""
    folder = fresh("compose-dify")
    shutil.copy(DIFY, folder / "docker-compose.yaml")
    shutil.copy(DIFY_VARIABLES, folder / "plugin_daemon.env")
    for name in ("db/data", "redis/data", "plugin_daemon/plugin"):
        (folder / "volumes" / name).mkdir(parents=True)
    # what the reference, which runs as root, has left there
    (folder / "volumes/plugin_daemon/plugin/left-by-root").touch()
    extra = for_machine(folder, names_gateway=False)
    key = "a-key-that-nobody-can-read-in-sources"
    variables = {
        "PLUGIN_DAEMON_IMAGE": image.name, "PLUGIN_DAEMON_KEY": key, "PLUGIN_DIFY_INNER_API_KEY": f"{key}-2", "FORCE_VERIFYING_SIGNATURE": "false",
        "EXPOSE_PLUGIN_DEBUGGING_PORT": "15003",
    }  # fmt: skip
    files = [folder / "docker-compose.yaml", engine.PROJECT / "deploy/compose/dify.override.yaml", extra]
    with Project("checks-dify", folder, files, variables) as project:
        row = up(project, "dify.override.yaml on Dify's services", ["db_postgres", "redis"], key, image.size, plugin)
        owner = (folder / "volumes/plugin_daemon/plugin/left-by-root").stat().st_uid
        expect("the owner of what the reference has left", owner, 1001)
        return row


def for_machine(folder: Path, names_gateway: bool) -> Path:
    """A file with what installs need on this machine, and without what its podman is too old for."""
    file = folder / "machine.yaml"
    lines = ["services:", "  plugin_daemon:", f"    environment: {json.dumps(bases.variables())}"]
    if names_gateway and engine.podman_version() < (4, 7):
        # it does not know the word host-gateway; nothing here calls Dify
        lines.append("    extra_hosts: !reset []")
    file.write_text("\n".join(lines) + "\n")
    return file


def fresh(name: str) -> Path:
    folder = engine.PLACE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def go(image, suite: str, plugin: Path) -> list[Row]:
    servers.build(suite, "postgres:16-alpine", "postgres:15-alpine", "redis:7-alpine", "redis:6-alpine")
    engine.say("compose: the project's own file")
    rows = [own(image, plugin)]
    engine.say("compose: the overlay on Dify's")
    return [*rows, override(image, plugin)]
