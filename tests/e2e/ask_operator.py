"""Asks the operator for a ConfigMap as a sidecar does, and prints the status and what is said.

Usage: METHOD ADDRESS NAME PATH BODY CA-FILE TOKEN-FILE, where NAME is the server's in its certificate
"""

import http.client
import socket
import ssl
import sys

method, address, name, path, body, authority, token_file = sys.argv[1:]
with open(token_file, encoding="ascii") as file:
    headers = {"Authorization": "Bearer " + file.read().strip()}
context = ssl.create_default_context(cafile=authority)
connection = http.client.HTTPSConnection(name, 9444, timeout=30, context=context)
connection.sock = context.wrap_socket(socket.create_connection((address, 9444), timeout=30), server_hostname=name)
connection.request(method, path, body.encode() or None, headers)
answer = connection.getresponse()
print(answer.status, answer.read().decode(), sep="\n")
