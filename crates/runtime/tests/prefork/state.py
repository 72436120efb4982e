"""What a plugin can see of its process: the same whether it was forked or started by a new interpreter."""

import gc
import json
import locale
import logging
import os
import random
import resource
import signal
import site
import sys
import sysconfig
import tempfile
import threading
import time
import traceback
import warnings


def status(*names):
    with open("/proc/self/status") as file:
        lines = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    return {name: lines[name].strip() for name in names}


def proc(name):
    with open("/proc/self/" + name, "rb") as file:
        return file.read().decode().split("\0")


def descriptors():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name).split(":[")[0]
        except FileNotFoundError:
            pass
    return found


def stream(file):
    raw = file.buffer.raw
    return [file.name, file.encoding, file.errors, file.line_buffering, file.seekable(), raw._blksize, raw.mode]


def fails():
    raise ValueError("boom")


def failure():
    try:
        fails()
    except ValueError:
        return traceback.format_exc()


def seen():
    main = sys.modules["__main__"]
    os.umask(mask := os.umask(0))
    return {
        "arguments": [sys.argv, sys.orig_argv],
        "path": sys.path,
        "prefix": [sys.prefix, sys.base_prefix, sys.executable, site.USER_BASE, site.USER_SITE, sysconfig.get_path("purelib")],
        "flags": [repr(sys.flags), sys.getrecursionlimit(), repr(sys.warnoptions), repr(sys._xoptions)],
        "main": {name: repr(getattr(main, name, None)) for name in "__name__ __file__ __package__ __doc__ __cached__".split()},
        "spec": [main.__spec__.name, main.__spec__.origin],
        "environment": [dict(os.environ), list(os.environ), [name.decode() for name in os.environb]],
        "shown": [proc("cmdline"), proc("environ"), proc("comm"), os.readlink("/proc/self/exe")],
        "folder": [os.getcwd(), os.readlink("/proc/self/cwd")],
        "time": [time.tzname, time.timezone, time.strftime("%Z")],
        "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(), sys.getfilesystemencoding()],
        "streams": [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
        "descriptors": descriptors(),
        "group": [os.getpgid(0) == os.getpid(), os.getsid(0) == os.getsid(os.getppid())],
        "parent": os.getppid(),
        "signals": [status("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"), repr(signal.getsignal(signal.SIGINT))],
        "rights": status("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "Uid", "Gid", "Groups", "Threads"),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")},
        "mask": mask,
        "oom": proc("oom_score_adj"),
        "threads": [threading.active_count(), threading.main_thread().name, threading.current_thread() is threading.main_thread()],
        "warnings": [[repr(entry) for entry in warnings.filters], repr(warnings.showwarning.__name__)],
        "logging": [repr(logging.root.handlers), logging.root.level, abs(time.time() - logging.LogRecord("", 0, "", 0, "", (), None).created) < 5,
                    logging.LogRecord("", 0, "", 0, "", (), None).relativeCreated < 60000],
        "collector": [gc.isenabled(), gc.get_threshold()],
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__, repr(sys.gettrace())],
        "finders": [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path],
        "traceback": failure(),
        "temporary": tempfile.gettempdir(),
        "children": open(f"/proc/self/task/{os.getpid()}/children").read(),
    }


def differs():
    """Never the same in two processes."""
    return [random.random(), random.getrandbits(64), os.urandom(8).hex(), next(tempfile._get_candidate_names())]


def modules():
    return sorted(name for name in sys.modules if name not in ("state", "__main__", "__mp_main__"))


def all():
    return {"seen": seen(), "differs": differs(), "modules": modules(), "pid": os.getpid()}


def write():
    with open("state.json.new", "w") as file:
        json.dump(all(), file)
    os.rename("state.json.new", "state.json")
