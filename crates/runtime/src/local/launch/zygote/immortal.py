"""Lets workers share the memory of what the SDK's import has made, for as long as they live.

A fork shares a page with its zygote until one of the two writes to it, and an interpreter writes to every object that it
so much as looks at: it counts the references. From Python 3.12 on there are objects that it does not count, `None` for
one (PEP 683). Here all that the zygote has are made such. A worker sees the difference in `sys.getrefcount` alone: what
outlives the import is hardly ever freed, and what has something to do at its end is left out. A part of `zygote.py`.
"""

# objects whose referents are looked up at once
BATCH = 4096


def make_immortal():
    """Makes all objects immortal, where this interpreter has that; returns how many."""
    ctypes, _ = libc_of_process()
    # all of memory, by words of four bytes
    words = (ctypes.c_uint32 * (1 << 45)).from_address(0)
    count = immortal_count(words)
    if count is None:
        return 0
    changed, mortal = 0, {}
    for thing in all_objects():
        kind = type(thing)
        if kind not in mortal:
            mortal[kind] = is_mortal(kind)
        index = id(thing) >> 2
        if not mortal[kind] and words[index] != count:
            words[index] = count
            changed += 1
    return changed


def immortal_count(words):
    """The lower half of the count of an immortal object; `None` where objects look different."""
    # before Python 3.12, and without a lock of the whole interpreter, there is something else
    if sys.version_info < (3, 12) or "t" in sys.abiflags or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    count = words[id(None) >> 2]
    probe = [[]]
    index = id(probe) >> 2
    words[index] = count
    references = [probe] * 1000
    unchanged = words[index] == count and words[id(None) >> 2] == count
    del references
    return count if unchanged and words[index] == count else None


def all_objects():
    """What the collector knows, and what that refers to."""
    things = found = gc.get_objects()
    known = set(map(id, things))
    while found:
        referents = {}
        for start in range(0, len(found), BATCH):
            some = gc.get_referents(*found[start : start + BATCH])
            referents.update(zip(map(id, some), some))
        found = [thing for number, thing in referents.items() if number not in known]
        known.update(referents)
        things += found
    return things


def is_mortal(kind):
    """Whether something happens at the end of objects of this type, or the interpreter itself ends them."""
    greenlet = getattr(sys.modules.get("greenlet"), "greenlet", ())
    return hasattr(kind, "__del__") or kind.__name__ in ("frame", "traceback") or issubclass(kind, greenlet)


def return_free_memory():
    """Gives back to the system what the import has freed."""
    _, libc = libc_of_process()
    # not in every C library
    trim = getattr(libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
