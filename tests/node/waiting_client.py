"""A program that is no workflow and waits for leases of a lock; the tests kill it meanwhile.

Arguments: the node's address, how many leases, their ttl in seconds. It prints the fence of each when it has it.
"""

from __future__ import annotations

import asyncio
import sys

from understudy import App, Client, lock
from understudy.client import connect


async def hold(client: Client, ttl_s: float) -> None:
    async with client.lease(lock("ledger"), ttl=ttl_s) as held:
        print(held.fence, flush=True)


async def main(address: str, leases: int, ttl_s: float) -> None:
    async with connect(address, App("waiting")) as client:
        await asyncio.gather(*(hold(client, ttl_s) for _ in range(leases)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
