"""Starts that need not succeed, and what daemons meet outside: silent servers, fake indexes, proxies and pages."""

import contextlib
import ctypes
import os
import platform
import random
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from harness.daemon import Daemon
from harness.settings import Settings
from harness.stdio import wait_for

HANG = 60  # seconds after which something that has to happen will not


def quiet_port() -> int:
    """A free port below those that the system gives to outgoing connections, one of which could take it meanwhile."""
    while True:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Attempt(Daemon):
    """A daemon that is started without waiting for it: it may end by itself, or wait for a server."""

    before: Callable[[], None] | None = None  # what is done in the process before the program is started

    def _environment(self, inner_api_url: str) -> dict[str, str]:
        # many are started side by side, and connect
        self.port, self.debug_port = quiet_port(), quiet_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.debug_address = ("127.0.0.1", self.debug_port)
        return super()._environment(inner_api_url)

    def start(self) -> "Attempt":
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.settings.daemon_cmd,
                cwd=self.scratch,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self.before,
            )
        return self

    def said(self, *texts: str) -> str:
        """Waits for a line of the log that has all these texts."""
        found: list[str] = []

        def look() -> bool:
            lines = self.logs().splitlines()
            found[:] = [line for line in lines if all(text in line for text in texts)]
            assert found or self.runs(), f"it ended: {self.tail()}"
            return bool(found)

        try:
            wait_for(look, HANG, f"a line with {texts}")
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None
        return found[0]

    def logs(self) -> str:
        """The log, with quotation marks as they are meant."""
        return super().logs().replace('\\"', '"')

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def settled(self, text: str) -> None:
        """Waits until it has said this, or has ended."""
        wait_for(lambda: text in self.logs() or not self.runs(), HANG, text)

    def warnings(self) -> list[str]:
        return [line for line in self.logs().splitlines() if " WARN " in line or " ERROR " in line]

    def report(self) -> dict[str, Any]:
        """What /ready answers."""
        return httpx.get(f"{self.base_url}/ready", timeout=HANG, trust_env=False).json()

    def part(self, name: str) -> str:
        """The state of a component in /ready, or that it is not there."""
        return self.report()["components"].get(name, "(none)")

    def until_ready(self) -> "Attempt":
        def look() -> bool:
            assert self.runs(), f"it ended: {self.tail()}"
            with contextlib.suppress(httpx.HTTPError):
                return self.report()["ready"]
            return False

        wait_for(look, HANG, "ready")
        return self

    def ended(self) -> int:
        """The exit status of a daemon that ends by itself."""
        assert self.process
        try:
            return self.process.wait(HANG)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it runs on\n{self.tail()}") from None

    def refusal(self) -> str:
        """What a daemon said that did not want to start."""
        code = self.ended()
        assert code in {1, 2}, f"{code}: {self.tail()}"
        return self.logs()


class Starts:
    """starts(DB_TYPE="mysql"): a start with these variables; a value of None leaves one out."""

    def __init__(self, settings: Settings, url: str) -> None:
        if settings.external or not settings.daemon_cmd:
            pytest.skip("needs CONFORMANCE_DAEMON_CMD: it starts daemons of its own")
        self.settings, self.url = settings, url
        self.made: list[Attempt] = []

    def __call__(self, **variables: str | None) -> Attempt:
        return self.prepared(**variables).start()

    def prepared(self, **variables: str | None) -> Attempt:
        """The same, not started yet: folders and the process itself can be prepared before."""
        self.made.append(Attempt(self.settings, self.url, variables))
        return self.made[-1]

    def of(self, daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the daemon's program, with the variables of that daemon."""
        command = [*self.settings.daemon_cmd, *arguments]
        return subprocess.run(
            command, cwd=daemon.scratch, env=daemon.env, capture_output=True, text=True, timeout=HANG, check=False
        )


@pytest.fixture
def starts(settings: Settings, dify_server: Any) -> Iterator[Starts]:
    made = Starts(settings, dify_server.url)
    yield made
    for one in made.made:
        one.cleanup()


# ------------------------------------------------------------------------------------------------------ servers


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Web:
    """A web server that answers each request by a function, and remembers them."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.requests: list[Request] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                request = Request(self.command, self.path, headers, body)
                web.requests.append(request)
                reply = answer(request)
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else reply.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Bucket:
    """Answers as S3 does, for one bucket. `refused` are the operations that its key has no right to."""

    DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    MISSING = b"<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>"

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.objects: dict[str, bytes] = {}

    def __call__(self, request: Request) -> Reply:
        path, _, query = request.path.partition("?")
        key = path.removeprefix("/bucket").lstrip("/")
        operation = "LIST" if request.method == "GET" and not key else request.method
        if operation in self.refused:
            return Reply(403, self.DENIED)
        match operation:
            case "PUT":
                self.objects[key] = request.body
                return Reply(headers={"ETag": '"0"'})
            case "LIST":
                return Reply(body=b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
            case "DELETE":
                self.objects.pop(key, None)
                return Reply(204)
        if key in self.objects:
            return Reply(body=self.objects[key], headers={"ETag": '"0"', "Last-Modified": STAMP})
        # without the right to list nobody is told what is not there
        return Reply(403, self.DENIED) if "LIST" in self.refused else Reply(404, self.MISSING)


STAMP = "Mon, 01 Jan 2024 00:00:00 GMT"


@contextlib.contextmanager
def listening(talk: Callable[[socket.socket], None] | None = None) -> Iterator["Listener"]:
    """A server on a port of this machine: silent, or one that has this to say to each connection."""
    listener = Listener(talk)
    try:
        yield listener
    finally:
        listener.close()


class Listener:
    def __init__(self, talk: Callable[[socket.socket], None] | None = None) -> None:
        self.talk = talk
        self.accepted: list[socket.socket] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = str(self.socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.accepted.append(connection)
                if self.talk:
                    threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            assert self.talk
            self.talk(connection)

    def met(self) -> None:
        """Waits until somebody has connected."""
        wait_for(lambda: bool(self.accepted), HANG, "a connection")

    def close(self) -> None:
        self.socket.close()
        for one in self.accepted:
            one.close()


def redis(**answers: bytes) -> Callable[[socket.socket], None]:
    """A Redis that answers commands so (redis(AUTH=b"-WRONGPASS no")), and others with OK."""

    def talk(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        while head := lines.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(lines.readline()[1:])
                words.append(lines.read(size + 2)[:-2])
            connection.sendall(answers.get(words[0].decode().upper(), b"+OK") + b"\r\n")

    return talk


def postgres(code: str, text: str) -> Callable[[socket.socket], None]:
    """A PostgreSQL that refuses every connection."""

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        fields = b"".join(part.encode() + b"\0" for part in ("SFATAL", "VFATAL", f"C{code}", f"M{text}")) + b"\0"
        connection.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)
        connection.recv(4096)

    return talk


# ------------------------------------------------------------------------------------------------------ the machine


def _prctl(*arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(*(ctypes.c_ulong(one) for one in arguments)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl{arguments}")


def without_power_over_files() -> None:
    """Before a program starts: root has to heed the permissions of files, as everybody else."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            _prctl(24, capability, 0, 0, 0)


def refusing(*calls: int) -> Callable[[], None]:
    """Before a program starts: these system calls are refused as by a seccomp profile (EPERM)."""

    def apply() -> None:
        load, equal, give = 0x20, 0x15, 0x06
        steps = [(load, 0, 0, 0)]
        steps += [(equal, len(calls) - 1 - at, int(at == len(calls) - 1), one) for at, one in enumerate(calls)]
        steps += [(give, 0, 0, 0x00050001), (give, 0, 0, 0x7FFF0000)]
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
        _prctl(38, 1, 0, 0, 0)
        _prctl(22, 2, ctypes.addressof(program), 0, 0)

    return apply


# an old container engine, whose profile does not know the call
without_clone3 = refusing(435)
# a file system without symbolic links
without_links = refusing(*{"x86_64": (88, 266), "aarch64": (36,)}.get(platform.machine(), (9999,)))
