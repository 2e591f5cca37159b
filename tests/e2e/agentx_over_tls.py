"""Asks a master for AgentX over TLS, with an Open PDU right behind the request, and says what comes back.

Usage: ADDRESS SERVER-NAME CA-FILE TOKEN-FILE
"""

import socket
import ssl
import struct
import sys

address, name, authority, token_file = sys.argv[1:]
with open(token_file, encoding="ascii") as file:
    token = file.read().strip()

context = ssl.create_default_context(cafile=authority)
# An Open (RFC 2741 section 6.2.1) in network byte order: no timeout, the null OID, an empty description.
payload = struct.pack(">B3x", 0) + struct.pack(">4B", 0, 0, 0, 0) + struct.pack(">I", 0)
open_pdu = struct.pack(">4B", 1, 1, 0x10, 0) + struct.pack(">4I", 0, 0, 1, len(payload)) + payload

head = ["GET /agentx HTTP/1.1", "Host: " + name, "Connection: Upgrade", "Upgrade: agentx"]
if token:
    head.append("Authorization: Bearer " + token)

received = b""
with socket.create_connection((address, 7705), timeout=20) as plain:
    with context.wrap_socket(plain, server_hostname=name) as stream:
        stream.sendall("\r\n".join(head + ["", ""]).encode() + open_pdu)
        stream.settimeout(5)
        try:
            while octets := stream.recv(4096):
                received += octets
                _, end, behind = received.partition(b"\r\n\r\n")
                if end and received.startswith(b"HTTP/1.1 101 ") and len(behind) >= 20:
                    break
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass

head, _, behind = received.partition(b"\r\n\r\n")
print(head.split(b"\r\n")[0].decode("ascii", "replace").removeprefix("HTTP/1.1 "))
if behind[:2] == b"\x01\x12":
    print("agentx: 1 response")
elif b"\x01\x12" in behind:
    print("agentx: something", behind)
else:
    print("agentx: nothing;", behind.decode("utf-8", "replace").strip())
