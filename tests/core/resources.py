"""A resource that takes turns as the engine takes them, with a driver whose answers the test gives."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw

from understudy.options import RetryPolicy
from understudy.resourcing import OperationOptions, ResourceDescription, ResourceOptions
from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.messages import (
    Answer,
    AnyMessage,
    AttemptEnded,
    Decision,
    Describe,
    Dispatch,
    Recovered,
    Settled,
    TimerDue,
    Token,
)
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.core.resource.messages import (
    AcquireLease,
    InvokeOperation,
    LeaseGrant,
    ReleaseLease,
)
from understudy_runtime.core.resource.state import holder_name

KEY = "default/resource.Cluster/analytics"
EVERYTHING = frozenset({"create", "find", "check", "destroy", "list", "scale"})
PLAIN = frozenset({"create", "destroy"})
T0 = 1_000_000.0


def options(driver: frozenset[str] = PLAIN, **more: Any) -> ResourceOptions:
    rules: dict[str, Any] = {"idle_timeout_s": 600.0, "create_retry": RetryPolicy(3, delays_s=(5.0,)), **more}
    return ResourceOptions("Cluster", driver, **rules)


STATIC = ResourceOptions("lock")


def run(name: str, call: int = 1) -> Sender:
    return Sender(f"default/run/{name}", 1, call)


def client(name: str) -> Sender:
    return Sender(f"default/client/{name}", 1, 0)


def name(holder: Sender) -> str:
    return holder_name(holder)


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


class Bench:
    """`answers` are what holders were told, `out` the calls to the driver that have no answer yet."""

    def __init__(self, rules: ResourceOptions | None = None, key: str = KEY, keep_snapshots: bool = True) -> None:
        self.machine = ResourceMachine(rules or options(), "n1")
        self.state = self.machine.initial(key)
        self.now = T0
        self.seq = 0
        self.keep_snapshots = keep_snapshots
        self.journal: list[tuple[int, float, Any]] = []
        self.snapshots: list[bytes] = []
        self.answers: list[tuple[str, Any]] = []
        self.out: dict[Token, Dispatch] = {}
        self.abandoned: list[Token] = []
        self.timer: float | None = None

    # --- turns

    def tell(self, message: AnyMessage) -> Decision:
        decision = self.machine.decide(self.state, message, self.now)
        self.seq += bool(decision.append)
        for record in decision.append:
            self.machine.apply(self.state, record, self.now, self.seq)
            self.journal.append((self.seq, self.now, record))
        if decision.append and self.keep_snapshots:
            self.snapshots.append(self.machine.encode(self.state))
        self._release(message, decision)
        return decision

    def _release(self, message: AnyMessage, decision: Decision) -> None:
        for dispatch in decision.execute:
            self.out[dispatch.token] = dispatch
        self.abandoned += decision.abandon
        for token in decision.abandon:
            if self.out.get(token) is not None and self.out[token].watch is not None:
                del self.out[token]
        for send in decision.send:
            assert isinstance(send.message, Answer)
            answer = send.message
            self._heard(holder_name(Sender(send.to, answer.execution, answer.call)), answer)
        for settled in decision.settled:
            self._heard(str(settled.delivery), settled)
        if type(message) in (TimerDue, Recovered):
            decision.timer = self.machine.next_duty(self.state)
        due = self.machine.next_duty(self.state)
        if due is not None and decision.append:
            assert decision.timer is not None, "a duty that nobody would wake it for"
            assert decision.timer <= due, "a duty that it would be woken for too late"
        if decision.timer is not None:
            self.timer = decision.timer if self.timer is None else min(self.timer, decision.timer)

    def _heard(self, who: str, told: Answer | Settled) -> None:
        said: Any = told.failure
        if told.failure is None:
            said = told.result
        self.answers.append((who, said))

    def wait(self, seconds: float) -> Decision:
        """Time passes, with a turn for each duty in it."""
        end = self.now + seconds
        last = Decision()
        while self.timer is not None and self.timer <= end:
            self.now, self.timer = max(self.now, self.timer), None
            last = self.tell(TimerDue())
        self.now = end
        return last

    def crash(self) -> None:
        """Another node takes over: what was out is gone with the old one."""
        self.out.clear()
        self._load_again(frozenset())

    def move(self) -> None:
        """Another node takes over as planned: calls go on at the old one, and only what was watched is gone."""
        self.out = {token: dispatch for token, dispatch in self.out.items() if dispatch.watch is None}
        self._load_again(frozenset(self.out))

    def _load_again(self, under_way: frozenset[Token]) -> None:
        self.timer = None
        state = self.machine.initial(self.state.key)
        for seq, at, record in self.journal:
            self.machine.apply(state, record, at, seq)
        assert self.machine.encode(state) == self.machine.encode(self.state)
        self.state = self.machine.decode(self.machine.encode(state))
        self.tell(Recovered(under_way))

    # --- what comes in

    def acquire(self, who: str | Sender, units: int = 1, **more: Any) -> Decision:
        holder = run(who) if isinstance(who, str) else who
        return self.tell(AcquireLease(holder, units, **more))

    def release(self, who: str | Sender, fence: int = 0) -> Decision:
        return self.tell(ReleaseLease(run(who) if isinstance(who, str) else who, fence))

    def invoke(self, who: str, fence: int, operation: str, *args: Any, call: int = 7) -> Decision:
        given = raw({"args": args, "kwargs": {}})
        return self.tell(InvokeOperation(run(who, call), run(who), fence, operation, given))

    def answer(self, method: str, result: Any = None, failure: Failure | None = None) -> Decision:
        """The first call of this method that is out comes to this end."""
        token = next(token for token, dispatch in self.out.items() if dispatch.task.endswith(f".{method}"))
        del self.out[token]
        return self.tell(AttemptEnded(token, raw(result), failure))

    def fail(self, method: str, type_: str = "OSError", kind: Any = "error", **more: Any) -> Decision:
        return self.answer(method, failure=Failure(type_, "no", kind=kind, **more))

    # --- what can be seen

    @property
    def at(self) -> str:
        return self.state.life.state

    @property
    def calls(self) -> list[str]:
        return [dispatch.task.partition(".")[2] for dispatch in self.out.values()]

    def dispatched(self, method: str) -> Dispatch:
        return next(dispatch for dispatch in self.out.values() if dispatch.task.endswith(f".{method}"))

    def granted(self) -> list[str]:
        """Who was granted a lease, in order."""
        return [who for who, said in self.answers if isinstance(said, Raw) and b'"fence"' in bytes(said)]

    def grant(self, who: str) -> LeaseGrant:
        return self.grant_to(holder_name(run(who)))

    def grant_to(self, told: str) -> LeaseGrant:
        """The last grant of the holder of this name, or of the client with this delivery."""
        said = [said for each, said in self.answers if each == told][-1]
        assert isinstance(said, Raw), said
        return msgspec.json.decode(said, type=LeaseGrant)

    def failure(self, who: str) -> Failure:
        """The last failure of the run or, by its name, of one of its calls."""
        told = who if ":" in who else holder_name(run(who))
        said = [said for each, said in self.answers if each == told][-1]
        assert isinstance(said, Failure), said
        return said

    def moves(self) -> list[str]:
        return [record.state for _, _, record in self.journal if type(record).__name__ == "ResourceMoved"]

    def records(self, kind: type) -> list[Any]:
        return [record for _, _, record in self.journal if type(record) is kind]

    def described(self) -> ResourceDescription:
        reply = self.tell(Describe()).reply
        assert isinstance(reply, ResourceDescription)
        return reply

    # --- ready-made

    def ready(self, who: str = "a", handle: Any = "j-1") -> Bench:
        """Created for `who`, who holds a lease."""
        self.acquire(who)
        self.answer("create", handle)
        if "check" in self.machine.options.driver:
            self.answer("check", "healthy")
        if "list" in self.calls:
            self.answer("list", [handle])
        assert self.at == "ready"
        return self


OPERATIONS = {
    "add_step": OperationOptions(rate=2.0, concurrency=3, timeout_s=30.0, burst=2),
    "resize": OperationOptions(idempotent=True),
}
