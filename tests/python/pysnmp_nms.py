"""An NMS that stands on pysnmp: pysnmp_nms.py PORT BASE LEVEL.

As each of a few askers it reads, walks and bulk walks what lies under BASE, and writes LEVEL, an object there, with
numbers of its own. For each asker it prints a line of JSON: {"asker", "get", "next", "bulk", "refused"}; get, next and
bulk are lists of [name, type, value].
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


ASKERS = {
    "v1": CommunityData("public", mpModel=0),
    "v2c": CommunityData("public", mpModel=1),
    "sha-1-aes": user("sha-1-aes", usmHMACSHAAuthProtocol, usmAesCfb128Protocol),
    "sha-256-aes": user("sha-256-aes", usmHMAC192SHA256AuthProtocol, usmAesCfb128Protocol),
    "sha-1": UsmUserData("sha-1", "authentication", authProtocol=usmHMACSHAAuthProtocol),
    "nobody": UsmUserData("nobody"),
}


def plain(variables):
    return [[str(name), type(value).__name__, value.prettyPrint()] for name, value in variables]


def answer(command, *arguments, **options):
    """One answer, as (error, variables)."""
    error, status, _, variables = next(command(*arguments, lookupMib=False, **options))
    return str(error or (status.prettyPrint() if status else "")), plain(variables)


def walk(command, *arguments):
    found = []
    for error, status, _, variables in command(*arguments, lookupMib=False, lexicographicMode=False):
        if error or status:
            raise RuntimeError(f"{error} {status}")
        found += plain(variables)
    return found


def ask(asker, credentials, number):
    engine = SnmpEngine()
    who = (engine, credentials, UdpTransportTarget(("127.0.0.1", PORT), timeout=15, retries=1), ContextData())
    base, level = ObjectType(ObjectIdentity(BASE)), ObjectIdentity(LEVEL)
    error, _ = answer(setCmd, *who, ObjectType(level, Integer32(number)))
    if error:
        raise RuntimeError(error)
    _, read = answer(getCmd, *who, ObjectType(level))
    refused, _ = answer(setCmd, *who, ObjectType(level, Integer32(101)))
    by_next = walk(nextCmd, *who, base)
    by_bulk = by_next if asker == "v1" else walk(bulkCmd, *who, 0, 5, base)
    engine.transportDispatcher.closeDispatcher()
    print(json.dumps({"asker": asker, "get": read, "next": by_next, "bulk": by_bulk, "refused": refused}))


for number, (asker, credentials) in enumerate(ASKERS.items(), 1):
    ask(asker, credentials, number)
