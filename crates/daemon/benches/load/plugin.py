"""A plugin without the SDK that waits, as for a vendor's API, or computes."""

import json
import os
import sys
import threading
import time

from wire import beat, line, write


def answer(session_id, asked):
    time.sleep(asked["wait_ms"] / 1000)
    total = 0
    for number in range(asked["compute"]):
        total += number
    message = {"type": "json", "message": {"json_object": {"total": total}}, "meta": None}
    write(line(session_id, "stream", json.dumps(message)) + line(session_id, "end", "{}"))


beat()
for text in sys.stdin:
    message = json.loads(text)
    if message["event"] == "request":
        parameters = message["data"]["tool_parameters"]
        threading.Thread(target=answer, args=(message["session_id"], parameters), daemon=True).start()
os._exit(0)
