"""Runs a plugin as `python -m <module>` does, and makes single calls in it cancellable.

The daemon starts plugins as `python <this file> <module>`. The SDK runs each call in a greenlet of its own; once its
server is imported, two of its methods are wrapped so that a call whose caller has left is stopped where it next waits or
answers, by an exception that `except Exception` does not catch. All other calls go on: nothing but the greenlet of that
call is touched. A plugin without the SDK, or with one that looks different, runs as it is; the daemon is told that calls
are cancellable only when they are.
"""

import collections
import importlib.machinery
import os
import runpy
import sys
import time

SERVER = "dify_plugin.core.server.io_server"
# calls remembered that were cancelled before they began
REMEMBERED = 1024
# seconds after which a call that answers without ever waiting lets others have their turn, which may cancel it
TURN = 0.01


class CallCancelled(BaseException):
    """The caller of this call has left."""


class Call:
    """A call that runs."""

    __slots__ = ("cancelled", "greenlet", "writing")

    def __init__(self, greenlet):
        self.greenlet = greenlet
        self.cancelled = False
        # a message that is being written is not torn apart
        self.writing = False


class Calls:
    """The calls that run, by the ids of their sessions. Used by greenlets of one thread."""

    def __init__(self, gevent):
        self.gevent = gevent
        self.running = {}
        self.too_early = collections.OrderedDict()
        self.turn_ends = 0

    def begin(self, session_id):
        """The call that this greenlet runs from now on; None if nobody waits for it any more."""
        if self.too_early.pop(session_id, False):
            return None
        call = self.running[session_id] = Call(self.gevent.getcurrent())
        return call

    def end(self, session_id):
        self.running.pop(session_id, None)

    def of_this_greenlet(self, session_id):
        call = self.running.get(session_id)
        return call if call is not None and call.greenlet is self.gevent.getcurrent() else None

    def cancel(self, session_id):
        call = self.running.get(session_id)
        if call is not None:
            call.cancelled = True
            self.interrupt_soon(session_id, call)
            return
        # it waits for a place, unless it has just ended
        self.too_early[session_id] = True
        if len(self.too_early) > REMEMBERED:
            self.too_early.popitem(last=False)

    def take_turns(self):
        if time.monotonic() > self.turn_ends:
            # a sleep of 0 would not look for input
            self.gevent.sleep(0.0001)
            self.turn_ends = time.monotonic() + TURN

    def interrupt_soon(self, session_id, call):
        # in the hub every greenlet waits, so that none is interrupted in the middle of something
        self.gevent.get_hub().loop.run_callback(self.interrupt, session_id, call)

    def interrupt(self, session_id, call):
        # it may have ended since, and its greenlet may run another call
        if self.running.get(session_id) is call and not call.writing:
            call.greenlet.throw(CallCancelled)


def make_cancellable(server):
    """Wraps the SDK's server, given as the module it is in, if it is one that is known."""
    import gevent
    from gevent import monkey

    io_server, response_writer, stdio_reader = server.IOServer, server.ResponseWriter, server.StdioRequestReader
    set_up, execute, put = io_server.__init__, io_server._execute_request_in_thread, response_writer.put
    if not monkey.is_module_patched("threading"):
        return
    calls = Calls(gevent)

    def cancellable_execute(self, session_id, data, reader, writer, *args, **kwargs):
        call = calls.begin(session_id)
        try:
            if call is not None:
                execute(self, session_id, data, reader, writer, *args, **kwargs)
                return
        except CallCancelled:
            pass
        finally:
            calls.end(session_id)
        # the call is no longer known, so that this message is let through
        writer.session_message(session_id=session_id, data=writer.stream_end_object())
        writer.done()

    def cancellable_put(self, event, session_id=None, data=None):
        call = calls.of_this_greenlet(session_id)
        if call is None:
            put(self, event, session_id, data)
            return
        calls.take_turns()
        if call.cancelled:
            raise CallCancelled
        call.writing = True
        try:
            put(self, event, session_id, data)
        finally:
            call.writing = False
            if call.cancelled:
                calls.interrupt_soon(session_id, call)

    def listen(line):
        data = line.data
        if line.event.value == "backwards_response" and data.get("event") == "cancel":
            calls.cancel(line.session_id)
        return False

    def cancellable_set_up(self, *args, **kwargs):
        set_up(self, *args, **kwargs)
        if self.default_writer is not None and isinstance(self.request_reader, stdio_reader):
            self.request_reader.read(listen)
            self.default_writer.write('{"event":"cancellable"}\n\n')

    io_server.__init__ = cancellable_set_up
    io_server._execute_request_in_thread = cancellable_execute
    response_writer.put = cancellable_put


class ServerFinder:
    """Sees the SDK's server being imported."""

    def find_spec(self, name, path=None, target=None):
        if name != SERVER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                try:
                    make_cancellable(module)
                except Exception as error:
                    print(f"calls of this plugin cannot be cancelled one by one: {error!r}", file=sys.stderr)

            spec.loader.exec_module = exec_module
        return spec


def run():
    sys.meta_path.insert(0, ServerFinder())
    if sys.argv[1] == "--zygote":
        with open(sys.argv[2], encoding="utf-8") as file:
            program = compile(file.read(), sys.argv[2], "exec")
        zygote = {"__name__": "zygote"}
        exec(program, zygote)
        # comes back in workers, where it has put their arguments in place
        zygote["serve"]()
        del program, zygote
    module = sys.argv.pop(1)
    if not getattr(sys.flags, "safe_path", False):
        # as `python -m` has it, instead of the folder of this file
        sys.path[0] = os.getcwd()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run()
