"""An NMS built on pysnmp: pysnmp_nms.py PORT BASE LEVEL.

With each of several credentials it walks BASE by GetNext and GetBulk, and writes and reads the object LEVEL below it. For
each of them it prints a line of JSON: {"credentials", "get", "next", "bulk", "refused"}. The fields get, next and bulk are
lists of [OID, type, value], and refused is the error of a SET with a wrong value.
"""

import json
import sys

from pysnmp.hlapi import (
    CommunityData,
    ContextData,
    Integer32,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    UdpTransportTarget,
    UsmUserData,
    bulkCmd,
    getCmd,
    nextCmd,
    setCmd,
    usmAesCfb128Protocol,
    usmHMAC192SHA256AuthProtocol,
    usmHMACSHAAuthProtocol,
)

PORT, BASE, LEVEL = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def user(name, auth, privacy):
    return UsmUserData(name, "authentication", "privacy-too", authProtocol=auth, privProtocol=privacy)


CREDENTIALS = {
    "v1": CommunityData("public", mpModel=0),
    "v2c": CommunityData("public", mpModel=1),
    "sha-1-aes": user("sha-1-aes", usmHMACSHAAuthProtocol, usmAesCfb128Protocol),
    "sha-256-aes": user("sha-256-aes", usmHMAC192SHA256AuthProtocol, usmAesCfb128Protocol),
    "sha-1": UsmUserData("sha-1", "authentication", authProtocol=usmHMACSHAAuthProtocol),
    "nobody": UsmUserData("nobody"),
}


def plain(varbinds):
    return [[str(name), type(value).__name__, value.prettyPrint()] for name, value in varbinds]


def request(command, *arguments, **options):
    """Sends a request and returns (error, varbinds)."""
    error, status, _, varbinds = next(command(*arguments, lookupMib=False, **options))
    return str(error or (status.prettyPrint() if status else "")), plain(varbinds)


def walk(command, *arguments):
    found = []
    for error, status, _, varbinds in command(*arguments, lookupMib=False, lexicographicMode=False):
        if error or status:
            raise RuntimeError(f"{error} {status}")
        found += plain(varbinds)
    return found


def test(name, credentials, number):
    engine = SnmpEngine()
    target = (engine, credentials, UdpTransportTarget(("127.0.0.1", PORT), timeout=15, retries=1), ContextData())
    base, level = ObjectType(ObjectIdentity(BASE)), ObjectIdentity(LEVEL)
    error, _ = request(setCmd, *target, ObjectType(level, Integer32(number)))
    if error:
        raise RuntimeError(error)
    _, read = request(getCmd, *target, ObjectType(level))
    refused, _ = request(setCmd, *target, ObjectType(level, Integer32(101)))
    by_next = walk(nextCmd, *target, base)
    by_bulk = by_next if name == "v1" else walk(bulkCmd, *target, 0, 5, base)
    engine.transportDispatcher.closeDispatcher()
    print(json.dumps({"credentials": name, "get": read, "next": by_next, "bulk": by_bulk, "refused": refused}))


for number, (name, credentials) in enumerate(CREDENTIALS.items(), 1):
    test(name, credentials, number)
