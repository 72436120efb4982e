"""A plugin that attacks its surroundings when it is called, and says what it got away with.

It speaks the protocol without the SDK. A request is {"attack": name, ...}; the answer is a list of what succeeded, empty if
everything was refused; of "works" it is a list of what failed.
"""

import ctypes
import errno
import json
import os
import signal
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
write_lock = threading.Lock()


def say(message):
    with write_lock:
        sys.stdout.write(json.dumps(message) + "\n\n")
        sys.stdout.flush()


def beat():
    while True:
        say({"event": "heartbeat", "session_id": None, "data": {}})
        time.sleep(1)


def attempt(done, name, action):
    try:
        result = action()
    except (OSError, ValueError, RuntimeError):
        return
    if result is not False:
        done.append(name)


def call(number, *args):
    result = libc.syscall(ctypes.c_long(number), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def read(path):
    with open(path, "rb") as file:
        file.read(64)


def write(path):
    with open(path, "ab") as file:
        file.write(b"\n")


def read_memory(pid):
    """The memory of a process, opened, and read somewhere."""
    with open(f"/proc/{pid}/mem", "rb"):
        pass


def vm_read(pid):
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    remote = (ctypes.c_void_p * 2)(0x400000, 8)
    try:
        call(310, pid, local, 1, remote, 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:
            raise


def steal_descriptor(pid):
    pidfd = os.pidfd_open(pid)
    call(438, pidfd, 1, 0)


def other_processes(request):
    done = []
    for who in ("daemon", "sibling"):
        pid = request[who]
        for name in ("environ", "maps", "auxv", "stack", "syscall"):
            attempt(done, f"{who} {name}", lambda name=name: read(f"/proc/{pid}/{name}"))
        for name in ("cwd", "root", "exe"):
            attempt(done, f"{who} {name}", lambda name=name: os.readlink(f"/proc/{pid}/{name}"))
        attempt(done, f"{who} fd", lambda: os.readlink(f"/proc/{pid}/fd/0"))
        attempt(done, f"{who} mem", lambda: read_memory(pid))
        attempt(done, f"{who} mem write", lambda: open(f"/proc/{pid}/mem", "r+b").close())
        attempt(done, f"{who} ptrace", lambda: call(101, 16, pid, 0, 0))
        attempt(done, f"{who} process_vm_readv", lambda: vm_read(pid))
        attempt(done, f"{who} pidfd_getfd", lambda: steal_descriptor(pid))
    return done


def signals(request):
    done = []
    for who in ("daemon", "sibling"):
        pid = request[who]
        for number in (0, signal.SIGCONT, signal.SIGURG):
            attempt(done, f"{who} signal {number}", lambda number=number: os.kill(pid, number))
        attempt(done, f"{who} group", lambda: os.killpg(os.getpgid(pid), 0))
        attempt(done, f"{who} pidfd", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0))
        attempt(done, f"{who} limits", lambda: call(302, pid, 7, ctypes.byref((ctypes.c_uint64 * 2)(64, 64)), 0))
    return done


def files(request):
    done = []
    for path in request["secret"]:
        attempt(done, f"read {path}", lambda path=path: read(path))
        attempt(done, f"list {path}", lambda path=path: os.listdir(path))
    for path in request["secret"] + request["shared"]:
        attempt(done, f"write {path}", lambda path=path: write(path))
        attempt(done, f"truncate {path}", lambda path=path: os.truncate(path, 1))
        attempt(done, f"make in {path}", lambda path=path: os.mkdir(os.path.join(path, "made")))
        attempt(done, f"remove {path}", lambda path=path: os.remove(path))
        attempt(done, f"rename {path}", lambda path=path: os.rename(path, path + ".renamed"))
        attempt(done, f"link {path}", lambda path=path: os.link(path, os.path.join(os.environ["TMPDIR"], "link")))
    for path in ("/proc/sys/kernel/core_pattern", "/etc/passwd", "/usr/lib/x.pth", "/etc/ld.so.preload"):
        attempt(done, f"write {path}", lambda path=path: write(path))
    attempt(done, "read shadow", lambda: read("/etc/shadow"))
    return done


def kernel(request):
    done = []
    new_user = 0x10000000
    attempt(done, "unshare", lambda: call(272, new_user))
    attempt(done, "clone", lambda: os.waitpid(call(56, new_user | signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0), 0))
    args = (ctypes.c_uint64 * 8)(new_user, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    attempt(done, "clone3", lambda: call(435, args, 64) or os._exit(0))
    attempt(done, "clone3 without flags", lambda: call(435, (ctypes.c_uint64 * 8)(0, 0, 0, 0, 17, 0, 0, 0), 64) or os._exit(0))
    attempt(done, "mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, 0))
    attempt(done, "bpf", lambda: call(321, 0, 0, 0))
    attempt(done, "perf", lambda: call(298, (ctypes.c_uint64 * 16)(0, 112), 0, -1, -1, 0))
    attempt(done, "keyctl", lambda: call(250, 0, -3, 0))
    attempt(done, "io_uring", lambda: call(425, 4, (ctypes.c_uint64 * 32)()))
    attempt(done, "userfaultfd", lambda: call(323, 0))
    attempt(done, "capability", lambda: has_capability())
    return done


def has_capability():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(("CapEff", "CapPrm", "CapInh", "CapAmb")) and int(line.split()[1], 16):
                return True
    return False


def escape(_request):
    """A process that has left parent, group, session and environment, and tries to lose its mark."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for limits in ((1, 1), (-1, -1)):
                limit = (ctypes.c_uint64 * 2)(*[value & 0xFFFFFFFFFFFFFFFF for value in limits])
                libc.setrlimit(10, limit)
                libc.syscall(302, 0, 10, limit, 0)
                libc.syscall(302, os.getpid(), 10, limit, 0)
                libc.syscall(160, 10, limit)
            os.write(writer, str(os.getpid()).encode())
            os.chdir("/")
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in range(3):
                os.dup2(null, descriptor)
            os.closerange(3, 1000)
            os.execve("/bin/sleep", ["sleep", "1000"], {})
        os._exit(0)
    return [int(os.read(reader, 32))]


def works(request):
    """What plugins do all the time; the answer is what failed."""
    failed = []

    def expect(name, action):
        try:
            if action() is False:
                failed.append(name)
        except Exception as error:  # whatever it is, it is the answer
            failed.append(f"{name}: {error!r}")

    def temporary():
        import tempfile

        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            with open(f"{one}/a", "w") as file:
                file.write("x")
            os.rename(f"{one}/a", f"{two}/b")
            os.symlink(f"{two}/b", f"{two}/c")
            os.mkfifo(f"{two}/d")
            return os.path.getsize(f"{two}/c") == 1

    def processes():
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(abs, [-1, -2]) == [1, 2]

    def shared_memory():
        from multiprocessing import shared_memory

        memory = shared_memory.SharedMemory(create=True, size=64)
        memory.close()
        memory.unlink()

    def listener():
        from multiprocessing.connection import Listener

        Listener(family="AF_UNIX").close()

    def programs():
        import subprocess

        output = subprocess.run(["sh", "-c", "cat /etc/hosts | head -1; ls -d /usr"], capture_output=True, check=True)
        return output.stdout.endswith(b"/usr\n")

    def names():
        import pwd
        import socket

        pwd.getpwuid(0)
        return bool(socket.getaddrinfo("localhost", 80))

    def network():
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()

    def certificates():
        import ssl

        ssl.create_default_context()

    def zones():
        import zoneinfo

        return zoneinfo.ZoneInfo("Europe/Berlin").key == "Europe/Berlin"

    def database():
        import sqlite3
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            sqlite3.connect(f"{folder}/db").execute("create table t (a)")

    def own_files():
        with open("state.json", "w") as file:
            file.write("{}")
        os.replace("state.json", "renamed.json")
        os.makedirs("made/below", exist_ok=True)
        os.remove("renamed.json")

    def home():
        path = os.path.expanduser("~/.cache/library")
        os.makedirs(path, exist_ok=True)
        write(f"{path}/table")

    def terminal():
        import pty

        return os.isatty(pty.openpty()[1]) and not os.isatty(os.open("/dev/null", os.O_RDWR))

    def threads():
        done = []
        running = [threading.Thread(target=done.append, args=(1,)) for _ in range(50)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return len(done) == 50

    def machine():
        return os.cpu_count() > 0 and os.getloadavg() and open("/proc/meminfo").read() and open("/proc/self/status").read()

    for name, action in list(locals().items()):
        if callable(action) and name not in ("expect",):
            expect(name, action)
    return failed


def libraries(_request):
    """What is installed from the index; the answer is what failed."""
    failed = []

    def expect(name, action):
        try:
            action()
        except Exception as error:
            failed.append(f"{name}: {error!r}")

    def sdk():
        # in a process of its own: it changes the threads of the one that imports it
        import subprocess

        subprocess.run([sys.executable, "-c", "import dify_plugin"], check=True, capture_output=True)

    def figure():
        import io

        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plot

        plot.plot([1, 2])
        plot.savefig(io.BytesIO(), format="png")

    def table():
        import numpy
        import pandas

        assert pandas.DataFrame({"a": numpy.arange(3)}).sum()["a"] == 3

    def tokens():
        import tiktoken  # noqa: F401

    def trust():
        import ssl

        import certifi

        ssl.create_default_context(cafile=certifi.where())

    def built():
        import jieba

        assert list(jieba.cut("我来到北京"))

    for action in (table, figure, tokens, trust, built, sdk):
        expect(action.__name__, action)
    return failed


def poison(_request):
    """The plugin's own environment, and what it is made of, changed."""
    import sysconfig

    done = []
    packages = sysconfig.get_paths()["purelib"]
    module = os.path.join(packages, "six.py")
    attempt(done, "new file", lambda: write(os.path.join(packages, "evil.pth")))
    attempt(done, "module", lambda: write(module))
    attempt(done, "module by link", lambda: os.link(module, os.path.join(os.environ["TMPDIR"], "six")))
    attempt(done, "module removed", lambda: os.remove(module))
    attempt(done, "bytecode", lambda: write(sys.modules["six"].__cached__ if "six" in sys.modules else module + "c"))
    attempt(done, "interpreter", lambda: write(os.path.realpath(sys.executable)))
    attempt(done, "other environments", lambda: os.listdir(os.path.dirname(os.path.realpath(sys.prefix))))
    return done


def fill(request):
    """A file that grows without end; the answer is its size in MiB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    block = b"x" * (1 << 20)
    size = 0
    path = os.path.join(os.environ["TMPDIR"], "large")
    try:
        with open(path, "wb", buffering=0) as file:
            while size < request["stop"]:
                size += file.write(block) >> 20
    except OSError:
        pass
    os.remove(path)
    return [size]


def descriptors(request):
    count = 0
    held = []
    try:
        while count < request["stop"]:
            held.append(os.open("/dev/null", os.O_RDONLY))
            count += 1
    except OSError:
        pass
    for descriptor in held:
        os.close(descriptor)
    return [count]


def grow(request):
    """A child that takes memory and keeps it."""
    if os.fork() == 0:
        held = b"x" * request["bytes"]
        time.sleep(1000)
        os._exit(len(held))
    time.sleep(request["wait"])
    return ["still here"]


def multiply(request):
    """Processes without end."""
    for _ in range(request["count"]):
        try:
            if os.fork() == 0:
                time.sleep(1000)
                os._exit(0)
        except OSError:
            time.sleep(0.01)
    time.sleep(request["wait"])
    return ["still here"]


def hoard(request):
    """Files without end, each of them small."""
    home = os.path.expanduser("~")
    for number in range(request["files"]):
        with open(f"{home}/hoard-{number}", "wb") as file:
            file.write(os.urandom(request["bytes"]))
    time.sleep(request["wait"])
    return ["still here"]


def hoarded(_request):
    return os.listdir(os.path.expanduser("~"))


def who(_request):
    return [os.getpid()]


def serve(session, request):
    try:
        chunk = globals()[request["attack"]](request)
        message = {"type": "stream", "data": chunk}
    except BaseException as error:
        message = {"type": "error", "data": {"error_type": type(error).__name__, "message": repr(error), "args": {}}}
    say({"event": "session", "session_id": session, "data": message})
    say({"event": "session", "session_id": session, "data": {"type": "end", "data": {}}})


if __name__ == "__main__":
    threading.Thread(target=beat, daemon=True).start()
    for line in sys.stdin:
        if line.strip():
            request = json.loads(line)
            if request["event"] == "request":
                serve(request["session_id"], request["data"])
