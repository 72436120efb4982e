"""Surroundings that are worse than usual: no way out but a proxy, a slow disk, a profile that hides Landlock, a volume of others."""

import contextlib
import json
import re
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import client
import engine
import ways
from engine import Container, Fault
from ways import Row, Way

# Where the engine's default profile is on Debian, Ubuntu and Fedora.
PROFILE = Path("/usr/share/containers/seccomp.json")
SLOW = 3_000_000


class Proxy(threading.Thread):
    """A proxy for CONNECT, which notes where its clients want to go."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server((address, 0))
        self.url = f"http://{address}:{self.listener.getsockname()[1]}"
        self.asked: set[str] = set()

    def run(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer: socket.socket) -> None:
        with peer:
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096) or b"\r\n\r\n"
            method, target = head.decode(errors="replace").split(" ", 2)[:2]
            self.asked.add(target)
            if method != "CONNECT":
                peer.sendall(b"HTTP/1.1 405 only CONNECT\r\n\r\n")
                return
            host, _, port = target.rpartition(":")
            try:
                other = socket.create_connection((host, int(port)), timeout=30)
            except OSError:
                peer.sendall(b"HTTP/1.1 502 cannot be reached\r\n\r\n")
                return
            with other, selectors.DefaultSelector() as ready:
                peer.sendall(b"HTTP/1.1 200 connected\r\n\r\n")
                ready.register(peer, selectors.EVENT_READ, other)
                ready.register(other, selectors.EVENT_READ, peer)
                while True:
                    for key, _ in ready.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        key.data.sendall(data)


@contextlib.contextmanager
def behind_proxy() -> Iterator[Way]:
    """A network without a way out, but for a proxy at its gateway."""
    network = engine.podman("network", "create", "--internal").strip()
    try:
        gateway = json.loads(engine.podman("network", "inspect", network))[0]["subnets"][0]["gateway"]
        # the gateway's address is there once a container is
        holder = engine.podman("run", "--detach", "--network", network, "--entrypoint", "sleep", "localhost/plugin-daemon:local-slim", "600").strip()
        proxy = Proxy(gateway)
        proxy.start()

        def look(container: Container, daemon: client.Daemon, seen: dict) -> list[str]:
            if not proxy.asked:
                raise Fault("nothing was installed through the proxy")
            return [f"{len(proxy.asked)} hosts through the proxy"]

        variables = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url, "NO_PROXY": "127.0.0.1,localhost"}
        yield Way("no way out but a proxy", ["--network", network, "--user", "1001:1001"], variables, look=look)
        proxy.listener.close()
        subprocess.run(["podman", "rm", "--force", "--time", "0", holder], capture_output=True)
    finally:
        subprocess.run(["podman", "network", "rm", "--force", network], capture_output=True)


@contextlib.contextmanager
def slow_disk() -> Iterator[Way]:
    """The volume is on a disk of 3 MB/s. Only control groups of version 1 slow down what is written later, so others do it by container."""
    image, mount = engine.PLACE / "slow.img", engine.PLACE / "slow"
    engine.run("truncate", "--size", "2G", image)
    engine.run("mkfs.ext4", "-q", "-F", image)
    mount.mkdir(exist_ok=True)
    device = engine.run("losetup", "--find", "--show", image).strip()
    try:
        engine.run("mount", device, mount)
        storage = mount / "storage"
        storage.mkdir()
        storage.chmod(0o777)
        options = ["--user", "1001:1001", "--volume", f"{storage}:/app/storage"]
        groups = Path("/sys/fs/cgroup/blkio")
        if (groups / "blkio.throttle.write_bps_device").exists():
            number = Path(f"/sys/block/{Path(device).name}/dev").read_text().strip()
            for direction in ("read", "write"):
                (groups / f"blkio.throttle.{direction}_bps_device").write_text(f"{number} {SLOW}")
        else:
            options += ["--device-write-bps", f"{device}:{SLOW}", "--device-read-bps", f"{device}:{SLOW}"]
        yield Way("volume on a disk of 3 MB/s", options)
    finally:
        subprocess.run(["umount", "--lazy", mount], capture_output=True)
        subprocess.run(["losetup", "--detach", device], capture_output=True)
        image.unlink()


def without_landlock() -> Way:
    """The engine's profile, but that it hides Landlock, as those of old engines do: the level below is reached, and said why."""
    profile = json.loads(PROFILE.read_text())
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if not name.startswith("landlock_")]
    place = engine.PLACE / "without-landlock.json"
    place.write_text(json.dumps(profile))

    def look(container: Container, daemon: client.Daemon, seen: dict) -> list[str]:
        # what is closed to the plugin elsewhere is open here, so it is Landlock that closes it
        if not seen["opened"]:
            raise Fault("without Landlock the plugin could not open what its user can: the other ways show nothing")
        state = daemon.ready()["components"]["isolation"]
        if "L1" in state or "Landlock" not in state:
            raise Fault(f"/ready does not say that Landlock is missing: {state}")
        return [f"opens {', '.join(seen['opened'])}"]

    return Way("profile that hides Landlock", ["--user", "1001:1001", "--security-opt", f"seccomp={place}"], level="L0", look=look)


def refused_volume(target: str, image, user: str) -> Row:
    """A volume of root's, and nobody who may hand it over: the start ends, and says whose it is."""
    volume = ways.volume_left_by(image.name, 0)
    mounted = ["--volume", f"{volume}:/app/storage"]
    engine.podman("run", "--rm", "--user", "0", "--network", "none", *mounted, "--entrypoint", "chmod", image.name, "0755", "/app/storage")
    variables = ways.COMMON | {"DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL": "http://127.0.0.1:9", "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY": "not-asked"}
    with Container(image.name, ["--user", user, *mounted, *ways.environment(variables)]) as container:
        engine.until("the end of a daemon that may not write", lambda: container.inspect()["State"]["Status"] == "exited", 60)
        took = time.monotonic() - container.begun
        said = container.log()
        if container.inspect()["State"]["ExitCode"] == 0 or "/app/storage belongs to user 0" not in said:
            raise Fault(f"a volume of root's is not named with its owner:\n{said[-2000:]}")
    subprocess.run(["podman", "volume", "rm", volume], capture_output=True)
    named = re.search("/app/storage belongs to.*", said).group(0)
    return Row(target, f"volume of root's as {user}", "does not start", took, [f"refused: {named}"], image.size)
