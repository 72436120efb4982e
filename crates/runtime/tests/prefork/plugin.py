"""A plugin on the stand-in that says what it sees."""

from dify_plugin import Plugin

import importlib
import os
import signal
import sys
import time

import dify_plugin
import state


def answer(data):
    match data["do"]:
        case "all":
            return state.all()
        case "open":
            try:
                with open(data["path"], data["mode"]):
                    return "opened"
            except OSError as error:
                return type(error).__name__
        case "version":
            return getattr(dify_plugin, "version", None)
        case "import":
            return importlib.import_module(data["name"]).__file__
        case "end":
            del dify_plugin.held
            counted = sys.getrefcount(dify_plugin.Plugin) < 1 << 20
            return {"counted": counted, "ended": dify_plugin.ended, "counts": sys.version_info[:2] not in ((3, 12), (3, 13))}
        case "sleep":
            time.sleep(data["seconds"])
            return "slept"
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit(data["code"])
        case "fail":
            state.fails()
        case "interrupt":
            raise KeyboardInterrupt
        case "leave":
            if os.fork() == 0:
                if os.fork() == 0:
                    os.setsid()
                    signal.pause()
                os._exit(0)
            os.wait()
            return "left"


if __name__ == "__main__":
    Plugin(answer).run()
