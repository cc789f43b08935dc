"""python -m benchmarks.chaos --seconds N [--nodes 3] [--users 10] [--seed S] [--json] [--keep]

Starts etcd, PostgreSQL and some nodes on this machine, keeps them busy, and kills, stops, restarts and cuts off parts
of them at random for so long. Then everything is healed, and what was acknowledged is looked for. Exit code 1 if
anything was lost, stuck or doubled: see `checks.Found` for what these mean.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from benchmarks.chaos import app, cluster
from benchmarks.chaos.checks import Found, check
from benchmarks.chaos.faults import Faults
from benchmarks.chaos.load import Load
from tests.cluster.relay import Relay, relay
from understudy.client import connect

ENDS_S = 90.0
"""What runs may take to end once everything is healed."""


class Report(msgspec.Struct):
    seconds: float
    seed: int
    runs: int
    kills: int
    lost: int
    stuck: int
    repeated: int
    doubled: int
    faults: dict[str, int]
    failed_calls: dict[str, int]
    grants: int
    why: list[str]


async def chaos(folder: Path, seconds: float, nodes: int, users: int, seed: int) -> Report:
    async with cluster.running(folder) as made, wired(made) as wires:
        names = [f"n{number + 1}" for number in range(nodes)]
        await made.begin(*names)
        async with connect(made.addresses, app.app, patience="60s") as client:
            load, faults = Load(client, seed), Faults(made, seed, wires)
            loading = asyncio.create_task(load.run(users))
            await faults.run(seconds)
            await faults.heal()
            load.stop()
            unanswered = await ended(loading)
            found = await check(client, load, folder, ENDS_S)
            if unanswered:
                found.wrong("stuck", unanswered)
            return report(seconds, seed, load, faults, found)


@asynccontextmanager
async def wired(made: cluster.Cluster) -> AsyncGenerator[dict[str, Relay]]:
    """The first two nodes, with ways that can be cut: the first one's to etcd and PostgreSQL, others' to the second."""
    async with relay(made.etcd.url.rpartition("/")[2]) as etcd, relay(made.database.socket) as store, relay() as peers:
        through = f"postgresql://postgres@127.0.0.1:{store.port}/postgres?{made.store.partition('&')[2]}"
        made.node("n1", store=through, etcd=f"http://127.0.0.1:{etcd.port}")
        second = made.node("n2", "--advertise", f"127.0.0.1:{peers.port}")
        peers.to = second.address
        yield {"n1 to etcd": etcd, "n1 to PostgreSQL": store, "others to n2": peers}


async def ended(loading: asyncio.Task[None]) -> str:
    """What is wrong with the load, if its calls are not answered in time."""
    await asyncio.wait([loading], timeout=ENDS_S)
    if loading.done():
        loading.result()
        return ""
    loading.cancel()
    await asyncio.wait([loading])
    return f"calls were not answered within {ENDS_S:g} s"


def report(seconds: float, seed: int, load: Load, faults: Faults, found: Found) -> Report:
    done = faults.done
    return Report(
        seconds, seed, len(load.promised.runs), done["kill"] + done["kill_all"], found.lost, found.stuck,
        found.repeated, found.doubled, dict(done), dict(load.promised.failed), load.witness.grants, found.why,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="understudy-chaos-"))
    try:
        done = asyncio.run(chaos(folder, given.seconds, given.nodes, given.users, given.seed))
    finally:
        if given.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        print(msgspec.json.encode(done).decode())
    else:
        for name, value in msgspec.structs.asdict(done).items():
            print(f"{name:>14}  {value}")
    sys.exit(1 if done.lost or done.stuck or done.doubled else 0)


if __name__ == "__main__":
    main()
