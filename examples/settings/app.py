#!/usr/bin/env python3
"""A small application whose settings can be read and changed over HTTP.

GET /settings          all of them, in JSON
PUT /settings/NAME     changes one: {"value": ...}; 409 if the application cannot take it
GET /healthz           whether it is there
POST /freeze           from now on no change is taken (503); POST /thaw ends that
POST /stall            the next change is taken, but not answered
"""

import argparse
import http.server
import json
import threading
import time

# Maximum that the machine supports.
MOST_CONNECTIONS = 500


class State:
    """The settings."""

    def __init__(self):
        self.lock = threading.Lock()
        self.frozen = False
        self.stalling = False
        self.settings = {"hostName": "web-1", "logLevel": "info", "connectionLimit": 100, "maintenance": False}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests."""

    state = State()

    def do_GET(self):
        if self.path == "/healthz":
            self.reply(200, {})
        elif self.path == "/settings":
            with self.state.lock:
                self.reply(200, self.state.settings)
        else:
            self.reply(404, {"error": "no such page"})

    def do_PUT(self):
        name = self.path.removeprefix("/settings/")
        try:
            value = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))["value"]
        except (ValueError, KeyError, TypeError):
            self.reply(400, {"error": 'not {"value": ...}'})
            return
        with self.state.lock:
            status, stall = self.change(name, value), self.state.stalling
            self.state.stalling = False
        if stall:
            time.sleep(3600)
        self.reply(status, {})

    def change(self, name, value):
        known = self.state.settings.get(name)
        if known is None:
            return 404
        if self.state.frozen:
            return 503
        if type(value) is not type(known):
            return 422
        if name == "connectionLimit" and value > MOST_CONNECTIONS:
            return 409
        self.state.settings[name] = value
        return 200

    def do_POST(self):
        if self.path == "/stall":
            self.state.stalling = True
        elif self.path in ("/freeze", "/thaw"):
            self.state.frozen = self.path == "/freeze"
        else:
            self.reply(404, {})
            return
        self.reply(200, {})

    def reply(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    http.server.ThreadingHTTPServer((arguments.address, arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
