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
from understudy_runtime.core.caution import MANY, SHORT_S, Caution, decode, encode
from understudy_runtime.core.messages import Dispatch, Token

pytestmark = pytest.mark.anyio

SHARD = 3


class Notes:
    """What the store keeps of a shard that has killed many nodes; it takes a note when the test says so."""

    def __init__(self) -> None:
        self.may_write = asyncio.Event()
        self.may_write.set()

        self.kept: dict[int, Caution | None] = {SHARD: Caution(T0, MANY), SHARD + 1: Caution(T0, MANY)}

    async def notes(self, shards: Collection[int]) -> Mapping[int, bytes]:
        return {shard: encode(kept) for shard in shards if (kept := self.kept[shard]) is not None}

    async def note(self, notes: Mapping[int, bytes]) -> None:
        await self.may_write.wait()
        self.kept |= {shard: decode(note) for shard, note in notes.items()}

    @property
    def suspects(self) -> dict[int, list[str]]:
        return {shard: list(kept.suspects) for shard, kept in self.kept.items() if kept is not None and kept.suspects}


class Care:
    """Shards run with care, and what came of their attempts. All actors are in the first, but for `elsewhere`."""

    def __init__(self, store: Notes | None = None) -> None:
        self.started: list[Token] = []
        self.dropped: list[Token] = []
        self.store = store or Notes()
        self.clock = VirtualClock(T0)
        self.careful = Careful(
            self.store,
            self.clock,
            lambda key: SHARD + key.endswith("elsewhere"),
            take=lambda cell: None,
            start=lambda dispatches: self.started.extend(dispatch.token for dispatch in dispatches),
            drop=self.dropped.append,
            wake=lambda cell: None,
        )

    async def hold(self, *actors: str, call: int = 1) -> list[Token]:
        """Attempts of these actors, of which the first has begun."""
        names = actors or ("default/run/a", "default/run/a")
        tokens = [Token(name, 1, call + number, 1, 1) for number, name in enumerate(names)]
        held = self.careful.hold([Dispatch(token, "t", Raw(b"{}"), TaskOptions(), "k") for token in tokens])
        assert held == []
        await anyio.wait_all_tasks_blocked()
        return tokens


@pytest.fixture
async def care() -> AsyncGenerator[Care]:
    made = Care()
    await made.careful.begin([SHARD, SHARD + 1])
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


async def test_nobody_is_suspected_of_what_comes_after_him(care: Care) -> None:
    """Else every node that dies names somebody in each of its shards."""
    first, second = await care.hold("default/run/a", "default/run/elsewhere")
    assert care.store.suspects == {SHARD: ["default/run/a"]}
    care.careful.ended(first)
    await anyio.wait_all_tasks_blocked()
    assert care.store.suspects == {SHARD + 1: ["default/run/elsewhere"]}
    care.careful.ended(second)
    await anyio.wait_all_tasks_blocked()
    assert care.store.suspects == {}


async def test_a_busy_actor_is_not_held_when_its_node_dies_at_random_moments() -> None:
    """It is written down whenever one does, and survives on the next what it was written down for."""
    store = Notes()
    for life in range(20):
        care = Care(store)
        await care.careful.begin([SHARD, SHARD + 1])
        assert not care.careful.poisoned
        survived, _ = await care.hold(call=life)
        care.careful.ended(survived)
        await anyio.wait_all_tasks_blocked()
        assert care.store.suspects == {SHARD: ["default/run/a"]}
        care.careful.close()


async def test_a_node_that_takes_its_own_shard_again_has_not_died() -> None:
    """It gave its shards up because nobody knew what was durable, and nobody was faster."""
    care = Care()
    care.store.kept = {SHARD: None}
    await care.careful.begin([SHARD])
    for _ in range(MANY + 1):
        care.careful.forget([SHARD])
        await care.careful.begin([SHARD])
    assert not care.careful.cautions
    kept = care.store.kept[SHARD]
    assert kept is not None
    assert kept.deaths == 0
    care.careful.close()


async def test_who_takes_a_suspicious_shard_again_stays_careful_and_suspects_nobody(care: Care) -> None:
    await care.hold()
    assert care.store.suspects == {SHARD: ["default/run/a"]}
    care.careful.forget([SHARD])
    await care.careful.begin([SHARD])
    assert (care.careful.cautions[SHARD].deaths, care.store.suspects) == (MANY + 1, {})
    assert not care.careful.cautions[SHARD].named


async def test_another_nodes_death_in_between_counts(care: Care) -> None:
    care.careful.forget([SHARD])
    other = Care(care.store)
    other.clock._now = T0 + 1
    await other.careful.begin([SHARD])
    care.clock._now = T0 + 2
    await care.careful.begin([SHARD])
    kept = care.store.kept[SHARD]
    assert kept is not None
    assert kept.deaths == MANY + 3
    other.careful.close()
