"""Speaks the plugin's side of the protocol without the SDK, so that it starts in a few milliseconds."""

import json
import sys
import threading
import time

one_at_a_time = threading.Lock()


def say(event, session_id, data):
    with one_at_a_time:
        sys.stdout.write(json.dumps({"event": event, "session_id": session_id, "data": data}) + "\n\n")
        sys.stdout.flush()


def beat():
    while True:
        say("heartbeat", None, {})
        time.sleep(10)


def answer(request):
    session_id = request["session_id"]
    time.sleep(request["data"].get("tool_parameters", {}).get("seconds", 0))
    with open("answer.txt") as file:
        chunk = {"type": "text", "message": {"text": file.read().strip()}, "meta": None}
    say("session", session_id, {"type": "stream", "data": chunk})
    say("session", session_id, {"type": "end", "data": {}})


threading.Thread(target=beat, daemon=True).start()
for line in sys.stdin:
    message = json.loads(line)
    if message["event"] == "request":
        threading.Thread(target=answer, args=(message,), daemon=True).start()
