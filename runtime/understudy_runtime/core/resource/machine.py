"""`ResourceMachine`: the machine of resources, locks and semaphores; the model is in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from understudy.resourcing import ResourceOptions
from understudy_runtime.core.messages import ActorFacts, AnyMessage, Decision, ReplayFrom
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.resource import duties
from understudy_runtime.core.resource.apply import apply
from understudy_runtime.core.resource.decide import decide
from understudy_runtime.core.resource.state import ResourceState


class ResourceMachine:
    """`Machine` for one type of resource, with these options, on this node. `epoch`: the store's, above which fences
    are given."""

    def __init__(self, options: ResourceOptions, node: str, epoch: Callable[[], int] = int) -> None:
        self.options = options
        self.node = node
        self._epoch = epoch

    def initial(self, key: str) -> ResourceState:
        return ResourceState(key)

    def decide(self, state: ResourceState, message: AnyMessage, now: float) -> Decision:
        return decide(state, message, now, self.options, self.node, self._epoch())

    def apply(self, state: ResourceState, record: AnyRecord, at: float, seq: int) -> None:
        if seq != state.last_seq:
            state.created_at = state.created_at if state.turns else at
            state.last_seq = seq
            state.turns += 1
        apply(state, record, at)

    def next_duty(self, state: ResourceState) -> float | None:
        duty = duties.next_duty(state.life, self.options, state.lines)
        if not state.deadlines:
            return duty
        first = state.deadlines[0][0]
        return first if duty is None else min(duty, first)

    def facts(self, state: ResourceState) -> ActorFacts:
        """`open` while the driver has something to answer: a node that takes over must look what became of it."""
        if not state.turns:
            return ActorFacts("", "", 1, "", False)
        life = state.life
        under_way = bool(life.checks or life.running or any(intent.out for intent in life.intents.values()))
        return ActorFacts(self.options.name, life.state, 1, life.spec_digest, under_way)

    def replay_from(self, state: ResourceState) -> ReplayFrom | None:
        return None

    def value(self, state: ResourceState) -> Raw | None:
        return None

    def encode(self, state: ResourceState) -> bytes:
        return _encode(state)

    def decode(self, data: bytes) -> ResourceState:
        state = _decode(data)
        state.deadlines = state.in_time()  # those of a snapshot may be by the rules of another release
        return state


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ResourceState).decode
