"""Imports the SDK, and makes sure that a fork takes everything along that comes of it. A part of `zygote.py`."""

SDK = "dify_plugin"
# bytes that the import may write to each stream; more would not fit into the pipe of a worker that nobody reads yet
MOST_OUTPUT = 32 * 1024
# objects made before the collector looks at the young ones; more, since most of what an import makes stays
IMPORT_THRESHOLD = 100_000


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
    thresholds = gc.get_threshold()
    gc.set_threshold(IMPORT_THRESHOLD, *thresholds[1:])
    try:
        __import__(SDK)
    except BaseException as error:
        raise Unsuited(f"{SDK} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.meta_path.remove(missing)
        if gc.get_threshold()[0] == IMPORT_THRESHOLD:
            gc.set_threshold(*thresholds)
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
