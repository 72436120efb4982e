"""Serves HTTP as the SDK does, and does what it is told. Files beside it make it fail at its start."""

import json
import os
import pathlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

here = pathlib.Path.cwd()
if (here / "broken").exists():
    sys.exit(print("no such module", file=sys.stderr) or 3)
if (here / "hangs").exists():
    (here / "pid").write_text(str(os.getpid()))
    time.sleep(60)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.whole(b"OK")

    def whole(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def chunk(self, text):
        body = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        self.wfile.flush()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["do"] == "tell":
            told = {"pid": os.getpid(), "path": self.path, "body": asked, "env": dict(os.environ)}
            return self.whole(json.dumps(told).encode())
        if asked["do"] == "die" and asked["after"] is None:
            os._exit(7)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if asked["do"] == "die":
            self.chunk(asked["after"])
            time.sleep(0.1)
            print("last words", file=sys.stderr, flush=True)
            os._exit(7)
        self.chunk("begin\n")
        time.sleep(asked["seconds"])
        self.chunk("end\n")
        self.wfile.write(b"0\r\n\r\n")


ThreadingHTTPServer((os.environ["SERVERLESS_HOST"], int(os.environ["SERVERLESS_PORT"])), Handler).serve_forever()
