"""The ways in which people run the images that run plugins, and what is looked at in each."""

import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import bases
import client
import engine
from engine import Container, Fault

# As an orchestrator that trusts nobody.
UNPRIVILEGED = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
COMMON = {"SERVER_KEY": client.KEY, "DIFY_INNER_API_KEY": client.KEY, "FORCE_VERIFYING_SIGNATURE": "false", "SERVER_DRAIN_TIMEOUT_SECONDS": "30"}
LEFT = "/app/storage/plugin/left-by-another"


def environment(variables: dict[str, str]) -> list[str]:
    return [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]


@dataclass
class Way:
    name: str
    options: list = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    command: list = field(default_factory=list)
    user: int = 1001
    # the number of the user to whom another image's files in the volume belong
    volume_of: int | None = None
    # the level of isolation that has to be reached
    level: str = "L1"
    # a further look while the container runs; what it gives is said in the table
    look: object = None


@dataclass
class Row:
    image: str
    way: str
    level: str
    ready: float
    happened: list[str]
    size: int


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Fault(f"{what}: {found!r}, expected {expected!r}")


def package(image: str, source: Path) -> Path:
    """The package of a plugin, made by the tool in the image."""
    out = engine.PLACE / "packages"
    out.mkdir(exist_ok=True)
    place = out / f"{source.name}.difypkg"
    place.unlink(missing_ok=True)
    engine.podman(
        "run", "--rm", "--user", "0", "--network", "none", "--volume", f"{source}:/source/{source.name}:ro", "--volume", f"{out}:/out",
        "--entrypoint", "/app/commandline", image, "plugin", "package", f"/source/{source.name}", "-o", f"/out/{place.name}",
    )  # fmt: skip
    return place


def volume_left_by(image: str, user: int) -> str:
    """A volume with a file that another image has written as that user."""
    volume = engine.podman("volume", "create").strip()
    script = f"mkdir -p $(dirname {LEFT}) && echo x >{LEFT} && chown -R {user}:{user} /app/storage"
    engine.podman("run", "--rm", "--user", "0", "--network", "none", "--volume", f"{volume}:/app/storage", "--entrypoint", "sh", image, "-c", script)
    return volume


def level(ready: dict) -> str:
    """The level of isolation as /ready has it, with what keeps it from more."""
    return ready["components"].get("isolation", "plugins run elsewhere").removeprefix("ok: ")


def look_at_plugin(daemon: client.Daemon, way: Way) -> tuple[dict, list[str]]:
    """What the plugin on the SDK sees of where it is."""
    seen = daemon.look("around")
    expect("the plugin's user", seen["user"], way.user)
    expect("the plugin's capabilities", int(seen["capabilities"], 16), 0)
    expect("new privileges of the plugin", seen["no_new_privileges"], "1")
    return seen, ["called"]


def check_processes(container: Container, way: Way) -> None:
    users = {int(process["Uid"].split()[0]) for process in container.processes()}
    expect("users of the container's processes", users, {way.user})
    able = [process["command"] for process in container.processes() if int(process["CapEff"], 16)]
    expect("processes with capabilities", able, [])


def check_reaping(container: Container, daemon: client.Daemon | None) -> None:
    """What is left behind by a plugin, and by a command in the container, is not left a zombie."""
    if daemon:
        daemon.look("orphan")
    container.exec("sh", "-c", "(sleep 0.2 &) ; exit 0")

    def none_left() -> bool:
        return not [one for one in container.processes() if one["State"].startswith("Z") or one["command"].startswith("sleep")]

    engine.until("orphans are reaped", none_left, 70)


def drain(outcome: list, call, stop) -> float:
    """Stops while a call runs, whose outcome is noted; how long the stop takes."""

    def slow() -> None:
        try:
            outcome.append(call())
        except (Fault, OSError, ValueError) as error:
            outcome.append(error)

    thread = threading.Thread(target=slow)
    thread.start()
    time.sleep(1.5)
    begun = time.monotonic()
    stop()
    took = time.monotonic() - begun
    thread.join()
    return took


def check_drain(container: Container, call) -> float:
    """SIGTERM while a call runs: it comes to its end, and the container ends with status 0. How long that takes."""
    outcome: list = []
    took = drain(outcome, call, lambda: container.stop(60))
    expect("the call during SIGTERM", outcome, [{"slow": "done"}])
    expect("exit status after SIGTERM", container.inspect()["State"]["ExitCode"], 0)
    return took


def start(image: str, way: Way) -> tuple[Container, client.Daemon]:
    options = [*way.options]
    if way.volume_of is not None:
        options += ["--volume", f"{volume_left_by(image, way.volume_of)}:/app/storage"]
    options += environment(COMMON | bases.variables() | way.variables)
    container = Container(image, options, way.command)
    return container, client.Daemon(container.pid, int(way.variables.get("SERVER_PORT", "5002")))


def go(target: str, image: str, size: int, way: Way, plugin: Path) -> Row:
    engine.say(f"{target}: {way.name}")
    container, daemon = start(image, way)
    with container:
        ready = wait_ready(container, daemon)
        took = time.monotonic() - container.begun
        check_processes(container, way)
        begun = time.monotonic()
        daemon.install(plugin)
        happened = [f"installed in {time.monotonic() - begun:.0f} s"]
        seen, words = look_at_plugin(daemon, way)
        happened += words
        expect("the level of isolation", level(ready).split()[0], way.level)
        if way.level == "L1":
            expect("what the plugin could open of the daemon's", seen["opened"], [])
            # though its user could
            container.exec("head", "-c", "1", "/app/entrypoint.sh", user=str(way.user))
            happened.append("reads nothing of the daemon's")
        if way.volume_of is not None:
            expect("the owner of what another image left", container.exec("stat", "-c", "%u", LEFT).strip(), str(way.user))
            happened.append("files handed over")
        if way.look:
            happened += way.look(container, daemon, seen)
        engine.podman("healthcheck", "run", container.id)
        check_reaping(container, daemon)
        stopped = check_drain(container, lambda: daemon.look("slow"))
        happened.append(f"healthy, reaps, drained in {stopped:.1f} s")
        return Row(target, way.name, level(ready), took, happened, size)


def wait_ready(container: Container, daemon: client.Daemon) -> dict:
    """What /ready says once it says yes."""

    def ask() -> dict | None:
        container.pid  # noqa: B018 - a fault if it has ended
        return daemon.ready()

    return engine.until("/ready", ask, 60)


def zone(container: Container, daemon: client.Daemon, seen: dict) -> list[str]:
    expect("the plugin's time zone", seen["zone"], "JST")
    return ["plugin's zone is JST"]


def memory(container: Container, daemon: client.Daemon, seen: dict) -> list[str]:
    """A worker that the kernel kills for the container's memory ends neither the container nor the daemon, and is named."""
    first = container.pid
    try:
        daemon.look("hog")
    except Fault as fault:
        said = str(fault)
    else:
        raise Fault("the plugin has taken all memory, and lives")
    expect("process 1 after a kill for memory", container.pid, first)
    named = re.search(r"plugin process ended unexpectedly: signal 9[^\"\\]*memory[^\"\\]*", said)
    if not named:
        raise Fault(f"the call's error does not name memory: {said}")
    daemon.look("around")
    return [f"OOM kill named: {named.group(0)}", "called again"]


def without_network(wheels: Path) -> Way:
    """Dependencies from a folder."""
    options = ["--user", "1001:1001", "--network", "none", "--volume", f"{wheels}:/srv/wheels:ro"]
    return Way("no network, wheels in a folder", options, {"UV_FIND_LINKS": "/srv/wheels", "UV_OFFLINE": "1"})


def wheels_for(image: str, source: Path) -> Path:
    """Wheels of a plugin's dependencies, for the image's Python."""
    place = engine.PLACE / "wheels"
    place.mkdir(exist_ok=True)
    version = engine.podman("run", "--rm", "--entrypoint", "python3", image, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    platforms = [word for glibc in ("_2_28", "_2_17", "2014") for word in ("--platform", f"manylinux{glibc}_{os.uname().machine}")]
    requirements = ["--requirement", source / "requirements.txt", "--dest", place]
    engine.run("python3", "-m", "pip", "download", "--quiet", *requirements, "--only-binary", ":all:", "--python-version", version, *platforms)
    return place


def short() -> list[Way]:
    """What differs most from each other."""
    return [
        Way("as root, volume of root", volume_of=0),
        Way("random user of group 0, read-only root", ["--user", "1000650000:0", "--read-only", "--tmpfs", "/tmp", *UNPRIVILEGED], user=1000650000),
    ]


def every() -> list[Way]:
    random = 1000650000
    limits = ["--user", "1001:1001", "--memory", "600m", "--memory-swap", "600m", "--pids-limit", "200"]
    return [
        Way("as root"),
        Way("as user 1001, no capabilities", ["--user", "1001:1001", *UNPRIVILEGED]),
        Way("random user of group 0 (OpenShift)", ["--user", f"{random}:0", *UNPRIVILEGED], user=random),
        Way("read-only root, tmpfs at /tmp", ["--user", "1001:1001", "--read-only", "--tmpfs", "/tmp"]),
        Way("600 MB of memory, 200 processes", limits, look=memory),
        Way("volume that root has written", volume_of=0),
        Way("volume that user 1000 has written", volume_of=1000),
        Way("TZ=Asia/Tokyo", variables={"TZ": "Asia/Tokyo"}, look=zone),
        Way(
            "migrate && exec /app/main",
            command=["/bin/bash", "-c", "/app/commandline migrate && exec /app/main"],
            variables={"DB_TYPE": "sqlite", "DB_DATABASE": "/app/storage/daemon.db"},
        ),  # fmt: skip
        Way("exec form of /app/main", ["--user", "1001:1001", "--entrypoint", '["/app/main"]']),
    ]
