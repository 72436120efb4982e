"""A plugin without the SDK that waits, as for a vendor's API, or computes."""

import json
import os
import sys
import threading
import time

one_at_a_time = threading.Lock()


def write(lines):
    with one_at_a_time:
        sys.stdout.write(lines)
        sys.stdout.flush()


def line(session_id, kind, data):
    return f'{{"event":"session","session_id":"{session_id}","data":{{"type":"{kind}","data":{data}}}}}\n\n'


def beat():
    while True:
        write('{"event":"heartbeat","session_id":null,"data":{}}\n\n')
        time.sleep(10)


def answer(session_id, asked):
    time.sleep(asked["wait_ms"] / 1000)
    total = 0
    for number in range(asked["compute"]):
        total += number
    message = {"type": "json", "message": {"json_object": {"total": total}}, "meta": None}
    write(line(session_id, "stream", json.dumps(message)) + line(session_id, "end", "{}"))


threading.Thread(target=beat, daemon=True).start()
for text in sys.stdin:
    message = json.loads(text)
    if message["event"] == "request":
        parameters = message["data"]["tool_parameters"]
        threading.Thread(target=answer, args=(message["session_id"], parameters), daemon=True).start()
os._exit(0)
