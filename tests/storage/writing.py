"""Turns to write, and a commit that can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from understudy_runtime.core.keys import kind_of, shard_of
from understudy_runtime.core.ports import ActorRow, InboxRow, Store, TurnWrite

FOR_EVER = float("inf")


async def commit(store: Store, *batch: TurnWrite) -> None:
    """Returns when the batch is durable; raises what the store handed over."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(error: BaseException | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    store.commit(batch, settle)
    await done


def run(name: str, namespace: str = "shop") -> str:
    return f"{namespace}/run/{name}"


def turn(key: str, seq: int, records: bytes = b"[]") -> TurnWrite:
    return TurnWrite(key, seq, 1000.0 + seq, records)


def row(
    key: str,
    *,
    status: str = "running",
    definition: str = "checkout",
    created_at: float = 1.0,
    closed_at: float | None = None,
    parked_until: float | None = None,
) -> ActorRow:
    return ActorRow(
        key=key, kind=kind_of(key), definition=definition, status=status, execution=1, digest="d", build="b",
        created_at=created_at, updated_at=created_at + 1, closed_at=closed_at, parked_until=parked_until,
    )  # fmt: skip


def rows_only(*rows: ActorRow) -> list[TurnWrite]:
    return [TurnWrite(each.key, 0, each.updated_at, row=each) for each in rows]


def message(to: str, sender: str, sender_seq: int, body: bytes = b"{}") -> InboxRow:
    return InboxRow(to, sender, sender_seq, body)


async def seqs(store: Store, key: str) -> Sequence[int]:
    return [turn.seq for turn in await store.turns(key, 0, 1_000_000)]


def shard(store: Store, key: str) -> int:
    """The shard that the actor is in; a store of one node has but one."""
    return shard_of(key, getattr(store, "shards", 1))
