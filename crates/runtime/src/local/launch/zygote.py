"""Keeps an interpreter that has imported the SDK, and forks workers from it.

`bootstrap.py` executes this in a namespace of its own and calls `serve`, which returns in workers only, once each: in a
process that looks as if its interpreter had just been started for that worker. Then the worker goes on in `bootstrap.py`
as every other does, so that its stack, its `__main__` and the way it ends are the same.

The daemon's end of the protocol is `zygote/protocol.rs`, where it is documented. Standard input is the control socket at
the start; standard output and standard error lead to the daemon's log.
"""

import gc
import os
import posix
import sys

SDK = "dify_plugin"
VERSION = 2
# bytes of a request or an answer
LONGEST_MESSAGE = 160 * 1024
# descriptors of a request: three streams and one for the confinement
MOST_DESCRIPTORS = 4
# bytes that the import may write to each stream; more would not fit into the pipe of a worker that nobody reads yet
MOST_OUTPUT = 32 * 1024

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_MM = 35
PR_SET_MM_MAP = 14
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
SIGKILL = 9
# the same number on every architecture
SYS_LANDLOCK_RESTRICT_SELF = 446


class Unsuited(Exception):
    """Forks of this interpreter would not be what a new one is."""


class Missing:
    """The last finder: sees the names of modules that are not there."""

    def __init__(self):
        self.names = set()

    def find_spec(self, name, path=None, target=None):
        self.names.add(name.partition(".")[0])
        return None


def open_descriptors():
    """Numbers of the open descriptors, and what they lead to."""
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.readlink("/proc/self/fd/" + name)
        except FileNotFoundError:
            # that of the listing itself
            pass


class Descriptors:
    """The process' own descriptors, out of the way of those that a library opens."""

    def __init__(self):
        self.next = min(os.sysconf("SC_OPEN_MAX"), 1024)
        self.own = set()
        # a new interpreter would have inherited these, too
        self.inherited = dict(open_descriptors())

    def move(self, descriptor, keep=False):
        self.next -= 1
        moved = posix.dup2(descriptor, self.next, inheritable=False)
        if not keep:
            posix.close(descriptor)
        self.own.add(moved)
        return moved


class Output:
    """What the import writes to a standard stream: a new interpreter's import would write it, too."""

    def __init__(self, stream, number, descriptors):
        self.stream = stream
        self.number = number
        self.file = descriptors.move(posix.memfd_create("output", posix.MFD_CLOEXEC))
        self.daemon = descriptors.move(number, keep=True)
        posix.dup2(self.file, number)

    def restore(self):
        self.stream.flush()
        posix.dup2(self.daemon, self.number)
        if posix.fstat(self.file).st_size > MOST_OUTPUT:
            raise Unsuited(f"the import of {SDK} writes much to its standard streams")

    def content(self):
        return posix.pread(self.file, MOST_OUTPUT, 0)


def preload(descriptors):
    """Imports the SDK; returns what it has written, and the names of modules that it has looked for in vain."""
    missing = Missing()
    # a plugin's folder is what stands first for a worker; here it would be that of this program
    first = None if getattr(sys.flags, "safe_path", False) else sys.path.pop(0)
    outputs = [Output(sys.stdout, 1, descriptors), Output(sys.stderr, 2, descriptors)]
    sys.meta_path.append(missing)
    try:
        __import__(SDK)
    except BaseException as error:
        raise Unsuited(f"{SDK} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.meta_path.remove(missing)
        for output in outputs:
            output.restore()
        if first is not None:
            sys.path.insert(0, first)
    return outputs, missing.names


def check(descriptors):
    """Makes sure that a fork takes everything along that this process has."""
    if len(os.listdir("/proc/self/task")) != 1:
        raise Unsuited(f"the import of {SDK} starts threads")
    try:
        posix.waitpid(-1, posix.WNOHANG)
    except ChildProcessError:
        pass
    else:
        raise Unsuited(f"the import of {SDK} starts processes")
    for number, target in open_descriptors():
        known = number <= 2 or number in descriptors.own or descriptors.inherited.get(number) == target
        if not known and not target.startswith("anon_inode:"):
            raise Unsuited(f"the import of {SDK} leaves {target} open")
    for name in ("sitecustomize", "usercustomize"):
        if name in sys.modules:
            raise Unsuited(f"the environment has a module {name}")


def libc_of_process():
    import ctypes

    return ctypes, ctypes.CDLL(None, use_errno=True)


def call(ctypes, function, *args):
    """Calls a C function that returns -1 on failure."""
    if function(*[ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def show_as(arguments, variables):
    """Makes `/proc` show these as the arguments and the environment that the process was started with."""
    ctypes, libc = libc_of_process()

    class Map(ctypes.Structure):
        # struct prctl_mm_map
        _fields_ = [
            *((name, ctypes.c_uint64) for name in "start_code end_code start_data end_data start_brk brk".split()),
            *((name, ctypes.c_uint64) for name in "start_stack arg_start arg_end env_start env_end auxv".split()),
            ("auxv_size", ctypes.c_uint32),
            ("exe_fd", ctypes.c_uint32),
        ]

    arguments = b"".join(argument + b"\0" for argument in arguments)
    environment = b"".join(name + b"=" + value + b"\0" for name, value in variables)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    # never freed: the kernel reads it as long as the process lives
    area = libc.malloc(len(arguments) + len(environment) + 1)
    ctypes.memmove(area, arguments + environment, len(arguments) + len(environment))
    libc.sbrk.restype = ctypes.c_void_p
    with open("/proc/self/stat", "rb") as file:
        # the third field comes first, see proc(5)
        stat = [0, 0, 0, *file.read().rpartition(b")")[2].split()]
    call(
        ctypes,
        libc.prctl,
        PR_SET_MM,
        PR_SET_MM_MAP,
        ctypes.byref(
            Map(
                start_code=int(stat[26]),
                end_code=int(stat[27]),
                start_data=int(stat[45]),
                end_data=int(stat[46]),
                start_brk=int(stat[47]),
                brk=libc.sbrk(0),
                start_stack=int(stat[28]),
                arg_start=area,
                arg_end=area + len(arguments),
                env_start=area + len(arguments),
                env_end=area + len(arguments) + len(environment),
                auxv=0,
                auxv_size=0,
                exe_fd=0xFFFFFFFF,
            )
        ),
        ctypes.sizeof(Map),
        0,
    )


def confine(confinement, ruleset):
    """Puts on what the daemon has prepared, in the order that `plugin_sandbox::Prepared` documents."""
    import base64
    import resource

    ctypes, libc = libc_of_process()
    if confinement["umask"] is not None:
        posix.umask(confinement["umask"])
    for number, soft, hard in confinement["limits"]:
        highest = resource.getrlimit(number)[1]
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(number, (soft, hard))
    call(ctypes, libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if confinement["drop_capabilities"]:
        drop_capabilities(ctypes, libc)
    if ruleset is not None:
        call(ctypes, libc.syscall, SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)

    class Program(ctypes.Structure):
        # struct sock_fprog
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    for program in map(base64.b64decode, confinement["filters"]):
        filter = Program(len(program) // 8, program)
        call(ctypes, libc.prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter), 0, 0)


def drop_capabilities(ctypes, libc):
    """Gives up every capability for good."""
    call(ctypes, libc.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        last = int(file.read())
    for number in range(last + 1):
        try:
            call(ctypes, libc.prctl, PR_CAPBSET_DROP, number, 0, 0, 0)
        except PermissionError:
            # without CAP_SETPCAP, where no_new_privs makes the set harmless
            break
    # _LINUX_CAPABILITY_VERSION_3, this process; effective, permitted, inheritable, twice
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    call(ctypes, libc.capset, ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def renew_libraries():
    """Does in a fork what libraries need to have done there, before any inherited descriptor is closed.

    libev closes the numbers of its old descriptors at the first turn of its loop, whatever has them by then.
    """
    if "gevent" in sys.modules:
        import gevent

        gevent.reinit()
        hub = sys.modules["gevent._hub_local"].get_hub_if_exists()
        if hub is not None:
            hub.loop.run(nowait=True, once=True)
    if "logging" in sys.modules:
        import logging
        import time

        # of which `relativeCreated` of every record is counted
        logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()


def restart_interpreter(request):
    """Gives the interpreter the arguments, variables and folder of the worker."""
    import time

    variables = pairs(request["variables"])
    if request["moved"] is not None:
        move(*map(os.fsdecode, strings(request["moved"])))
    posix.chdir(request["folder"].encode("latin-1"))
    os.environ.clear()
    for name, value in variables:
        os.environb[name] = value
    posix.environ.clear()
    posix.environ.update(variables)
    time.tzset()
    # what was derived from HOME
    if "site" in sys.modules:
        import site

        if site.USER_BASE is not None:
            site.USER_BASE = site.USER_SITE = None
            site.getusersitepackages()
    config = getattr(sys.modules.get("sysconfig"), "_CONFIG_VARS", None)
    if config and "userbase" in config:
        config["userbase"] = sys.modules["sysconfig"]._getuserbase()
    sys.orig_argv[:] = map(os.fsdecode, strings(request["arguments"]))
    sys.argv[:] = sys.orig_argv[1:]


def move(old, new):
    """Makes this the interpreter of another environment, which holds the same modules as far as they are imported.

    These keep the paths of the environment that they come from.
    """

    def moved(value):
        inside = isinstance(value, str) and (value == old or value.startswith(old + "/"))
        return new + value[len(old) :] if inside else value

    sys.path[:] = map(moved, sys.path)
    for name in ("prefix", "exec_prefix", "executable"):
        setattr(sys, name, moved(getattr(sys, name)))
    for path in list(sys.path_importer_cache):
        if moved(path) != path:
            del sys.path_importer_cache[path]
    if "site" in sys.modules:
        import site

        site.PREFIXES[:] = map(moved, site.PREFIXES)
    sysconfig = sys.modules.get("sysconfig")
    if sysconfig is not None:
        for name in ("_PREFIX", "_EXEC_PREFIX"):
            setattr(sysconfig, name, moved(getattr(sysconfig, name)))
        config = sysconfig._CONFIG_VARS or {}
        config.update({name: moved(value) for name, value in config.items()})


def strings(texts):
    """Byte strings of a message, in which each byte is one character."""
    return [text.encode("latin-1") for text in texts]


def pairs(texts):
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in texts]


class Zygote:
    def __init__(self, descriptors, outputs):
        self.descriptors = descriptors
        self.outputs = outputs
        self.daemon = posix.getppid()

    def serve(self, control):
        """Answers requests until the daemon hangs up; returns in every worker."""
        import _socket
        import json

        room = _socket.CMSG_SPACE(4 * MOST_DESCRIPTORS)
        while True:
            message, ancillary, _, _ = control.recvmsg(LONGEST_MESSAGE, room, _socket.MSG_CMSG_CLOEXEC)
            if not message:
                posix._exit(0)
            received = []
            for level, kind, data in ancillary:
                if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                    received += memoryview(data).cast("i").tolist()
            request = json.loads(message)
            try:
                answer = self.start(request, received)
            except OSError as error:
                answer = {"error": str(error)}
            if answer is None:
                return
            for descriptor in received:
                posix.close(descriptor)
            control.send(json.dumps({"id": request["id"], **answer}).encode())

    def start(self, request, received):
        """Forks a worker: `None` there, the answer here.

        The process between the two ends at once, so that the worker becomes the daemon's child.
        """
        go_read, go = posix.pipe()
        report, report_write = posix.pipe()
        # not the functions of these names that gevent has put into `os`
        between = posix.fork()
        if between == 0:
            posix.close(go)
            posix.close(report)
            try:
                if posix.fork() != 0:
                    posix._exit(0)
                self.become_worker(request, received, go_read)
            except BaseException as error:
                posix.write(report_write, f"{type(error).__name__}: {error}".encode()[:4096])
                posix._exit(127)
            posix.write(report_write, b"%d" % posix.getpid())
            posix.close(report_write)
            return None
        posix.close(go_read)
        posix.close(report_write)
        posix.waitpid(between, 0)
        # it has been given to the daemon by now
        try:
            posix.write(go, b"1")
        except BrokenPipeError:
            # it has ended; its report says why
            pass
        posix.close(go)
        text = b""
        while block := posix.read(report, 4096):
            text += block
        posix.close(report)
        if text.isdigit():
            return {"pid": int(text)}
        return {"error": text.decode(errors="replace") or "the fork ended without a word"}

    def become_worker(self, request, received, go):
        posix.setpgid(0, 0)
        # before anything else: by its variables the daemon finds this process, should the answer be lost
        show_as(strings(request["arguments"]), pairs(request["variables"]))
        if not posix.read(go, 1):
            raise Unsuited("the process that forks workers has ended")
        ctypes, libc = libc_of_process()
        call(ctypes, libc.prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if posix.getppid() != self.daemon:
            raise Unsuited(f"the fork became a child of process {posix.getppid()}, not of the daemon {self.daemon}")
        renew_libraries()
        for number, descriptor in enumerate(received[:3]):
            posix.dup2(descriptor, number)
        restart_interpreter(request)
        output = [output.content() for output in self.outputs]
        if request["confinement"] is not None:
            confine(request["confinement"], received[3] if len(received) > 3 else None)
        for descriptor in [go, *received, *self.descriptors.own]:
            posix.close(descriptor)
        for number, content in enumerate(output, 1):
            while content:
                content = content[posix.write(number, content) :]


def serve():
    """Preloads, tells the daemon, and forks a worker for each request. Returns in workers."""
    descriptors = Descriptors()
    control = descriptors.move(0, keep=True)
    # a pipe, as the standard input of a worker is
    posix.dup2(1, 0)
    outputs, hello = [], {"version": VERSION}
    try:
        outputs, names = preload(descriptors)
        check(descriptors)
        show_as([os.fsencode(argument) for argument in sys.orig_argv], list(os.environb.items()))
        names.update(name.partition(".")[0] for name in sys.modules)
        hello["names"] = sorted(names)
    except Unsuited as error:
        hello["unsuited"] = str(error)
    except OSError as error:
        hello["unsuited"] = f"the system does not let a process change what it is shown as: {error}"
    import _socket
    import json

    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, control)
    gc.collect()
    gc.freeze()
    control.send(json.dumps(hello).encode())
    Zygote(descriptors, outputs).serve(control)
    # the descriptor is closed
    control.detach()
