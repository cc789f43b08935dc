"""Attempts that are begun with care, when their shard leaves or is trusted again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping

import anyio
import pytest
from msgspec import Raw

from tests.actors.world import T0, VirtualClock
from understudy.options import TaskOptions
from understudy_runtime.actors.careful import Careful
from understudy_runtime.core.caution import MANY, SHORT_S, Caution, encode
from understudy_runtime.core.messages import Dispatch, Token

pytestmark = pytest.mark.anyio

SHARD = 3


class Notes:
    """What the store keeps of a shard that has killed many nodes; it takes a note when the test says so."""

    def __init__(self) -> None:
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def notes(self, shards: Collection[int]) -> Mapping[int, bytes]:
        return {SHARD: encode(Caution(T0, MANY))}

    async def note(self, notes: Mapping[int, bytes]) -> None:
        await self.may_write.wait()


class Care:
    """One shard run with care, and what came of its attempts."""

    def __init__(self) -> None:
        self.started: list[Token] = []
        self.dropped: list[Token] = []
        self.store = Notes()
        self.clock = VirtualClock(T0)
        self.careful = Careful(
            self.store,
            self.clock,
            lambda key: SHARD,
            take=lambda cell: None,
            start=lambda dispatches: self.started.extend(dispatch.token for dispatch in dispatches),
            drop=self.dropped.append,
            wake=lambda cell: None,
        )

    async def hold(self) -> list[Token]:
        tokens = [Token("default/run/a", 1, call, 1, 1) for call in (1, 2)]
        held = self.careful.hold([Dispatch(token, "t", Raw(b"{}"), TaskOptions(), "k") for token in tokens])
        assert held == []
        await anyio.wait_all_tasks_blocked()
        return tokens


@pytest.fixture
async def care() -> AsyncGenerator[Care]:
    made = Care()
    await made.careful.begin([SHARD])
    yield made
    made.careful.close()


async def test_what_waits_or_is_just_being_written_down_is_dropped_when_its_shard_leaves(care: Care) -> None:
    care.store.may_write.clear()
    tokens = await care.hold()
    care.careful.forget([SHARD])
    care.store.may_write.set()
    await anyio.wait_all_tasks_blocked()
    assert (care.started, sorted(care.dropped, key=lambda token: token.call)) == ([], tokens)


async def test_what_runs_when_its_shard_leaves_is_waited_for_no_longer(care: Care) -> None:
    """Else the engine's loop would go round and round here."""
    first, second = await care.hold()
    assert care.started == [first]
    care.careful.forget([SHARD])
    await anyio.wait_all_tasks_blocked()
    assert (care.started, care.dropped, care.careful.idle) == ([first], [second], True)


async def test_what_runs_when_its_shard_is_trusted_again_keeps_nothing_waiting(care: Care) -> None:
    first, second = await care.hold()
    care.clock._heap = [entry for entry in care.clock._heap if entry[0] >= T0 + SHORT_S]  # not its own patience
    care.clock.advance()
    await anyio.wait_all_tasks_blocked()
    assert (care.started, care.dropped, care.careful.idle) == ([first, second], [], True)
