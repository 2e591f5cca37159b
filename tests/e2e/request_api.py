"""Sends one request to the API server, and prints the status and the body of the response.

Usage: METHOD URL BODY CA-FILE TOKEN-FILE
"""

import ssl
import sys
import urllib.error
import urllib.request

method, url, body, authority, token_file = sys.argv[1:]
with open(token_file, encoding="ascii") as file:
    headers = {"Authorization": "Bearer " + file.read().strip()}
if body:
    headers["Content-Type"] = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
try:
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=authority), timeout=30) as response:
        print(response.status, response.read().decode(), sep="\n")
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode(), sep="\n")
