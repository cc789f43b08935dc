"""Leases as blocks: `async with` a lease, a lock or a semaphore, or several of them at once.

    async with lock("ledger") as held:                             # one holder at a time, in the whole namespace
        await post(entry, held.fence)
    async with semaphore("licences", 5): ...                       # at most five at a time
    async with leases(lock("a"), lock("b")) as (a, b): ...         # never a deadlock: taken in order of address

A lease is returned when its block has ended, however it ends, and nothing that was called in it runs any more. The
`fence` grows with each grant: give it to the outside system, if that can refuse a smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Literal, TypeVar, overload

import msgspec

from understudy.actors import checked_id
from understudy.context import Granted, LeaseRequest, RunContext, current_leases, current_run
from understudy.errors import BadRequest
from understudy.options import Duration, checked_priority, seconds

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

MAX_UNITS: Final = 1_000_000
MAX_AT_ONCE: Final = 100


class Held:
    """A lease as its holder sees it; of a resource, its operations are methods. Valid until the block ends."""

    __slots__ = ("_definition", "_number", "fence", "handle", "units")

    def __init__(self, granted: Granted, definition: Any = None, handle: Any = None) -> None:
        self.fence: Final = granted.fence
        self.units: Final = granted.units
        self.handle: Final = handle
        self._number = granted.number
        self._definition = definition

    def __getattr__(self, name: str) -> Any:
        operations: Mapping[str, Any] = {} if self._definition is None else self._definition.operations
        if name in operations:
            return partial(_invoke, self._number, operations[name])
        if self._definition is not None and name in self._definition.options.driver:
            raise BadRequest(
                f"{name} of {self._definition.name} is the driver's: it is called when the resource needs it"
            )
        raise AttributeError(f"a lease has no {name!r}; it has: {', '.join(['fence', 'handle', 'units', *operations])}")

    def __repr__(self) -> str:
        return f"<lease with fence {self.fence}>"


async def _invoke(number: int, operation: Any, /, *args: Any, **kwargs: Any) -> Any:
    return await _run(f"operation {operation.name}").invoke(number, operation, args, kwargs)


class LeaseBlock(Generic[T]):
    """A lease to be had: `async with` it in a workflow; from outside, `client.lease(...)`.

    It may be entered more than once, one block after the other or at the same time by several runs.
    """

    def __init__(self, request: LeaseRequest) -> None:
        self.request: Final = request

    async def __aenter__(self) -> T:
        """LeaseTimedOut, or ResourceFailed."""
        request = self.request
        run = _run("a lease")
        for number, address, alone in current_leases.get():
            if address == request.address and (alone or request.alone):
                raise BadRequest(
                    f"this block holds {address} already (call {number}) and would wait for itself for ever"
                )
        definition = run.resource(request.kind) if request.kind else None
        number, granting = run.request_lease(request)
        try:
            granted = await granting
            held = held_of(granted, definition)
        except BaseException:
            run.end_lease(number)  # it may have been granted in the same moment as the wait was given up
            raise
        current_leases.set((*current_leases.get(), (number, request.address, request.alone)))
        return held  # type: ignore[no-any-return]  # what it is typed as, it is in all that a holder may use

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        entered = current_leases.get()
        mine = next((each for each in reversed(entered) if each[1] == self.request.address), None)
        run = current_run.get()
        if mine is not None and run is not None:
            current_leases.set(tuple(each for each in entered if each is not mine))
            run.end_lease(mine[0])
        return False

    def __repr__(self) -> str:
        return f"<lease of {self.request.address}>"


class Lock(LeaseBlock[Held]):
    """One holder at a time. `lease` is the same with a priority, or with an end to the waiting."""

    def lease(self, *, priority: int = 0, wait: Duration | None = None) -> LeaseBlock[Held]:
        return LeaseBlock(_replaced(self.request, 1, priority, wait))


class Semaphore(LeaseBlock[Held]):
    """So many units for all holders together. `lease` takes more than one of them."""

    def lease(self, units: int = 1, *, priority: int = 0, wait: Duration | None = None) -> LeaseBlock[Held]:
        return LeaseBlock(_replaced(self.request, units, priority, wait))


def lock(name: str) -> Lock:
    """The lock of this name: the same for all workflows of the namespace, and for clients."""
    return Lock(lease_request(f"lock/{checked_id(name)}", "", 1, 0, None, alone=True))


def semaphore(name: str, capacity: int) -> Semaphore:
    """The semaphore of this name. All who use it should say the same `capacity`; the newest word counts."""
    if not 1 <= capacity <= MAX_UNITS:
        raise BadRequest(f"semaphore {name}: a capacity of {capacity}; give a number from 1 to {MAX_UNITS}")
    return Semaphore(lease_request(f"semaphore/{checked_id(name)}", "", 1, 0, None, capacity=capacity))


class LeasesBlock(Generic[T]):
    """Several leases: all of them, or none. They are taken in the order of their addresses, not as given."""

    def __init__(self, blocks: tuple[LeaseBlock[Any], ...]) -> None:
        addresses = [block.request.address for block in blocks]
        if len(set(addresses)) < len(addresses):
            twice = next(address for address in addresses if addresses.count(address) > 1)
            raise BadRequest(f"leases(): {twice} is there twice and would wait for itself; ask for more units instead")
        if len(blocks) > MAX_AT_ONCE:
            raise BadRequest(f"leases(): {len(blocks)} at once; at most {MAX_AT_ONCE} will do")
        self._blocks = blocks
        self._in_order = sorted(blocks, key=lambda block: block.request.address)

    async def __aenter__(self) -> T:
        entered: list[LeaseBlock[Any]] = []
        held: dict[int, Any] = {}
        try:
            for block in self._in_order:
                held[id(block)] = await block.__aenter__()
                entered.append(block)
        except BaseException as error:
            for block in reversed(entered):
                await block.__aexit__(type(error), error, None)
            raise
        return tuple(held[id(block)] for block in self._blocks)  # type: ignore[return-value]  # typed by `leases`

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        for block in reversed(self._in_order):
            await block.__aexit__(kind, error, traceback)
        return False


@overload
def leases(a: LeaseBlock[A], b: LeaseBlock[B], /) -> LeasesBlock[tuple[A, B]]: ...
@overload
def leases(a: LeaseBlock[A], b: LeaseBlock[B], c: LeaseBlock[C], /) -> LeasesBlock[tuple[A, B, C]]: ...
@overload
def leases(
    a: LeaseBlock[A], b: LeaseBlock[B], c: LeaseBlock[C], d: LeaseBlock[D], /
) -> LeasesBlock[tuple[A, B, C, D]]: ...
@overload
def leases(*blocks: LeaseBlock[A]) -> LeasesBlock[tuple[A, ...]]: ...
def leases(*blocks: LeaseBlock[Any]) -> LeasesBlock[Any]:
    """Several leases, locks or semaphores as one block, without deadlock between all who use this."""
    return LeasesBlock(blocks)


def lease_request(
    address: str,
    kind: str,
    units: int,
    priority: int,
    wait: Duration | None,
    *,
    exclusive: bool = False,
    alone: bool = False,
    capacity: int | None = None,
    spec: str = "",
    digest: str = "",
) -> LeaseRequest:
    """A request whose numbers have been checked; BadRequest says which is wrong."""
    if not 1 <= units <= MAX_UNITS:
        raise BadRequest(f"units={units}: give a number from 1 to {MAX_UNITS}")
    if capacity is not None and units > capacity:
        raise BadRequest(f"units={units}: {address} has only {capacity}")
    return LeaseRequest(
        address=address,
        kind=kind,
        units=units,
        exclusive=exclusive,
        alone=alone or exclusive or units == capacity,
        priority=checked_priority(priority),
        wait_s=None if wait is None else seconds(wait),
        spec=spec,
        digest=digest,
        capacity=capacity,
    )


def _replaced(request: LeaseRequest, units: int, priority: int, wait: Duration | None) -> LeaseRequest:
    given = lease_request(request.address, "", units, priority, wait, alone=request.alone, capacity=request.capacity)
    return msgspec.structs.replace(given, alone=given.alone or request.alone)


def held_of(granted: Granted, definition: Any) -> Any:
    """The lease as its holder sees it; `definition` is that of the resource's type, None for locks."""
    if definition is None:
        return Held(granted)
    return Held(granted, definition, definition.decode_handle(granted.handle))


def _run(what: str) -> RunContext:
    run = current_run.get()
    if run is None:
        raise BadRequest(f"{what} can be had like this only inside a workflow; from outside use client.lease")
    return run
