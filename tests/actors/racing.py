"""Users of a cluster, and nodes that are killed: the world of the race of "idle, terminate it" with "one more step".

`Life` is one life of a node over a disk that takes its time, in virtual time. It ends at the point that a `Death`
names: before a commit is durable; after it, and before anybody hears of it; before a call is made; while it is under
way, so that it may have its effect much later; after its effect, and before its answer.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Raw

from tests.actors.cloud import CLUSTER, Cloud, Stage, User
from tests.actors.world import T0, VirtualClock
from understudy.errors import StoreError
from understudy.options import RetryPolicy
from understudy.resourcing import OperationOptions, ResourceOptions
from understudy_runtime.actors.engine import Engine
from understudy_runtime.actors.journal import decode
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import (
    AttemptEnded,
    Deliver,
    Dispatch,
    Token,
)
from understudy_runtime.core.ports import CommitFailed, JournalRow, Order, Report, TurnWrite
from understudy_runtime.core.records.resources import IntentNoted
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.storage.memory import MemoryStore

IDLE_S = 10.0
CREATE_TIMEOUT_S = 60.0
CLOSE_S = 0.5
"""So near to its end comes whoever races it: a call and its answer take up to 0.6 s together, a commit 20 ms."""
LATE_S = 50.0
"""A call of a node that is gone may have its effect so much later."""
RULES = ResourceOptions(
    "Cluster",
    frozenset({"create", "find", "check", "destroy", "list"}),
    capacity=2,
    idle_timeout_s=IDLE_S,
    create_timeout_s=CREATE_TIMEOUT_S,
    destroy_timeout_s=60.0,
    create_retry=RetryPolicy(5, delays_s=(1.0,)),
    sweep_every_s=5.0,
    operations={"add_step": OperationOptions(concurrency=1)},
)
"""Everything a driver can have, and calls that take effect late."""
PLAIN_RULES = msgspec.structs.replace(RULES, driver=RULES.driver - {"list", "check"}, sweep_every_s=None)
"""As little as a driver must have for its creations not to be uncertain."""

Point = Literal["commit lost", "answer lost", "call lost", "call under way", "effect alone"]


class Death(NamedTuple):
    """The node dies at the `number`-th such point of its life; with `amid`, of those at which that is going on."""

    point: Point
    number: int
    amid: str = ""


class Disk(MemoryStore):
    """A store whose commits take 1 to 20 ms. It outlives the nodes; `life` is the one that writes."""

    def __init__(self) -> None:
        super().__init__()
        self.life: Life
        self.journal: list[TurnWrite] = []

    def commit(self, batch: Sequence[TurnWrite], done: Callable[[BaseException | None], None]) -> None:
        life = self.life
        life.committing = (batch, done)
        if life.dead:
            asyncio.get_running_loop().call_soon(self._refuse)
        else:
            life.clock.call_at(life.clock.now() + life.random.uniform(0.001, 0.02), self._arrive)

    def _refuse(self) -> None:
        """What was on its way when the node died never came to be, and nobody heard of it."""
        if (waiting := self.life.committing) is not None:
            self.life.committing = None
            waiting[1](CommitFailed("the node is dead"))

    def _arrive(self) -> None:
        life = self.life
        if life.dead or life.committing is None:
            return
        noted = noted_in(life.committing[0])
        if life.dies("commit lost", noted):
            self._refuse()
            return
        (batch, done), life.committing = life.committing, None
        self.journal += batch
        if life.dies("answer lost", noted):
            super().commit(batch, lambda _: None)
            done(CommitFailed("the node is dead"))
            return
        super().commit(batch, done)


class Programs:
    """Resources need no programs, but that their code is here."""

    orders: Sequence[Order] = ("3.13",)

    def has(self, kind: str, definition: str) -> bool:
        return True

    def create(self, key: str, definition: str, state: Raw | None, order: Order = "3.13") -> Any:
        raise AssertionError("nothing here runs a program")


class Hands:
    """Implements `Executor`: each call reaches the cloud after a while, and its answer comes back after another."""

    def __init__(self, life: Life, cloud: Cloud) -> None:
        self._life = life
        self._cloud = cloud
        self._out: set[Token] = set()

    def start(self, dispatches: Sequence[Dispatch]) -> None:
        life = self._life
        for dispatch in dispatches:
            if life.dead or life.dies("call lost", [dispatch.task]):
                return
            self._out.add(dispatch.token)
            reach = self._poll if dispatch.watch is not None else self._reach
            at = life.clock.now() + life.random.uniform(0.001, 0.3)
            life.clock.call_at(at, partial(reach, dispatch))
            if dispatch.watch is None:
                life.in_flight[dispatch.token] = partial(self._effect, dispatch)
                if life.dies("call under way", [dispatch.task]):
                    return

    def cancel(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            if token in self._out:
                self._out.discard(token)
                ended = AttemptEnded(token, failure=Failure("CancelledError", kind="cancelled"))
                self._life.clock.call_at(self._life.clock.now() + 0.001, partial(self._report, ended))

    async def close(self, grace_s: float) -> None:
        """Nothing ends politely here."""

    def _reach(self, dispatch: Dispatch) -> None:
        life = self._life
        if life.dead:
            return
        life.in_flight.pop(dispatch.token, None)
        result = self._effect(dispatch)
        if not life.dies("effect alone", [dispatch.task]):
            ended = AttemptEnded(dispatch.token, Raw(msgspec.json.encode(result)))
            at = life.clock.now() + life.random.uniform(0.001, 0.3)
            life.clock.call_at(at, partial(self._answered, dispatch.token, ended))

    def _answered(self, token: Token, ended: AttemptEnded) -> None:
        if token in self._out:
            self._out.discard(token)
            self._report(ended)

    def _poll(self, dispatch: Dispatch) -> None:
        life, watch = self._life, dispatch.watch
        assert watch is not None
        if life.dead or dispatch.token not in self._out:
            return
        result = Raw(msgspec.json.encode(self._effect(dispatch)))
        if bytes(result) != bytes(watch.known):
            self._answered(dispatch.token, AttemptEnded(dispatch.token, result))
        else:
            life.clock.call_at(life.clock.now() + watch.every_s, partial(self._poll, dispatch))

    def _effect(self, dispatch: Dispatch) -> Any:
        given = msgspec.json.decode(dispatch.args)
        return self._cloud.call(dispatch.task.partition(".")[2], given["args"], given["kwargs"])

    def _report(self, report: Report) -> None:
        if not self._life.dead:
            self._life.engine.report([report])


class Life:
    """One life of a node. When it is `dead` its clock has stopped, and what it had under way is out of its hands."""

    def __init__(self, race: Race, now: float, death: Death | None, machine: ResourceMachine) -> None:
        self.race = race
        self.clock = VirtualClock(now)
        self.random = race.random
        self.death = death
        self.counts: Counter[tuple[Point, str]] = Counter()
        self.dead = self.died = False
        self.committing: tuple[Sequence[TurnWrite], Callable[[BaseException | None], None]] | None = None
        self.in_flight: dict[Token, Callable[[], object]] = {}
        self.machine = machine
        self.engine: Engine

    def dies(self, point: Point, amid: Sequence[str]) -> bool:
        """Whether this is where it ends: `amid` says what was being noted, or called."""
        for each in {"", *amid}:
            self.counts[point, each] += 1
        death = self.death
        hit = death is not None and death.point == point and death.amid in ("", *amid)
        if hit and death is not None and self.counts[point, death.amid] == death.number:
            self.dead = self.died = True
            self.race.deaths_amid.extend((point, each) for each in amid)
        return self.dead

    async def live(self, until: Callable[[], bool]) -> None:
        """Until then, or until it is dead."""
        race, user = self.race, User(self.race.cloud)
        race.disk.life = self
        await race.disk.open("a node", self.clock.now())
        self.engine = Engine(
            clock=self.clock,
            store=race.disk,
            programs=Programs(),
            executor=Hands(self, race.cloud),
            machine_of=lambda kind: self.machine if kind.startswith("resource.") else user,
            build="",
            memory_bytes=2**30,
            window_s=float("inf"),
            on_failed=lambda error: None,
        )
        with suppress(StoreError, CommitFailed):
            await self.engine.start()
            for at, key in race.due(self.clock.now()):
                self.clock.call_at(at, partial(self.engine.deliver, key, Deliver("go", Raw(b"[]"))))
            for at, number, effect in race.cloud.late:
                self.clock.call_at(at, partial(self._late, (at, number, effect)))
            await self._settle()
            while not self.dead and not until():
                self.clock.advance()
                await self._settle()
                self._send_the_next()
        race.ended = race.stages(self)
        self.dead = True
        race.disk._refuse()
        await self.engine.close()
        await race.disk.close()

    async def _settle(self) -> None:
        """Until nothing moves unless time passes."""
        engine, quiet = self.engine, 0
        while quiet < 3 and not self.dead:
            await asyncio.sleep(0)
            at_rest = self.committing is not None or engine._committer.idle
            quiet = (
                quiet + 1 if at_rest and not engine._scheduled and engine._loading.idle and engine._careful.idle else 0
            )

    def _send_the_next(self) -> None:
        """Users who wait for the moment at which the cluster is about to have been idle for too long."""
        cell = self.engine._cells.get(CLUSTER)
        idle_since = None if cell is None or cell.state is None else cell.state.life.idle_since
        if idle_since is not None and idle_since != self.race.idle_since:
            self.race.idle_since = idle_since
            for at, key in self.race.sent(idle_since + IDLE_S):
                self.clock.call_at(at, partial(self.engine.deliver, key, Deliver("go", Raw(b"[]"))))

    def _late(self, one: tuple[float, int, Callable[[], object]]) -> None:
        cloud = self.race.cloud
        if not self.dead and one in cloud.late:
            cloud.late.remove(one)
            cloud.late_call = True
            with suppress(LookupError):
                one[2]()
            cloud.late_call = False


def noted_in(batch: Sequence[TurnWrite]) -> list[str]:
    """The kinds of records that the cluster's turns in it have; of what is asked of its driver, also which call."""
    noted: list[str] = []
    for turn in batch:
        if turn.key == CLUSTER and turn.records is not None:
            for record in decode(JournalRow(0, turn.key, turn.seq, turn.at, turn.records), {}).records:
                kind = type(record).__name__
                noted.append(f"{kind} {record.what}" if isinstance(record, IntentNoted) else kind)
    return noted


class Race:
    """`users` submit once each; nodes die as `deaths` say, and the last one brings all to an end.

    The first user makes the cluster. The others come one or two at a time, when it is just about to have been idle for
    too long, or just has been. `deaths_amid` is what was going on when nodes died.
    """

    def __init__(
        self, seed: int, deaths: Sequence[Death], rules: ResourceOptions = RULES, *, late: bool = True, users: int = 4
    ) -> None:
        self.random = random.Random(seed)
        self.deaths = deaths
        self.rules = rules
        self.late = late
        self.cloud = Cloud()
        self.disk = Disk()
        self.users = [(T0, "default/actor.User/u0")]
        """Those that have been sent, and when."""
        self.to_come = [f"default/actor.User/u{number}" for number in range(1, users)]
        self.idle_since = 0.0
        self.deaths_died = 0
        self.deaths_amid: list[tuple[Point, str]] = []
        self.ended: dict[str, Stage] = {}

    def sent(self, idle_until: float) -> list[tuple[float, str]]:
        """The next ones, around that time."""
        count = self.random.choice((1, 1, 2))
        going, self.to_come = self.to_come[:count], self.to_come[count:]
        sent = [(idle_until + self.random.uniform(-CLOSE_S, CLOSE_S), key) for key in going]
        self.users += sent
        return sent

    def due(self, now: float) -> list[tuple[float, str]]:
        """Those who have not been heard yet ask (again): a client does until he is answered."""
        return [(max(at, now), key) for at, key in self.users]

    async def run(self) -> Race:
        now = T0
        for death in [*self.deaths, None]:
            life = Life(self, now, death, ResourceMachine(self.rules, f"node of {death}"))
            await life.live(partial(self.over, life))
            self.deaths_died += life.died
            now = life.clock.now()
            for effect in life.in_flight.values():
                if self.late and self.random.random() < 0.5:
                    late = now + self.random.uniform(0.0, LATE_S)
                    heapq.heappush(self.cloud.late, (late, len(self.cloud.late), effect))
            now += self.random.uniform(0.0, 2 * IDLE_S)
        return self

    def over(self, life: Life) -> bool:
        """Everybody is done, and what there is in the cloud now stays there."""
        if self._all_done(life):
            return True
        if life.clock.now() < T0 + 10_000 and life.clock._heap:
            return False
        self.cloud.faults.append("it does not come to an end")
        return True

    def _all_done(self, life: Life) -> bool:
        if self.to_come or self.cloud.late or any(stage.name != "done" for stage in self.stages(life).values()):
            return False
        cell = life.engine._cells.get(CLUSTER)
        if cell is None or cell.state is None or cell.state.life.state != "absent" or cell.state.life.intents:
            return False
        return life.machine.next_duty(cell.state) is None  # no sweep is due any more

    def stages(self, life: Life) -> dict[str, Stage]:
        cells = {key: life.engine._cells.get(key) for _, key in self.users}
        return {key: Stage() if cell is None or cell.state is None else cell.state.stage for key, cell in cells.items()}
