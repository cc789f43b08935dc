"""Whatever comes in, in whatever order, and whenever the node dies: what is always true of a resource.

A driver with every method, over an outside world that does as it is told, at once, later, or behind the back of a node
that is gone.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.resources import EVERYTHING, OPERATIONS, STATIC, Bench, client, options, raw, run
from understudy.resourcing import ResourceOptions
from understudy_runtime.core.kinds import Failure, FailureKind
from understudy_runtime.core.messages import AttemptEnded, Dispatch, TimerDue
from understudy_runtime.core.records.resources import (
    IntentNoted,
    LeaseAwaited,
    LeaseGranted,
    LeaseOver,
    OperationOver,
    OperationTaken,
    QueueFailed,
    ResourceMoved,
    WaitEnded,
)
from understudy_runtime.core.resource.messages import (
    DestroyResource,
    DrainResource,
    RenewLease,
    ResumeResource,
    SetCapacity,
    SettleResource,
)
from understudy_runtime.core.resource.state import holder_name
from understudy_runtime.core.resource.states import allowed

WHO = [run(name) for name in "abcde"] + [client(name) for name in "xy"]
who = st.sampled_from(WHO)
kinds: st.SearchStrategy[FailureKind] = st.sampled_from(["error", "timeout", "lost", "returned"])
number = st.integers(0, 10)

events = st.one_of(
    st.tuples(
        st.just("acquire"), who, st.integers(1, 5), st.integers(-2, 2), st.booleans(), st.sampled_from([None, 30.0])
    ),
    st.tuples(st.just("release"), who),
    st.tuples(st.just("renew"), who),
    st.tuples(st.just("invoke"), who, st.sampled_from(["add_step", "resize"])),
    st.tuples(st.just("answer"), number, st.sampled_from(["healthy", "unhealthy", "gone"])),
    st.tuples(st.just("answer"), number, st.just("healthy")),
    st.tuples(st.just("fail"), number, kinds),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 20.0, 700.0])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("drain")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("destroy"), st.booleans()),
    st.tuples(st.just("capacity"), st.sampled_from([None, 2, 8])),
    st.tuples(st.just("settle"), st.sampled_from(["created", "not_created", "destroyed", "not_destroyed"])),
)


class Story:
    """A bench that is told of events, and looks at every record for what must not be."""

    def __init__(self, rules: ResourceOptions) -> None:
        self.bench = Bench(rules, keep_snapshots=False)
        self.made = 0
        self.seen = 0
        self.state = "absent"
        self.fence = 0
        self.leases: dict[str, LeaseGranted] = {}
        self.waiting: dict[str, LeaseAwaited] = {}
        self.operations: set[int] = set()
        self.calls = 0

    def tell(self, event: tuple[Any, ...]) -> None:
        bench = self.bench
        match event:
            case ("acquire", holder, units, priority, exclusive, wait_s):
                bench.acquire(holder, units, priority=priority, exclusive=exclusive, wait_s=wait_s, ttl_s=25.0)
            case ("release", holder):
                bench.release(holder)
            case ("renew", holder):
                lease = bench.state.leases.get(holder_name(holder))
                bench.tell(RenewLease(holder, 1 if lease is None else lease.fence, 25.0))
            case ("invoke", holder, operation):
                lease = bench.state.leases.get(holder_name(holder))
                self.calls += 1
                name = holder.key.split("/")[2]
                bench.invoke(name, 1 if lease is None else lease.fence, operation, call=100 + self.calls)
            case ("answer", index, health):
                self.report(index, health, None)
            case ("fail", index, kind):
                self.report(index, "", Failure("OSError", "no", kind=kind))
            case ("wait", seconds):
                bench.wait(seconds)
            case ("crash",):
                bench.crash()
            case ("drain",):
                bench.tell(DrainResource("ann"))
            case ("resume",):
                bench.tell(ResumeResource("ann"))
            case ("destroy", force):
                bench.tell(DestroyResource(force, "ann"))
            case ("capacity", units):
                bench.tell(SetCapacity(units, "ann"))
            case ("settle", outcome):
                self.made += 1
                bench.tell(SettleResource(outcome, raw(f"s-{self.made}"), "ann"))
            case _:
                raise AssertionError(event)
        self.look()

    def report(self, index: int, health: str, failure: Failure | None) -> None:
        """One of the calls that are out comes to an end; nothing if there is none."""
        out = self.bench.out
        if not out:
            return
        token = list(out)[index % len(out)]
        result = self.result(out.pop(token), health)
        self.bench.tell(AttemptEnded(token, raw(result), failure))

    def result(self, dispatch: Dispatch, health: str) -> Any:
        match dispatch.task.partition(".")[2]:
            case "create":
                self.made += 1
                return f"j-{self.made}"
            case "find":
                self.made += 1
                return None if health == "gone" else f"j-{self.made}"
            case "list":
                handle = self.bench.state.life.handle
                return ["stray", *([] if handle is None else [msgspec.json.decode(handle)])]
            case "check":
                return health
            case _:
                return None

    def look(self) -> None:
        """What has been noted since the last look."""
        new = self.bench.journal[self.seen :]
        self.seen = len(self.bench.journal)
        for _, _, record in new:
            self.note(record)
        self.agree()

    def note(self, record: Any) -> None:
        match record:
            case ResourceMoved(state=state):
                assert allowed(self.state, state) or self.state == state, f"{self.state} -> {state}"  # type: ignore[arg-type]
                if state == "destroying":
                    assert not self.leases, "it is destroyed with a live lease"
                    assert not self.operations, "it is destroyed in the middle of an operation"
                begins_anew = state == "creating" and self.state in ("absent", "failed")
                self.grow(record.fence, strictly=begins_anew or state == "destroying")
                self.state = state
            case LeaseAwaited():
                self.waiting[holder_name(record.holder)] = record
            case LeaseGranted():
                self.granted(record)
            case LeaseOver(holder=holder, fence=fence):
                assert self.leases.pop(holder).fence == fence
            case WaitEnded(holder=holder):
                del self.waiting[holder]
            case QueueFailed():
                self.waiting.clear()
            case OperationTaken(call=call, fence=fence):
                assert fence in [lease.fence for lease in self.leases.values()]
                self.operations.add(call)
            case OperationOver(call=call):
                self.operations.discard(call)
            case IntentNoted(what="create" | "destroy" | "stray" as what):
                if what == "create":
                    assert self.state == "creating"
            case _:
                pass

    def granted(self, record: LeaseGranted) -> None:
        assert self.state == "ready", f"granted while it was {self.state}"
        self.grow(record.fence, strictly=True)
        name = holder_name(record.holder)
        mine = self.waiting.pop(name, None)
        assert (mine is not None) == record.waited
        if mine is not None:
            others = [(each.rank, each.number) for each in self.waiting.values()]
            assert all((mine.rank, mine.number) < other for other in others), "somebody was overtaken"
        assert not any(lease.exclusive for lease in self.leases.values())
        assert not (record.exclusive and self.leases)
        self.leases[name] = record

    def grow(self, fence: int, *, strictly: bool = False) -> None:
        assert fence > self.fence or (fence == self.fence and not strictly), "fences grow"
        self.fence = fence

    def agree(self) -> None:
        """The state is what the records say, and what is counted is what there is."""
        state, life = self.bench.state, self.bench.state.life
        assert life.state == self.state
        assert set(state.leases) == set(self.leases)
        assert set(state.waiters) == set(self.waiting) == {name for _, _, name in state.queue}
        assert state.queue == sorted(state.queue)
        assert state.deadlines == state.in_time()
        assert not any(waiter.is_silent(self.bench.now) for waiter in state.waiters.values())
        assert (life.leases, life.waiting) == (len(state.leases), len(state.waiters))
        assert life.used == sum(lease.units for lease in state.leases.values())
        assert (
            life.operations
            == len(state.operations)
            == sum(len(line.waiting) + line.running for line in state.lines.values())
        )
        assert life.running == sum(line.running for line in state.lines.values())
        about = [each.what for each in life.intents.values() if each.what in ("create", "find", "destroy", "verify")]
        assert len(about) <= 1, "two calls about its life at once"
        if about:
            assert not any(each.what in ("list", "stray") for each in life.intents.values())
        self.nothing_is_forgotten()

    def nothing_is_forgotten(self) -> None:
        """Whoever waits, waits for something that will come."""
        state, life = self.bench.state, self.bench.state.life
        if life.waiting and life.state in ("absent", "creating", "destroying"):
            assert life.intents or life.checks, f"{life.waiting} wait, it is {life.state}, and nothing goes on"
        self.bench.machine.decide(state, TimerDue(), self.bench.now)
        assert len(life.intents) <= 1 + sum(each.what in ("stray", "scale") for each in life.intents.values())


RULES = options(
    EVERYTHING,
    capacity=5,
    check_every_s=15.0,
    max_age_s=5_000.0,
    create_timeout_s=500.0,
    sweep_every_s=100.0,
    operations=OPERATIONS,
)


WARM: list[tuple[Any, ...]] = [
    ("acquire", run("a"), 1, 0, False, None),
    ("answer", 0, "healthy"),
    ("answer", 0, "healthy"),
    ("acquire", run("b"), 3, 0, False, None),
    ("acquire", run("c"), 5, 0, False, None),
]
"""It is ready, two hold it, and one waits."""
stories = st.tuples(st.booleans(), st.lists(events, min_size=10, max_size=60)).map(
    lambda drawn: (WARM if drawn[0] else []) + drawn[1]
)


@settings(max_examples=50)
@given(stories)
def test_what_is_always_true_of_a_resource(told: list[tuple[Any, ...]]) -> None:
    story = Story(RULES)
    for event in told:
        story.tell(event)


@pytest.mark.slow
@settings(max_examples=2_000)
@given(stories)
def test_it_is_true_of_many_more_stories(told: list[tuple[Any, ...]]) -> None:
    story = Story(RULES)
    for event in told:
        story.tell(event)


@settings(max_examples=25)
@given(stories)
def test_what_is_always_true_of_one_that_can_only_be_created_and_destroyed(told: list[tuple[Any, ...]]) -> None:
    story = Story(options(capacity=5, operations=OPERATIONS, recreate="never"))
    for event in told:
        story.tell(event)


@settings(max_examples=25)
@given(stories)
def test_what_is_always_true_of_what_is_static(told: list[tuple[Any, ...]]) -> None:
    story = Story(msgspec.structs.replace(STATIC, capacity=5))
    for event in told:
        story.tell(event)


@settings(max_examples=25)
@given(stories)
def test_time_alone_never_keeps_it_busy(told: list[tuple[Any, ...]]) -> None:
    """A duty whose time has come is done in that turn, or it would be due for ever."""
    story = Story(RULES)
    for event in told:
        story.tell(event)
        bench = story.bench
        bench.tell(TimerDue())
        story.look()
        due = bench.machine.next_duty(bench.state)
        assert due is None or due > bench.now
