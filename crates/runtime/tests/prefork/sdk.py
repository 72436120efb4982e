"""A small stand-in for the SDK: the same protocol, no dependencies."""

import json
import logging
import random
import sys
import threading
import warnings

print("said while it is imported", file=sys.stderr)
handler = logging.StreamHandler(sys.stdout)


class Plugin:
    def __init__(self, answer):
        self.answer = answer

    def write(self, event):
        sys.stdout.write(json.dumps(event) + "\n\n")
        sys.stdout.flush()

    def run(self):
        self.write({"event": "heartbeat", "session_id": None, "data": {}})
        for line in sys.stdin:
            request = json.loads(line)
            if request["event"] != "request":
                continue
            session = request["session_id"]
            message = {"type": "stream", "data": self.answer(request["data"])}
            self.write({"event": "session", "session_id": session, "data": message})
            self.write({"event": "session", "session_id": session, "data": {"type": "end", "data": {}}})
