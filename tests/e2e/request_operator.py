"""Sends a request for a ConfigMap to the operator, as a sidecar does, and prints the status and the body of the response.

Usage: METHOD ADDRESS NAME PATH BODY CA-FILE TOKEN-FILE, where NAME is the name in the server's certificate
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
response = connection.getresponse()
print(response.status, response.read().decode(), sep="\n")
