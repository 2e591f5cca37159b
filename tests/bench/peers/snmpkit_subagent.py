"""The objects in a subagent of snmpkit: SOCKET ROWS COLUMNS SCALARS SECONDS-BETWEEN-REFRESHES."""

import sys

from snmpkit.agent import Agent, Updater

BASE = "1.3.6.1.4.1.8072.9999.9999.77"


class Objects(Updater):
    def __init__(self, rows: int, columns: int, scalars: int) -> None:
        super().__init__()
        self.rows, self.columns, self.scalars = rows, columns, scalars

    async def update(self) -> None:
        for column in range(self.columns):
            show = self.set_COUNTER64 if column % 2 == 0 else self.set_GAUGE32
            for row in range(1, self.rows + 1):
                show(f"1.1.{column + 2}.{row}", row * self.columns + column)
        for scalar in range(1, self.scalars + 1):
            self.set_GAUGE32(f"2.{scalar}.0", 1000 + scalar)


def main() -> None:
    socket, *numbers = sys.argv[1:]
    rows, columns, scalars, seconds = map(int, numbers)
    agent = Agent(agent_id="bench", socket_path=socket)
    agent.register(BASE, Objects(rows, columns, scalars), freq=seconds)
    agent.start_sync()


main()
