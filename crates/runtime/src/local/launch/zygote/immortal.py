"""Lets workers share the memory of what the SDK's import has made, for as long as they live.

A fork shares a page with its zygote until one of the two writes to it, and an interpreter writes to every object that it
so much as looks at: it counts the references. From Python 3.12 on there are objects that it does not count, `None` for
one (PEP 683). Here all that the zygote has are made such. A worker sees the difference in `sys.getrefcount` alone: what
outlives the import is hardly ever freed, and what has something to do at its end is left out. A part of `zygote.py`.
"""

# objects whose referents are looked up at once
BATCH = 4096


def make_immortal():
    """Makes all objects immortal, where this interpreter has that."""
    ctypes, _ = libc_of_process()
    # all of memory, by words of four bytes
    words = (ctypes.c_uint32 * (1 << 60)).from_address(0)
    count = immortal_count(words)
    if count is None:
        return
    is_mortal, spared = Mortal(), set()
    found = gc.get_objects()
    for thing in found:
        if is_mortal[type(thing)]:
            spared.add(id(thing))
        else:
            words[id(thing) >> 2] = count
    # the collector knows neither what refers to nothing, nor all of what refers to such alone
    while found:
        containers = []
        for start in range(0, len(found), BATCH):
            for thing in gc.get_referents(*found[start : start + BATCH]):
                index = id(thing) >> 2
                if words[index] != count and id(thing) not in spared and not is_mortal[type(thing)]:
                    words[index] = count
                    if type(thing) in (tuple, dict):
                        containers.append(thing)
        found = containers


def immortal_count(words):
    """The lower half of the count of an immortal object; `None` where objects look different."""
    # the versions that this was tried with; without a lock of the whole interpreter there is something else
    is_known = sys.version_info[:2] in ((3, 12), (3, 13)) and "t" not in sys.abiflags
    if not is_known or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    count = words[id(None) >> 2]
    probe = [[]]
    index = id(probe) >> 2
    words[index] = count
    references = [probe] * 1000
    unchanged = words[index] == count and words[id(None) >> 2] == count
    del references
    return count if unchanged and words[index] == count else None


class Mortal(dict):
    """By type, whether something happens at the end of its objects, or the interpreter itself ends them."""

    def __missing__(self, kind):
        greenlet = getattr(sys.modules.get("greenlet"), "greenlet", ())
        ends = hasattr(kind, "__del__") or kind.__name__ in ("frame", "traceback") or issubclass(kind, greenlet)
        self[kind] = ends
        return ends


def return_free_memory():
    """Gives back to the system what the import has freed."""
    _, libc = libc_of_process()
    # not in every C library
    trim = getattr(libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
