"""Asks a master for AgentX over TLS, with an Open PDU right behind the request, and says what comes back.

Usage: ADDRESS SERVER-NAME CA-FILE TOKEN-FILE [CONTEXT OID]
With a context and an OID it registers that, too, and prints the error of the Response; 0 is none.
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
    """A PDU in network byte order, RFC 2741 section 6.1."""
    return struct.pack(">4B", 1, kind, flags, 0) + struct.pack(">4I", session, 0, kind, len(payload)) + payload


def register(session, context, oid):
    """A Register of a subtree in a context, RFC 2741 section 6.2.3."""
    octets = context.encode()
    octets = struct.pack(">I", len(octets)) + octets + bytes(-len(octets) % 4)
    arcs = [int(arc) for arc in oid.split(".")]
    subtree = struct.pack(">4B", len(arcs), 0, 0, 0) + struct.pack(">%dI" % len(arcs), *arcs)
    return encoded(3, session, octets + struct.pack(">4B", 0, 127, 0, 0) + subtree, flags=0x18)


# An Open (RFC 2741 section 6.2.1) in network byte order: no timeout, the null OID, an empty description.
payload = struct.pack(">B3x", 0) + struct.pack(">4B", 0, 0, 0, 0) + struct.pack(">I", 0)
open_pdu = encoded(1, 0, payload)

head = ["GET /agentx HTTP/1.1", "Host: " + name, "Connection: Upgrade", "Upgrade: agentx"]
if token:
    head.append("Authorization: Bearer " + token)

# The Response to an Open or a Register without varbinds, RFC 2741 section 6.2.16.
RESPONSE = 28
awaited = RESPONSE
received = b""
with socket.create_connection((address, 7705), timeout=20) as plain:
    with context.wrap_socket(plain, server_hostname=name) as stream:
        stream.sendall("\r\n".join(head + ["", ""]).encode() + open_pdu)
        stream.settimeout(5)
        try:
            while octets := stream.recv(4096):
                received += octets
                _, end, behind = received.partition(b"\r\n\r\n")
                if not end or not received.startswith(b"HTTP/1.1 101 ") or len(behind) < awaited:
                    continue
                if not region or awaited > RESPONSE:
                    break
                (session,) = struct.unpack_from(">I", behind, 4)
                stream.sendall(register(session, *region))
                awaited += RESPONSE
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
if region and len(behind) >= 2 * RESPONSE:
    print("register:", struct.unpack_from(">H", behind, RESPONSE + 24)[0])
