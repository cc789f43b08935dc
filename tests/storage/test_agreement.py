"""Whatever is asked of them, all stores answer alike: random commits to each, and the same questions after each."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.storage.database import Database
from tests.storage.writing import FOR_EVER, commit, message, row, run
from understudy_runtime.core.ports import Blob, CommitFailed, PartlyFailed, Store, TurnWrite
from understudy_runtime.storage.memory import MemoryData, MemoryStore
from understudy_runtime.storage.postgres import PostgresStore
from understudy_runtime.storage.sqlite import SqliteStore

KEYS = [run(name) for name in "abc"]
TIMES = st.sampled_from([None, 1.0, 2.0, 3.0, FOR_EVER])


class Step(msgspec.Struct):
    """What one turn does, in terms that make sense whatever came before; `again` repeats the last turn's number."""

    key: str
    journalled: bool
    again: bool
    rows: bool
    snapshot: bool
    sends: list[str]
    sends_again: bool
    consumes: int
    blob: str
    status: str
    created_at: float
    parked_until: float | None


STEPS = st.builds(
    Step,
    key=st.sampled_from(KEYS),
    journalled=st.booleans(),
    again=st.sampled_from([False] * 15 + [True]),
    rows=st.booleans(),
    snapshot=st.sampled_from([False, False, True]),
    sends=st.lists(st.sampled_from(KEYS), max_size=2),
    sends_again=st.sampled_from([False] * 15 + [True]),
    consumes=st.integers(0, 2),
    blob=st.sampled_from(["", "", "x", "y"]),
    status=st.sampled_from(["running", "held", "failed"]),
    created_at=st.sampled_from([1.0, 2.0]),
    parked_until=TIMES,
)


def sending(*, again: bool = False) -> Step:
    """A turn that sends its own actor a message; or takes that in, and sends one that bears the same number."""
    return Step(KEYS[0], False, False, False, False, [KEYS[0]], again, int(again), "", "running", 1.0, None)


class World:
    """Makes turns of steps: knows what was committed, so that numbers go on from there."""

    def __init__(self) -> None:
        self.seqs = dict.fromkeys(KEYS, 0)
        self.sent = 0

    async def turn(self, step: Step, store: Store) -> TurnWrite:
        key = step.key
        seq = self.seqs[key] if step.again else self.seqs[key] + 1
        self.seqs[key] = max(seq, 1)
        [stored] = await store.load([key])
        first = self.sent if step.sends_again else self.sent + 1
        self.sent += len(step.sends)
        wanted = row(key, status=step.status, created_at=step.created_at, parked_until=step.parked_until)
        return TurnWrite(
            key,
            max(seq, 1),
            float(seq),
            records=b"[%d]" % seq if step.journalled else None,
            row=wanted if step.rows else None,
            snapshot=b"state %d" % seq if step.snapshot else None,
            blobs=[Blob(step.blob, step.blob.encode())] if step.blob else (),
            sent=[message(to, key, first + n) for n, to in enumerate(step.sends)],
            consumed=[(each.sender, each.sender_seq) for each in stored.inbox[: step.consumes]],
        )


async def answers(store: Store) -> object:
    wakeful = {until: sorted(await store.wakeful(until)) for until in (0.0, 1.0, 2.5, FOR_EVER)}
    rows = [
        await store.rows(namespace="shop", status=status, limit=limit) for status in ("", "held") for limit in (1, 9)
    ]
    turns = {key: await store.turns(key, after, 3) for key in KEYS for after in (0, 2)}
    blobs = {key: await store.blobs(key, ["x", "y"]) for key in KEYS}
    return await store.load(KEYS), wakeful, rows, turns, blobs


async def committed(store: Store, batch: Sequence[TurnWrite]) -> set[str]:
    """The actors whose turns were not made durable."""
    try:
        await commit(store, *batch)
    except PartlyFailed as failed:
        return set(failed.rejected)
    except CommitFailed:
        return {turn.key for turn in batch}
    return set()


async def agree(batches: list[list[Step]], memory: Store, other: Store) -> None:
    world = World()
    async with AsyncExitStack() as stack:
        for store in (memory, other):
            await store.open("node-a", 1000.0)
            stack.push_async_callback(store.close)
        for steps in batches:
            batch = [await world.turn(step, memory) for step in steps]
            assert await committed(memory, batch) == await committed(other, batch)
            assert await answers(memory) == await answers(other)


BATCHES = st.lists(st.lists(STEPS, max_size=6), max_size=8)


@settings(max_examples=60)
@given(BATCHES)
def test_the_stores_of_one_node_agree(batches: list[list[Step]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(agree(batches, MemoryStore(), SqliteStore(Path(folder) / "state.db")))


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(BATCHES)
@example([[sending()], [sending(again=True)]])
def test_the_stores_of_many_nodes_agree(database: Database, batches: list[list[Step]]) -> None:
    url = database.wiped()
    asyncio.run(agree(batches, MemoryStore(MemoryData(shards=16)), PostgresStore(url)))
