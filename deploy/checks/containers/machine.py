"""The Debian package and its systemd unit, in an empty Debian that systemd-nspawn boots."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import bases
import client
import engine
import ways
from engine import Fault
from ways import Row, expect

# The last whose systemd runs on control groups of version 1, too.
SUITE = "bookworm"
PORT = 15012
IN_ROOT = os.environ | {"TMPDIR": "/tmp", "DEBIAN_FRONTEND": "noninteractive"}
MOST_EXPOSED = 2.0
SETTINGS = {
    "SERVER_HOST": "127.0.0.1",
    "SERVER_PORT": str(PORT),
    "SERVER_KEY": client.KEY,
    "DIFY_INNER_API_KEY": client.KEY,
    "FORCE_VERIFYING_SIGNATURE": "false",
}


def system(programs: Path) -> Path:
    """A Debian with systemd, uv and the package; the unit is enabled, as an administrator does it."""
    root = engine.PLACE / "machine"
    shutil.rmtree(root, ignore_errors=True)
    engine.run("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,python3,tzdata,ca-certificates", SUITE, root)
    authorities = root / bases.AUTHORITIES.lstrip("/")
    for file in bases.own_authorities():
        shutil.copy(file, authorities)
    for folder in ("uv.toml",):
        if Path("/etc/uv", folder).exists():
            (root / "etc/uv").mkdir(exist_ok=True)
            shutil.copy(Path("/etc/uv", folder), root / "etc/uv")
    engine.run("chroot", root, "update-ca-certificates", env=IN_ROOT)
    engine.podman("run", "--rm", "--user", "0", "--network", "none", "--volume", f"{root}/usr/local/bin:/out", "--entrypoint", "cp",
                  "localhost/plugin-daemon:local-slim", "/usr/local/bin/uv", "/out/")  # fmt: skip
    made = engine.PLACE / "debian"
    shutil.rmtree(made, ignore_errors=True)
    engine.run(engine.PROJECT / "deploy/debian/build", programs, made)
    [package] = made.glob("*.deb")
    shutil.copy(package, root / "tmp")
    engine.run("chroot", root, "dpkg", "--install", f"/tmp/{package.name}", env=IN_ROOT)
    settings = "".join(f"{name}={value}\n" for name, value in (SETTINGS | bases.variables()).items())
    with (root / "etc/dify-plugin-daemon/environment").open("a") as file:
        file.write(settings)
    engine.run("systemctl", "--root", root, "enable", "dify-plugin-daemon.service")
    return root


class Machine:
    """The booted system; its network is this machine's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = (engine.PLACE / "machine.log").open("wb")
        # what a machine of its own has, and nspawn's filter hides
        allowed = "--system-call-filter=seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self"
        command = ["systemd-nspawn", allowed, "--quiet", "--register=no", "--keep-unit", "--machine=checks", "--directory", root, "--boot"]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, start_new_session=True)

    def __enter__(self) -> "Machine":
        self.leader = engine.until("process 1 of the machine", self.find_leader, 30)
        return self

    def find_leader(self) -> int | None:
        if self.process.poll() is not None:
            raise Fault(f"systemd-nspawn has ended: {(engine.PLACE / 'machine.log').read_text(errors='replace')[-2000:]}")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        return None

    def run(self, *command: str) -> str:
        return engine.run("nsenter", "--target", self.leader, "--mount", "--uts", "--ipc", "--pid", "--cgroup", *command)

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            done = subprocess.run(
                ["nsenter", "--target", str(self.leader), "--mount", "--pid", "journalctl", "--no-pager", "--lines", "60"], capture_output=True, text=True
            )
            print(f"--- journal of the machine\n{done.stdout}{done.stderr}")
        # SIGRTMIN+3 is what its init takes for "halt"
        os.kill(self.leader, signal.SIGRTMIN + 3)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()


def go(programs: Path, plugin: Path) -> Row:
    engine.say("the Debian package and its systemd unit, in a machine that boots")
    with Machine(system(programs)) as machine:
        # a machine has this machine's network
        daemon = client.Daemon(os.getpid(), PORT)
        daemon.wait_ready(90)
        took = time.monotonic() - machine.begun
        daemon.install(plugin)
        ready = daemon.wait_ready()
        expect("the level of isolation under the unit", ways.level(ready), "L1")
        seen = daemon.look("around")
        if seen["user"] == 0:
            raise Fault("the plugin runs as root")
        expect("the plugin's capabilities", int(seen["capabilities"], 16), 0)
        expect("what the plugin could open of the daemon's", [path for path in seen["opened"] if path.startswith("/app/storage")], [])
        exposure = machine.run("systemd-analyze", "security", "--no-pager", "dify-plugin-daemon.service")
        level = float(re.search(r"exposure level for .*?: ([\d.]+)", exposure).group(1))
        if level > MOST_EXPOSED:
            raise Fault(f"the unit's exposure level is {level}, more than {MOST_EXPOSED}:\n{exposure}")
        outcome: list = []
        stopped = ways.drain(outcome, lambda: daemon.look("slow"), lambda: machine.run("systemctl", "stop", "dify-plugin-daemon.service"))
        expect("the call during the stop", outcome, [{"slow": "done"}])
        state = machine.run("systemctl", "show", "--property=Result,ExecMainStatus", "dify-plugin-daemon.service")
        expect("how the unit ended", sorted(state.split()), ["ExecMainStatus=0", "Result=success"])
        words = ["package installed, unit enabled", f"plugin installed and called as user {seen['user']}", f"exposure {level}", f"drained in {stopped:.1f} s"]
        return Row("Debian package", "systemd unit in systemd-nspawn", ways.level(ready), took, words, sum(f.stat().st_size for f in programs.glob("dify*")))
