"""The outside system of the race, and those who use it.

`Cloud` knows nothing of leases, and does what it is told when the call reaches it, which may be long after the node
that made the call is gone. Its calls take no idempotency token, as EMR's do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.messages import (
    ActorFacts,
    Answer,
    AnyMessage,
    Decision,
    Deliver,
    ReplayFrom,
    Send,
)
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.actors import StateSet
from understudy_runtime.core.resource.messages import AcquireLease, InvokeOperation, LeaseGrant, ReleaseLease

CLUSTER = "default/resource.Cluster/shared"


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
