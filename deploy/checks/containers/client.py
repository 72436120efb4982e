"""Speaks to a daemon in a container as Dify does, from inside the container's network, whatever that is."""

import ctypes
import http.client
import json
import os
import socket
import threading
import time
from pathlib import Path

from engine import Fault

TENANT = "00000000-0000-0000-0000-000000000001"
KEY = "key-of-the-containers-checks"
CLONE_NEWNET = 0x40000000
BOUNDARY = "containers-5c1f7a9e"


def connect(pid: int, host: str, port: int, timeout: float) -> socket.socket:
    """A connection from the network namespace of a process: a socket stays in the one in which it was made."""
    found: list = []

    def enter() -> None:
        try:
            with open(f"/proc/{pid}/ns/net") as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"the network namespace of process {pid} cannot be entered")
            found.append(socket.create_connection((host, port), timeout=timeout))
        except OSError as error:
            found.append(error)

    # a thread of its own, which ends in that namespace
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


class Connection(http.client.HTTPConnection):
    def __init__(self, pid: int, port: int, timeout: float) -> None:
        super().__init__("127.0.0.1", port, timeout=timeout)
        self.space = pid

    def connect(self) -> None:
        self.sock = connect(self.space, self.host, self.port, self.timeout)


class Daemon:
    """The daemon in whose network the process `pid` is."""

    def __init__(self, pid: int, port: int = 5002, key: str = KEY) -> None:
        self.pid, self.port, self.key = pid, port, key
        self.last = "no answer"

    def wait_ready(self, seconds: float = 30) -> dict:
        """What /ready says, as soon as it says yes."""
        end = time.monotonic() + seconds
        while (found := self.ready()) is None:
            if time.monotonic() > end:
                raise Fault(f"/ready does not say yes within {seconds:.0f} s: {self.last}")
            time.sleep(0.2)
        return found

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None, timeout: float = 120) -> tuple[int, bytes]:
        connection = Connection(self.pid, self.port, timeout)
        try:
            connection.request(method, path, body, {"X-Api-Key": self.key, "Connection": "close", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def is_alive(self) -> bool:
        try:
            return self.ask("GET", "/health/check", timeout=2)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def ready(self) -> dict | None:
        """What /ready says, once it says yes."""
        try:
            status, text = self.ask("GET", "/ready", timeout=5)
            self.last = f"{status} {text.decode(errors='replace')}"
            return json.loads(text) if status == 200 else None
        except (OSError, http.client.HTTPException):
            return None

    def _data(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> dict:
        status, text = self.ask(method, f"/plugin/{TENANT}/{path}", body, {"Content-Type": kind})
        answer = json.loads(text) if text.startswith(b"{") else {}
        if status != 200 or answer.get("code") != 0:
            raise Fault(f"{method} {path}: {status} {text.decode(errors='replace')[:2000]}")
        return answer["data"]

    def install(self, package: Path, seconds: float = 180) -> str:
        """Uploads a package and waits until it is installed; its identifier."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="dify_pkg"; filename="dify_pkg"\r\n\r\n'
        body = head.encode() + package.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        identifier = self._data("POST", "management/install/upload/package", body, kind)["unique_identifier"]
        wanted = json.dumps({"plugin_unique_identifiers": [identifier], "source": "package", "metas": [{}]})
        begun = self._data("POST", "management/install/identifiers", wanted.encode())
        end = time.monotonic() + seconds
        while not begun["all_installed"]:
            task = self._data("GET", f"management/install/tasks/{begun['task_id']}")
            if task["status"] == "success":
                break
            if task["status"] == "failed" or time.monotonic() > end:
                raise Fault(f"installing {identifier}: {task['status']}: {task['plugins'][0]['message']}")
            time.sleep(0.2)
        return identifier

    def call(self, plugin: str, provider: str, tool: str, timeout: float = 180, **parameters: str) -> tuple[str, dict]:
        """The texts of a tool's answer, and its JSON; a fault if the call failed."""
        data = {"provider": provider, "tool": tool, "tool_parameters": parameters, "credentials": {}}
        body = json.dumps({"user_id": "checks", "data": data}).encode()
        headers = {"X-Plugin-ID": plugin, "Content-Type": "application/json"}
        status, text = self.ask("POST", f"/plugin/{TENANT}/dispatch/tool/invoke", body, headers, timeout)
        words, found = [], {}
        for line in text.decode().splitlines():
            event = json.loads(line.removeprefix("data:").strip() or "{}")
            if event.get("code"):
                raise Fault(f"calling {plugin} {tool} {parameters}: {event['code']} {event.get('message')}")
            message = (event.get("data") or {}).get("message") or {}
            words.append(message.get("text") or "")
            found |= message.get("json_object") or {}
        if status != 200:
            raise Fault(f"calling {plugin} {tool}: {status} {text.decode(errors='replace')[:2000]}")
        return "".join(words), found

    def look(self, how: str, **options) -> dict:
        return self.call("checks/probe", "probe", "look", how=how, **options)[1]


def host_pid() -> int:
    """For what listens on this machine itself."""
    return os.getpid()
