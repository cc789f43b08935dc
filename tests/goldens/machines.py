"""States that machines were driven to, and what a machine says and does first when it has been given one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Raw

from tests.core import resources, test_schedules, tracing
from tests.goldens.filling import expanded
from tests.goldens.formats import MACHINES
from understudy.resourcing import OperationOptions
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import (
    BackfillSchedule,
    Deliver,
    Describe,
    ListJobs,
    PauseSchedule,
    Recovered,
    TriggerSchedule,
)
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.core.resource.messages import DestroyResource, DrainResource, SetCapacity

TRACES: Final = Path(tracing.__file__).with_name("traces")
HOUR: Final = test_schedules.HOUR
T0: Final = test_schedules.T0


class Driven(NamedTuple):
    """A snapshot and its time; `machine` is of what it is a snapshot."""

    machine: str
    name: str
    snapshot: bytes
    now: float


def driven() -> Iterator[Driven]:
    yield from _traced()
    for name, drive in _RESOURCES.items():
        bench = drive()
        yield Driven("lock" if name == "lock" else "resource", name, bench.snapshots[-1], bench.now)
    for name, plan in _SCHEDULES.items():
        schedule = plan()
        yield Driven("schedule", name, schedule.snapshots[-1], schedule.now)


def said(machine_name: str, snapshot: bytes, now: float) -> dict[str, Any]:
    """What a machine makes of a snapshot: its facts, its next duty, how it is described, and what it does as it is
    loaded by another node."""
    machine = machine_for(machine_name)

    def decided(message: Any) -> Any:
        decision = expanded(machine.decide(machine.decode(snapshot), message, now))
        return {name: value for name, value in decision.items() if value not in ([], None, False)}

    state = machine.decode(snapshot)
    return {
        "at": now,
        "facts": expanded(machine.facts(state)),
        "duty": machine.next_duty(state),
        "replay_from": expanded(machine.replay_from(state)),
        "described": decided(Describe()),
        "recovered": decided(Recovered()),
    } | ({"jobs": decided(ListJobs())} if machine_name in ("run", "actor") else {})


def machine_for(name: str) -> Any:
    match name:
        case "lock":
            return ResourceMachine(resources.STATIC, "n2")
        case "resource":
            return ResourceMachine(_rules(), "n2")
        case _:
            return MACHINES[name]


def _traced() -> Iterator[Driven]:
    """Of each trace the last snapshot, and the longest, which is the one with most in it."""
    seen: set[bytes] = set()
    for path in sorted(TRACES.glob("*.txt")):
        _, benches = tracing.traced(path.read_text())
        for number, bench in enumerate(benches):
            last, longest = bench.snapshots[-1:], sorted(bench.snapshots, key=len)[-1:]
            for which, snapshot in (*(("last", each) for each in last), *(("longest", each) for each in longest)):
                if snapshot not in seen:
                    seen.add(snapshot)
                    machine = "run" if bench.cell.kind == "run" else "actor"
                    yield Driven(machine, f"{path.stem}.{number}.{which}", snapshot, bench.now)


# --- resources


def _rules() -> Any:
    operations = {"add_step": OperationOptions(rate=2.0, concurrency=1, timeout_s=30.0), "resize": OperationOptions()}
    return resources.options(resources.EVERYTHING, capacity=3, check_every_s=15.0, operations=operations)


def _bench() -> resources.Bench:
    return resources.Bench(_rules())


def _used() -> resources.Bench:
    """Held and waited for by runs and clients, with operations that run and wait, and leases that have ended."""
    bench = _bench().ready()
    bench.acquire("b", 2)
    bench.wait(3)
    bench.acquire("c", 2, priority=5, wait_s=600.0)
    bench.acquire(resources.client("d"), ttl_s=30.0)
    bench.acquire("e", exclusive=True)
    bench.invoke("a", bench.grant("a").fence, "add_step", 1, call=7)
    bench.invoke("a", bench.grant("a").fence, "add_step", 2, call=8)
    bench.acquire("gone")
    bench.release("gone")
    bench.wait(5)
    return bench


def _held_by_client() -> resources.Bench:
    bench = _bench().ready()
    bench.acquire(resources.client("d"), ttl_s=30.0)
    bench.release("a")
    bench.tell(SetCapacity(5, "ann", "more", "key-1"))
    bench.tell(DrainResource("ann", "enough", "key-2"))
    return bench


def _creating() -> resources.Bench:
    bench = _bench()
    bench.acquire("a", spec=resources.raw({"nodes": 3}), digest="d")
    bench.tell(DestroyResource(by="ann", note="not this one"))
    return bench


def _retrying() -> resources.Bench:
    bench = resources.Bench()
    bench.acquire("a")
    bench.fail("create")
    return bench


def _uncertain() -> resources.Bench:
    bench = resources.Bench()
    bench.acquire("a")
    bench.crash()
    bench.acquire("b")
    return bench


def _destroying() -> resources.Bench:
    bench = _bench().ready()
    bench.release("a")
    bench.wait(10_000)
    bench.acquire("b")
    return bench


def _lock() -> resources.Bench:
    bench = resources.Bench(resources.STATIC, "default/lock/l")
    bench.acquire("a", wait_s=10.0)
    bench.acquire("b", wait_s=10.0)
    bench.wait(1)
    bench.release("a")
    return bench


_RESOURCES: Final[dict[str, Callable[[], resources.Bench]]] = {
    "used": _used,
    "held by a client": _held_by_client,
    "creating": _creating,
    "retrying": _retrying,
    "uncertain": _uncertain,
    "destroying": _destroying,
    "lock": _lock,
}


# --- schedules


def _planned() -> test_schedules.Bench:
    """Runs under way, kept and ended, nominal times missed and made up for, and a reply that is remembered."""
    bench = test_schedules.Bench(test_schedules.spec(overlap="buffer", catch_up="all", jitter_s=60.0))
    bench.at(T0 + 1.5 * HOUR)
    bench.end(failure=Failure("E", "no"))
    bench.at(T0 + 2.5 * HOUR)
    bench.tell(TriggerSchedule("key-1"))
    bench.at(T0 + 4.5 * HOUR)
    bench.tell(BackfillSchedule(T0 - 40 * HOUR, T0 - 30 * HOUR, "buffer", "key-2"))
    return bench


def _paused() -> test_schedules.Bench:
    bench = _planned()
    bench.tell(PauseSchedule("for now", "key-3"))
    bench.at(T0 + 9.5 * HOUR)
    return bench


def _skipping() -> test_schedules.Bench:
    bench = test_schedules.Bench(test_schedules.spec(every_s=None, cron=("@hourly", "30 2 * * *"), tz="Asia/Kathmandu"))
    bench.at(T0 + 3 * HOUR)
    bench.at(T0 + 5 * HOUR)
    bench.tell(Deliver("x", Raw(b"null")))
    return bench


_SCHEDULES: Final[dict[str, Callable[[], test_schedules.Bench]]] = {
    "planned": _planned,
    "paused": _paused,
    "skipping": _skipping,
}
