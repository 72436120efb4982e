"""A function that does what its call says."""

import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def say(self, body):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    def event(self, session, type_, data):
        event = {"event": "session", "session_id": session, "data": {"type": type_, "data": data}}
        self.say(json.dumps(event).encode() + b"\n\n")

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        do, session = request["data"]["tool_parameters"]["do"], request["session_id"]
        self.event(session, "stream", {"type": "text", "message": {"text": do}, "meta": None})
        if do == "die":
            print("last words", file=sys.stderr, flush=True)
            os._exit(7)
        if do == "hang":
            time.sleep(60)
        if do == "garble":
            self.say(b"no JSON\n")
        if do != "stop short":
            self.event(session, "end", {})
        self.wfile.write(b"0\r\n\r\n")


ThreadingHTTPServer((os.environ["SERVERLESS_HOST"], int(os.environ["SERVERLESS_PORT"])), Handler).serve_forever()
