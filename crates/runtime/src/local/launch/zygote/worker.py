"""Makes a fork what an interpreter is that was started for a worker. A part of `zygote.py`."""

PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_MM = 35
PR_SET_MM_MAP = 14
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2
# the same number on every architecture
SYS_LANDLOCK_RESTRICT_SELF = 446


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
