"""Keeps an interpreter that has imported the SDK, and forks workers from it.

`bootstrap.py` executes this, joined with the files in `zygote/`, in a namespace of its own and calls `serve`. That returns
in workers only, once each: in a process that looks as if its interpreter had just been started for that worker. Then the
worker goes on in `bootstrap.py` as every other does, so that its stack, its `__main__` and the way it ends are the same.

The daemon's end of the protocol is `zygote/protocol.rs`, where it is documented. Standard input is the control socket at
the start; standard output and standard error lead to the daemon's log.
"""

import gc
import os
import posix
import sys

VERSION = 2
# bytes of a request or an answer
LONGEST_MESSAGE = 160 * 1024
# descriptors of a request: three streams and one for the confinement
MOST_DESCRIPTORS = 4

PR_SET_PDEATHSIG = 1
SIGKILL = 9


class Unsuited(Exception):
    """Forks of this interpreter would not be what a new one is."""


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
    control.send(json.dumps(hello).encode())
    # the daemon looks at what was imported meanwhile
    gc.collect()
    try:
        make_immortal()
    except Exception as error:
        print(f"workers share less memory than they could: {error!r}", file=sys.stderr)
    gc.freeze()
    return_free_memory()
    Zygote(descriptors, outputs).serve(control)
    # the descriptor is closed
    control.detach()
