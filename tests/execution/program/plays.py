"""Plays a shape of the corpus on a run's loop: a world decides what happens next, and writes it down.

A play is a list of turns. Each turn is an input (the time, and which calls end) and what the run did in
answer to it (which tasks it called, which calls it gave up). Replaying feeds the inputs again.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from tests.corpus import Do, Shape
from understudy_runtime.core.ports import Order
from understudy_runtime.execution.program import RunTask, WorkflowLoop

TURNS_MAX = 500


@dataclass(frozen=True)
class Input:
    now: float
    ends: tuple[int, ...] = ()


@dataclass
class Turn:
    input: Input
    did: list[str]


@dataclass
class Play:
    """A shape under way."""

    shape: Shape
    noise: random.Random | None = None
    salt: int = 7
    order: Order = "3.13"
    turns: list[Turn] = field(default_factory=list[Turn])

    def __post_init__(self) -> None:
        self.loop = WorkflowLoop(self.salt, 0.0, order=self.order)
        self.calls: list[asyncio.Future[str]] = []
        self.names: list[str] = []
        self._did: list[str] = []
        self._junk: list[object] = []
        self.main: RunTask[list[str]] = self.loop.start(self.shape(self._do()))

    def _do(self) -> Do:
        async def do(name: str) -> str:
            self._make_noise(8)
            call = self.loop.create_future()  # the first thing to be refused when the run is evicted
            self._did.append(f"do {name}")
            self.calls.append(call)
            self.names.append(name)
            try:
                return str(await call)
            except asyncio.CancelledError:
                self._did.append(f"give up {name}")
                raise

        return do

    def _make_noise(self, amount: int) -> None:
        """Move what is allocated next to another address."""
        if self.noise is not None:
            self._junk += [bytearray(self.noise.randrange(16, 500)) for _ in range(self.noise.randrange(amount))]
            self.noise.shuffle(self._junk)
            del self._junk[len(self._junk) // 2 :]

    def turn(self, given: Input) -> Turn:
        self._did = []
        self._make_noise(800)
        self.loop.turn(given.now, lambda: self._end(given.ends))
        if self.loop.ended:
            self._did.append(f"saw {self.main.result()}")
        taken = Turn(given, self._did)
        self.turns.append(taken)
        return taken

    def _end(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            call, name = self.calls[number], self.names[number]
            if call.done():
                continue
            if name.endswith("!"):
                call.set_exception(ValueError(name))
            else:
                call.set_result(name)

    def open_calls(self) -> list[int]:
        return [number for number, call in enumerate(self.calls) if not call.done()]


def play(shape: Shape, seed: int, noise: random.Random | None = None, order: Order = "3.13") -> Play:
    """Let a world of the given seed decide, until the run has ended."""
    world = random.Random(seed)
    under_way = Play(shape, noise, order=order)
    under_way.turn(Input(0.0))
    now = 0.0
    while not under_way.loop.ended:
        assert len(under_way.turns) < TURNS_MAX, "the run does not end"
        deadline, calls = under_way.loop.next_deadline(), under_way.open_calls()
        if deadline is not None and (not calls or world.random() < 0.3):
            now = max(now, deadline)
            under_way.turn(Input(now))
        else:
            now += world.random()
            under_way.turn(Input(now, tuple(world.sample(calls, min(len(calls), world.randrange(1, 4))))))
    return under_way


def replay(shape: Shape, inputs: list[Input], noise: random.Random | None = None) -> Play:
    again = Play(shape, noise)
    for given in inputs:
        again.turn(given)
    return again


def inputs_of(played: Play) -> list[Input]:
    return [turn.input for turn in played.turns]


def did(played: Play) -> list[list[str]]:
    return [turn.did for turn in played.turns]


def diverging_replays(shape: Shape, replays: int) -> int:
    """How many of the replays, each among other addresses, did something else than its first play."""
    plays = [play(shape, seed) for seed in range(8)]
    diverged = 0
    for number in range(replays):
        first = plays[number % len(plays)]
        try:
            again = replay(shape, inputs_of(first), random.Random(number))
            diverged += did(again) != did(first)
        except IndexError:  # it did not even call what ended in the first play
            diverged += 1
    return diverged
