#!/usr/bin/env python3
"""A small HTTP API that tells of itself in JSON, to those who know its token.

GET /stats        what it does; needs `Authorization: Bearer TOKEN`
GET /healthz      whether it is there
POST /login       somebody comes
POST /fail        from now on /stats is 503; POST /recover ends that
"""

import argparse
import http.server
import json
import pathlib
import threading


class State:
    """What was counted."""

    def __init__(self):
        self.lock = threading.Lock()
        self.users = 0
        self.requests = 0
        self.errors = 0
        self.failing = False

    def stats(self):
        return {
            "version": "2.3.0",
            "state": "degraded" if self.errors else "up",
            "users": {"active": self.users},
            # In quotes, because many APIs quote numbers that are too large for JavaScript.
            "requests": str(self.requests),
            "errors": self.errors,
            "maintenance": None,
            "queues": [
                {"name": "mail", "depth": 2 * self.users, "paused": False},
                {"name": "reports", "depth": 0, "paused": True},
            ],
        }


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests."""

    state = State()
    token_file = None

    def do_GET(self):
        if self.path == "/healthz":
            self.reply(200, {})
        elif self.path != "/stats":
            self.reply(404, {"error": "no such page"})
        # Read for each request, because a mounted Secret can change.
        elif self.headers["Authorization"] != "Bearer " + self.token_file.read_text().strip():
            self.reply(401, {"error": "unauthorized"})
        else:
            with self.state.lock:
                failing, stats = self.state.failing, self.state.stats()
            self.reply(503, {"error": "unavailable"}) if failing else self.reply(200, stats)

    def do_POST(self):
        with self.state.lock:
            self.state.requests += 1
            known = True
            if self.path == "/login":
                self.state.users += 1
            elif self.path in ("/fail", "/recover"):
                self.state.failing = self.path == "/fail"
            else:
                self.state.errors += 1
                known = False
        self.reply(200 if known else 404, {})

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
    parser.add_argument("--token-file", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    Handler.token_file = arguments.token_file
    http.server.ThreadingHTTPServer((arguments.address, arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
