"""A subagent on pyagentx, written as in its documentation: pyagentx_subagent.py SOCKET.

Below BASE, 1.0 is a text, 2.0 a writable level, 3.0 a Counter64, and 10.1.2.N are the squares of 1 to 20.
"""

import sys

import pyagentx

BASE = "1.3.6.1.4.1.8072.9999.9999.71"
LEVEL = [50]


class Scalars(pyagentx.Updater):
    def update(self):
        self.set_OCTETSTRING("1.0", "in Python")
        self.set_INTEGER("2.0", LEVEL[0])
        self.set_COUNTER64("3.0", 2**64 - 1)
        for number in range(1, 21):
            self.set_INTEGER(f"10.1.2.{number}", number**2)


class Level(pyagentx.SetHandler):
    def commit(self, oid, data):
        LEVEL[0] = data


class Agent(pyagentx.Agent):
    def setup(self):
        self.register(BASE, Scalars, freq=0)
        self.register_set(BASE + ".2.0", Level)


pyagentx.SOCKET_PATH = sys.argv[1]
Agent().start()
