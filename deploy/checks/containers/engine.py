"""buildah and podman on storage of their own, with runc and the engine's default seccomp profile."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
PLACE = Path(os.environ.get("CONTAINERS_PLACE", PROJECT / ".dev/containers"))
PROGRAMS = {
    "buildah": "buildah",
    "podman": "podman",
    "runc": "runc",
    "catatonit": "catatonit",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "strip": "binutils",
}
# No higher limits than every machine grants, control groups without systemd, one runtime.
SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
tz = ""
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{place}/networks"
"""


class Fault(Exception):
    """A check that failed: what, where, and what was said."""


def say(text: str) -> None:
    print(f"\033[1m==> {text}\033[0m", file=sys.stderr, flush=True)


def missing() -> str:
    """Why containers cannot be run here; nothing if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "containers are built and run by root on Linux: sudo ./deploy/check"
    packages = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if not any(Path(folder, "podman/netavark").exists() for folder in ("/usr/lib", "/usr/libexec")):
        packages += ["netavark", "aardvark-dns"]
    return f"apt-get install {' '.join(packages)}" if packages else ""


def driver() -> str:
    """overlay where the file system below can do that; else vfs, which copies everything."""
    probe = PLACE / "probe"
    for name in ("lower", "upper", "work", "merged"):
        (probe / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
    mount = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, probe / "merged"], capture_output=True)
    if mount.returncode == 0:
        subprocess.run(["umount", probe / "merged"], check=True)
    shutil.rmtree(probe)
    return "overlay" if mount.returncode == 0 else "vfs"


def prepare() -> None:
    """Settings and storage; nothing of the machine's own engine is touched."""
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / "tmp").mkdir(exist_ok=True)
    storage = PLACE / "storage.conf"
    if not storage.exists():
        storage.write_text(f'[storage]\ndriver = "{driver()}"\ngraphroot = "{PLACE}/graph"\nrunroot = "{PLACE}/run"\n')
    (PLACE / "containers.conf").write_text(SETTINGS.format(place=PLACE))
    os.environ["CONTAINERS_CONF"] = str(PLACE / "containers.conf")
    os.environ["CONTAINERS_STORAGE_CONF"] = str(storage)
    os.environ["TMPDIR"] = str(PLACE / "tmp")


def remove() -> None:
    """All of it: containers, images, networks, storage."""
    subprocess.run(["podman", "rm", "--all", "--force", "--time", "0"], capture_output=True)
    subprocess.run(["buildah", "rm", "--all"], capture_output=True)
    for mount in re.findall(rf"^\S+ ({re.escape(str(PLACE))}\S*)", Path("/proc/mounts").read_text(), re.M)[::-1]:
        run("umount", mount)
    shutil.rmtree(PLACE)


def run(*command: object, timeout: float = 1200, **options) -> str:
    """What a command says, or a fault with what it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, **options)
    if done.returncode:
        raise Fault(f"{' '.join(words)[:400]}: status {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def podman(*arguments: object, **options) -> str:
    # its monitor leaves a file in the folder it is started in when the kernel kills for memory
    return run("podman", *arguments, **{"cwd": PLACE / "tmp", **options})


def podman_version() -> tuple[int, ...]:
    return tuple(int(part) for part in podman("version", "--format", "{{.Client.Version}}").strip().split(".")[:2])


def until(what: str, check, seconds: float = 60, pause: float = 0.1):
    """What the check gives, once it gives something."""
    begun = time.monotonic()
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() - begun > seconds:
            raise Fault(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


class Container:
    """A container that is gone when it is left, and whose log is shown if something failed meanwhile."""

    def __init__(self, image: str, options: list, command: list = (), name: str = "") -> None:
        self.image = image
        self.begun = time.monotonic()
        named = ["--name", name] if name else []
        self.id = podman("run", "--detach", *named, *options, image, *command).strip()

    def inspect(self) -> dict:
        return json.loads(podman("inspect", self.id))[0]

    @property
    def pid(self) -> int:
        state = self.inspect()["State"]
        if state["Status"] != "running":
            raise Fault(f"the container is {state['Status']} with status {state['ExitCode']}\n{self.log()[-3000:]}")
        return state["Pid"]

    def log(self) -> str:
        done = subprocess.run(["podman", "logs", self.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout

    def exec(self, *command: object, user: str = "") -> str:
        return podman("exec", *(["--user", user] if user else []), self.id, *command)

    def processes(self) -> list[dict]:
        """Processes of the container, as the kernel knows them: number outside, user, state, command, capabilities."""
        first = self.pid
        space = os.readlink(f"/proc/{first}/ns/pid")
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(folder / "ns/pid") != space:
                    continue
                lines = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            found.append({"pid": int(folder.name), "command": command, **lines})
        return found

    def stop(self, seconds: int = 40) -> int:
        """SIGTERM, and the status after it."""
        podman("stop", "--time", seconds, self.id)
        return self.inspect()["State"]["ExitCode"]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            print(f"--- log of {self.image}\n{self.log()[-6000:]}", file=sys.stderr)
        subprocess.run(["podman", "rm", "--force", "--time", "0", "--volumes", self.id], capture_output=True)
