"""The workloads by name, in the order in which `all` runs them: the limits first, to compare the rest with."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks.measure import Figures
from benchmarks.place import Place
from benchmarks.workloads import (
    asks,
    census_speedup,
    chain,
    checks,
    commits,
    envelopes,
    fanout,
    hello,
    jobs,
    lease_queue,
    leases,
    limits,
    messages,
    neighbour,
    overload,
    pingpong,
    recovery,
    sleepers,
    waiters,
)

Workload = Callable[..., Awaitable[list[Figures]]]
"""Takes the place and, by name, its sizes; measures one repeat."""

WORKLOADS: Final[dict[str, Workload]] = {
    "limits": limits.measure,
    "hello": hello.measure,
    "chain": chain.measure,
    "fanout": fanout.measure,
    "commits": commits.measure,
    "asks": asks.measure,
    "neighbour": neighbour.measure,
    "recovery": recovery.measure,
    "census-speedup": census_speedup.measure,
    "sleepers": sleepers.measure,
    "pingpong": pingpong.measure,
    "messages": messages.measure,
    "waiters": waiters.measure,
    "overload": overload.measure,
    "leases": leases.measure,
    "lease-queue": lease_queue.measure,
    "checks": checks.measure,
    "jobs": jobs.measure,
    "envelopes": envelopes.measure,
}

NEED_A_FILE: Final = frozenset({"recovery"})
"""What is measured there would not survive in memory."""
NEED_A_DATABASE: Final = frozenset({"commits"})
"""What is measured there is how it answers."""
NEED_GRPC: Final = frozenset({"waiters", "overload"})
"""They measure the door."""
NOT_VIA_GRPC: Final = frozenset(
    {"recovery", "census-speedup", "sleepers", "envelopes", "lease-queue", "checks", "jobs", "commits"}
)
"""They make their node themselves, or measure the memory of its process."""


def sizes_of(workload: str) -> dict[str, int | float]:
    """The sizes that can be set, with their defaults."""
    parameters = inspect.signature(WORKLOADS[workload]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


async def measure(workload: str, place: Place, sizes: dict[str, int | float]) -> list[Figures]:
    return await WORKLOADS[workload](place, **sizes)
