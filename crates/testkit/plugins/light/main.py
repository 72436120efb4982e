"""Speaks the plugin's side of the protocol without the SDK, so that it starts in a few milliseconds."""

import json
import os
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


def messages(request):
    time.sleep(request["data"].get("tool_parameters", {}).get("seconds", 0))
    with open("answer.txt") as file:
        chunk = {"type": "text", "message": {"text": file.read().strip()}, "meta": None}
    yield {"type": "stream", "data": chunk}
    yield {"type": "end", "data": {}}


def answer(request):
    for message in messages(request):
        say("session", request["session_id"], message)


def read_lines():
    threading.Thread(target=beat, daemon=True).start()
    for line in sys.stdin:
        message = json.loads(line)
        if message["event"] == "request":
            threading.Thread(target=answer, args=(message,), daemon=True).start()


def serve():
    """As a function: one request is one session."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            for message in messages(request):
                event = {"event": "session", "session_id": request["session_id"], "data": message}
                self.wfile.write(json.dumps(event).encode() + b"\n\n")

    address = os.environ["SERVERLESS_HOST"], int(os.environ["SERVERLESS_PORT"])
    ThreadingHTTPServer(address, Handler).serve_forever()


serve() if os.environ.get("INSTALL_METHOD") == "serverless" else read_lines()
