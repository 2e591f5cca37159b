"""Connects to a master by AgentX over TLS, sends an Open PDU directly after the HTTP request, and prints the responses.

Usage: ADDRESS SERVER-NAME CA-FILE TOKEN-FILE [CONTEXT OID]
With a context and an OID, it also registers that subtree and prints the error of the Response; 0 means no error.
"""

import socket
import ssl
import struct
import sys

address, name, authority, token_file, *region = sys.argv[1:]
with open(token_file, encoding="ascii") as file:
    token = file.read().strip()

context = ssl.create_default_context(cafile=authority)


def encoded(kind, session, payload, flags=0x10):
    """Returns a PDU in network byte order (RFC 2741 section 6.1)."""
    return struct.pack(">4B", 1, kind, flags, 0) + struct.pack(">4I", session, 0, kind, len(payload)) + payload


def register(session, context, oid):
    """Returns a Register of a subtree in a context (RFC 2741 section 6.2.3)."""
    octets = context.encode()
    octets = struct.pack(">I", len(octets)) + octets + bytes(-len(octets) % 4)
    arcs = [int(arc) for arc in oid.split(".")]
    subtree = struct.pack(">4B", len(arcs), 0, 0, 0) + struct.pack(">%dI" % len(arcs), *arcs)
    return encoded(3, session, octets + struct.pack(">4B", 0, 127, 0, 0) + subtree, flags=0x18)


# An Open PDU (RFC 2741 section 6.2.1) with no timeout, the null OID and an empty description.
payload = struct.pack(">B3x", 0) + struct.pack(">4B", 0, 0, 0, 0) + struct.pack(">I", 0)
open_pdu = encoded(1, 0, payload)

head = ["GET /agentx HTTP/1.1", "Host: " + name, "Connection: Upgrade", "Upgrade: agentx"]
if token:
    head.append("Authorization: Bearer " + token)

# The length of a Response without varbinds (RFC 2741 section 6.2.16).
RESPONSE = 28
expected = RESPONSE
received = b""
with socket.create_connection((address, 7705), timeout=20) as plain:
    with context.wrap_socket(plain, server_hostname=name) as stream:
        stream.sendall("\r\n".join(head + ["", ""]).encode() + open_pdu)
        stream.settimeout(5)
        try:
            while octets := stream.recv(4096):
                received += octets
                _, end, body = received.partition(b"\r\n\r\n")
                if not end or not received.startswith(b"HTTP/1.1 101 ") or len(body) < expected:
                    continue
                if not region or expected > RESPONSE:
                    break
                (session,) = struct.unpack_from(">I", body, 4)
                stream.sendall(register(session, *region))
                expected += RESPONSE
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass

head, _, body = received.partition(b"\r\n\r\n")
print(head.split(b"\r\n")[0].decode("ascii", "replace").removeprefix("HTTP/1.1 "))
if body[:2] == b"\x01\x12":
    print("agentx: 1 response")
elif b"\x01\x12" in body:
    print("agentx: something", body)
else:
    print("agentx: nothing;", body.decode("utf-8", "replace").strip())
if region and len(body) >= 2 * RESPONSE:
    print("register:", struct.unpack_from(">H", body, RESPONSE + 24)[0])
