"""A cloud that counts, users that submit, and nodes that are killed: the world of the race between "idle, terminate it"
and "one more step".

`Cloud` is the outside system: it knows nothing of leases, and does what it is told when the call reaches it, which may
be long after the node that made the call is gone. Its calls take no idempotency token, as EMR's do not. `Life` is one
life of a node over a disk that takes its time, in virtual time. It ends at the point that a `Death` names: before a
commit is durable; after it, and before anybody hears of it; before a call is made; while it is under way, so that
it may have its effect much later; after its effect, and before its answer.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Raw

from tests.actors.world import T0, VirtualClock
from understudy.errors import StoreError
from understudy.options import RetryPolicy
from understudy.resourcing import OperationOptions, ResourceOptions
from understudy_runtime.actors.engine import Engine
from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.messages import (
    ActorFacts,
    Answer,
    AnyMessage,
    AttemptEnded,
    Decision,
    Deliver,
    Dispatch,
    ReplayFrom,
    Send,
    Token,
)
from understudy_runtime.core.ports import CommitFailed, Report, TurnWrite
from understudy_runtime.core.records import AnyRecord, StateSet
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.core.resource.messages import AcquireLease, InvokeOperation, LeaseGrant, ReleaseLease
from understudy_runtime.storage.memory import MemoryStore

CLUSTER = "default/resource.Cluster/shared"
IDLE_S = 10.0
CREATE_TIMEOUT_S = 60.0
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
    """The node dies at the `number`-th such point of its life."""

    point: Point
    number: int


class Killed(Exception):
    """The node is no more."""


# --- the outside system


@dataclass
class Cloud:
    """Clusters by id, each with the fence it was created for. `faults` is what must never be seen."""

    fences: dict[str, int] = field(default_factory=dict[str, int])
    running: set[str] = field(default_factory=set[str])
    steps: list[str] = field(default_factory=list[str])
    late: list[tuple[float, int, Callable[[], object]]] = field(
        default_factory=list[tuple[float, int, Callable[[], object]]]
    )
    faults: list[str] = field(default_factory=list[str])
    users: dict[str, str] = field(default_factory=dict[str, str])
    """Who holds which cluster, by what has been told to him and what he has sent himself."""
    made: int = 0
    checks: int = 0
    late_call: bool = False

    def call(self, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return getattr(self, method)(*args, **kwargs)

    def create(self, spec: Any, fence: int) -> str:
        self.made += 1
        handle = f"j-{self.made}"
        self.fences[handle] = fence
        self.running.add(handle)
        return handle

    def find(self, spec: Any, fence: int) -> str | None:
        return next((handle for handle in sorted(self.running) if self.fences[handle] == fence), None)

    def check(self, handle: str) -> str:
        self.checks += 1
        return "healthy" if handle in self.running else "gone"

    def list(self, spec: Any) -> Sequence[str]:
        return sorted(self.running)

    def destroy(self, handle: str, fence: int) -> None:
        if handle in self.running and handle in self.users.values():
            self.faults.append(f"{handle} was destroyed with a live lease")
        self.running.discard(handle)

    def add_step(self, handle: str, step: str, fence: int) -> str:
        """Refused by a cluster that is no more; only the call of a node that is gone itself may come so late."""
        if handle not in self.running:
            if self.late_call:
                raise LookupError(handle)
            self.faults.append(f"step {step} was submitted to {handle}, which is no more")
        self.steps.append(step)
        return step


# --- those who use it


class Stage(msgspec.Struct, frozen=True):
    """Where a user of the cluster stands: "", asked, submitted, done."""

    name: str = ""
    fence: int = 0
    ended: str = ""


class UserState(msgspec.Struct):
    key: str
    stage: Stage = Stage()


class User:
    """A `Machine`: told to go, it takes a lease, submits one step and returns the lease, all by durable messages."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def initial(self, key: str) -> UserState:
        return UserState(key)

    def decide(self, state: UserState, message: AnyMessage, now: float) -> Decision:
        me, stage = Sender(state.key, 1, 1), state.stage
        match message:
            case Deliver() if not stage.name:
                return self._next(Stage("asked"), AcquireLease(me))
            case Answer(call=1, failure=None, result=result) if stage.name == "asked":
                grant = msgspec.json.decode(result or b"", type=LeaseGrant)
                self._cloud.users[state.key] = msgspec.json.decode(grant.handle or b'""')
                step = Raw(msgspec.json.encode({"args": [state.key], "kwargs": {}}))
                invoke = InvokeOperation(Sender(state.key, 1, 2), me, grant.fence, "add_step", step)
                return self._next(Stage("submitted", grant.fence), invoke)
            case Answer(call=1, failure=Failure() as failure) if stage.name == "asked":
                return self._next(Stage("done", 0, failure.type))
            case Answer(call=2, failure=failure) if stage.name == "submitted":
                self._cloud.users.pop(state.key, None)
                ended = Stage("done", stage.fence, "" if failure is None else failure.type)
                return self._next(ended, ReleaseLease(me, stage.fence))
            case _:
                return Decision()

    def _next(self, stage: Stage, message: Any = None) -> Decision:
        send = [] if message is None else [Send(CLUSTER, message)]
        return Decision(append=[StateSet(Raw(msgspec.json.encode(stage)))], send=send)

    def apply(self, state: UserState, record: AnyRecord, at: float, seq: int) -> None:
        assert isinstance(record, StateSet)
        state.stage = msgspec.json.decode(record.state, type=Stage)

    def next_duty(self, state: UserState) -> None:
        """It only answers."""

    def facts(self, state: UserState) -> ActorFacts:
        return ActorFacts("User", state.stage.name, 1, "", open=False)

    def replay_from(self, state: UserState) -> ReplayFrom | None:
        return None

    def value(self, state: UserState) -> Raw | None:
        return None

    def encode(self, state: UserState) -> bytes:
        return msgspec.json.encode(state)

    def decode(self, data: bytes) -> UserState:
        return msgspec.json.decode(data, type=UserState)


# --- a life of a node


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
        if life.dies("commit lost"):
            self._refuse()
            return
        (batch, done), life.committing = life.committing, None
        self.journal += batch
        if life.dies("answer lost"):
            super().commit(batch, lambda _: None)
            done(CommitFailed("the node is dead"))
            return
        super().commit(batch, done)


class Programs:
    """Resources need no programs, but that their code is here."""

    def has(self, kind: str, definition: str) -> bool:
        return True

    def create(self, key: str, definition: str, state: Raw | None) -> Any:
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
            if life.dead or life.dies("call lost"):
                return
            self._out.add(dispatch.token)
            reach = self._poll if dispatch.watch is not None else self._reach
            at = life.clock.now() + life.random.uniform(0.001, 0.3)
            life.clock.call_at(at, partial(reach, dispatch))
            if dispatch.watch is None:
                life.in_flight[dispatch.token] = partial(self._effect, dispatch)
                if life.dies("call under way"):
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
        if not life.dies("effect alone"):
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
        self.counts: dict[str, int] = {}
        self.dead = self.died = False
        self.committing: tuple[Sequence[TurnWrite], Callable[[BaseException | None], None]] | None = None
        self.in_flight: dict[Token, Callable[[], object]] = {}
        self.machine = machine
        self.engine: Engine

    def dies(self, point: Point) -> bool:
        """Whether this is where it ends."""
        count = self.counts[point] = self.counts.get(point, 0) + 1
        if self.death == (point, count):
            self.dead = self.died = True
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
            quiet = quiet + 1 if at_rest and not engine._scheduled and engine._loading.idle else 0

    def _late(self, one: tuple[float, int, Callable[[], object]]) -> None:
        cloud = self.race.cloud
        if not self.dead and one in cloud.late:
            cloud.late.remove(one)
            cloud.late_call = True
            with suppress(LookupError):
                one[2]()
            cloud.late_call = False


class Race:
    """`users` submit once each, at their times; nodes die as `deaths` say, and the last one brings all to an end."""

    def __init__(
        self, seed: int, deaths: Sequence[Death], rules: ResourceOptions = RULES, *, late: bool = True, users: int = 4
    ) -> None:
        self.random = random.Random(seed)
        self.deaths = deaths
        self.rules = rules
        self.late = late
        self.cloud = Cloud()
        self.disk = Disk()
        self.users = [(self._start_of(number), f"default/actor.User/u{number}") for number in range(users)]
        self.deaths_died = 0
        self.ended: dict[str, Stage] = {}

    def _start_of(self, number: int) -> float:
        """The first makes the cluster, the others come when it is about to be idle for too long."""
        if number == 0:
            return T0
        # It is created, used for one step and returned within 0.1 to 2.5 s.
        return T0 + (IDLE_S + 1.2) * self.random.choice((1, 1, 2)) + self.random.uniform(-1.5, 1.5)

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
        if self.cloud.late or any(stage.name != "done" for stage in self.stages(life).values()):
            return False
        cell = life.engine._cells.get(CLUSTER)
        if cell is None or cell.state is None or cell.state.life.state != "absent" or cell.state.life.intents:
            return False
        return life.machine.next_duty(cell.state) is None  # no sweep is due any more

    def stages(self, life: Life) -> dict[str, Stage]:
        cells = {key: life.engine._cells.get(key) for _, key in self.users}
        return {key: Stage() if cell is None or cell.state is None else cell.state.stage for key, cell in cells.items()}
