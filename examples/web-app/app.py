#!/usr/bin/env python3
"""A small web shop that counts what it does, and shows the counts at /metrics as any application does.

GET /           the front page
GET /cart       a page that needs a little time
POST /cart      puts something in the cart: a session begins
anything else   404
"""

import argparse
import http.server
import threading
import time

VERSION = "1.4.2"
BUCKETS = [0.005, 0.025, 0.1, 0.5, 2.5]


class Metrics:
    """What was counted, and its page in the Prometheus text format."""

    def __init__(self):
        self.lock = threading.Lock()
        self.started = time.time()
        self.requests = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.sessions = 0

    def observe(self, method, route, status, seconds):
        with self.lock:
            key = (method, route, status)
            self.requests[key] = self.requests.get(key, 0) + 1
            bucket = next((i for i, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
            self.buckets[bucket] += 1
            self.seconds += seconds
            self.sessions += method == "POST" and status == 200

    def page(self):
        with self.lock:
            yield "# HELP shop_build_info Running version."
            yield "# TYPE shop_build_info gauge"
            yield f'shop_build_info{{version="{VERSION}"}} 1'
            yield "# HELP shop_start_time_seconds Start time in seconds since 1970."
            yield "# TYPE shop_start_time_seconds gauge"
            yield f"shop_start_time_seconds {self.started}"
            yield "# HELP shop_sessions Sessions with items in the cart."
            yield "# TYPE shop_sessions gauge"
            yield f"shop_sessions {self.sessions}"
            yield "# HELP shop_requests_total Requests answered."
            yield "# TYPE shop_requests_total counter"
            for (method, route, status), count in self.requests.items():
                yield f'shop_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
            yield "# HELP shop_request_seconds Response time."
            yield "# TYPE shop_request_seconds histogram"
            count = 0
            for bound, observed in zip([*BUCKETS, "+Inf"], self.buckets):
                count += observed
                yield f'shop_request_seconds_bucket{{le="{bound}"}} {count}'
            yield f"shop_request_seconds_sum {self.seconds}"
            yield f"shop_request_seconds_count {count}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers requests, and counts all but the scrapes and probes."""

    metrics = Metrics()
    routes = {("GET", "/"), ("GET", "/cart"), ("POST", "/cart")}

    def do_GET(self):
        if self.path == "/metrics":
            page = "".join(line + "\n" for line in self.metrics.page())
            self.reply(200, page, "text/plain; version=0.0.4; charset=utf-8")
        elif self.path == "/healthz":
            self.reply(200, "ok\n")
        else:
            self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        began = time.monotonic()
        known = (self.command, self.path) in self.routes
        if known and self.path == "/cart":
            time.sleep(0.01)
        status = 200 if known else 404
        self.metrics.observe(self.command, self.path if known else "other", status, time.monotonic() - began)
        self.reply(status, "welcome\n" if known else "not here\n")

    def reply(self, status, body, kind="text/plain"):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
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
