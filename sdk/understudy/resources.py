"""Resources: shared things that are managed apart from the work that uses them, and leases on them.

    @app.resource(capacity=8, idle_timeout="10m", check_every="15s")
    class EmrCluster(Resource[ClusterSpec, ClusterId]):
        async def create(self, spec: ClusterSpec, fence: int) -> ClusterId: ...
        async def find(self, spec: ClusterSpec, fence: int) -> ClusterId | None: ...
        async def check(self, handle: ClusterId) -> Health: ...
        async def destroy(self, handle: ClusterId, fence: int) -> None: ...

        @operation(rate="20/s", concurrency=4)
        async def add_step(self, handle: ClusterId, step: Step, fence: int = 0) -> StepId: ...

    async with EmrCluster.at("analytics", spec).lease(units=2, wait="10m") as emr:
        await emr.add_step(step)          # through the resource: under its rate, its concurrency and a live lease

The class is the driver: how to make, find, look at and end one. One instance of it is made for each node, without
arguments. What a block gets is not the driver but the resource as its holder sees it: `fence`, `handle`, `units` and
the operations, which are called without handle and fence. A class without `create` is of what exists already (a
database, a printer): its spec is its handle.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from types import MethodType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import msgspec

from understudy.actors import checked_id
from understudy.errors import BadDefinition
from understudy.leases import LeaseBlock, lease_request
from understudy.options import Duration, Rate, per_second, seconds
from understudy.resourcing import OperationOptions

Spec = TypeVar("Spec")
Handle = TypeVar("Handle")
P = ParamSpec("P")
R = TypeVar("R")
Res = TypeVar("Res", bound="Resource[Any, Any]")

RESOURCE_MARK: Final = "__understudy_resource__"
RESOURCE_PREFIX: Final = "resource."


class ResourceRef(msgspec.Struct, Generic[Res], frozen=True, omit_defaults=True):
    """The address of a resource. A plain value: it may be an argument or a result. `spec` is JSON."""

    kind: str
    id: str
    spec: str = ""
    digest: str = ""

    @property
    def address(self) -> str:
        """`kind/id` within the namespace."""
        return f"{RESOURCE_PREFIX}{self.kind}/{checked_id(self.id)}"

    def lease(self, units: int = 1, *, priority: int = 0, wait: Duration | None = None) -> LeaseBlock[Res]:
        """`async with` it to hold so many of the resource's units for as long as the block lasts.

        It waits its turn, first come first served, for at most `wait` (else LeaseTimedOut); a point of `priority`
        (-100 to 100) is worth ten seconds of waiting. ResourceFailed if the resource cannot be had.
        """
        return LeaseBlock(self._request(units, priority, wait, exclusive=False))

    def exclusive(self, *, priority: int = 0, wait: Duration | None = None) -> LeaseBlock[Res]:
        """`async with` it to be the only holder: it waits until nobody else has a lease, and nobody gets one then."""
        return LeaseBlock(self._request(1, priority, wait, exclusive=True))

    def _request(self, units: int, priority: int, wait: Duration | None, *, exclusive: bool) -> Any:
        return lease_request(
            self.address,
            self.kind,
            units,
            priority,
            wait,
            exclusive=exclusive,
            spec=self.spec,
            digest=self.digest,
        )


class Resource(Generic[Spec, Handle]):
    """The base of resource types; see the module. Methods, `def` or `async def`, that a type has or has not:

    * `create(self, spec, fence) -> Handle`: make one, with the fence in its name or in a tag. Without it the type is
      static.
    * `destroy(self, handle, fence) -> None`: end it; to be done again, it must not mind that it is gone.
    * `find(self, spec, fence) -> Handle | None`: what an earlier `create` with this fence made, by that name or tag.
    * `check(self, handle) -> Health`: "starting", "healthy", "unhealthy" or "gone".
    * `list(self, spec) -> list[Handle]`: all there are under this spec, whatever their fence.
    * `scale(self, handle, units) -> None`: give it another capacity.

    What the optional ones buy, when things go wrong:

    * `find` answers for a create whose reply was lost: the node died, or the call timed out. Without it the resource is
      then `uncertain`, and nobody gets a lease of it, until a person has looked (`understudy resources settle`).
    * `check` tells whether it is fit for use before the first lease, replaces one that has fallen ill, and says what
      became of a destroy whose reply was lost. Without it one that died on its own is leased out all the same, and
      such a destroy is done again.
    * `list` finds what comes into being too late. A node that is paused in the middle of `create` (a virtual machine
      that is moved, a laptop that sleeps) may go on with the call when another node has long asked `find`, heard "no",
      and made another one; few outside systems can refuse that by its fence. All that is listed and is not the one in
      use is ended: whenever the resource has become ready or has ended, for a `create_timeout` after a create that
      failed, and every `sweep_every`, if that is set. Without `list` such a late one stays as an orphan: it costs what
      it costs, and understudy does not know of it.

    `find` and `list` are given the spec and not the id, so two resources with the same spec would end one another's:
    put a name in the spec.
    """

    fence: int
    """Of the lease; grows with each grant. Only what a block gets has it, as with `handle` and `units`."""
    handle: Handle
    units: int

    @classmethod
    def at(cls, id: str, spec: Spec | None = None) -> ResourceRef[Self]:
        """The resource of this type known as `id`, which is made when somebody first wants it, like `spec`.

        BadInput if the spec does not fit.
        """
        mark = vars(cls).get(RESOURCE_MARK)
        if mark is None:
            raise BadDefinition(f"{cls.__qualname__} is not decorated with @app.resource")
        definition = mark.get()
        data, digest = definition.encode_spec(spec)
        return ResourceRef(definition.name, checked_id(id), data.decode(), digest)


class Operation(Generic[P, R]):
    """What `@operation` makes of a method. `fn` is the function itself, `self`, handle and fence included."""

    def __init__(
        self, fn: Callable[..., Any], options: OperationOptions, raises: Sequence[type[Exception]] = ()
    ) -> None:
        self.fn: Final = fn
        self.options: Final = options
        self.raises: Final = tuple(raises)
        self.__name__ = fn.__name__
        self.__qualname__ = fn.__qualname__
        self.__doc__ = fn.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Operation[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: Any, owner: type[Any], /) -> Any:
        if instance is None:
            return self
        bound: Any = MethodType(self.fn, instance)
        return bound

    def __repr__(self) -> str:
        return f"<operation {self.__qualname__}>"


class OperationDecorator(Protocol):
    @overload
    def __call__(self, method: Callable[Concatenate[Any, Any, P], Coroutine[Any, Any, R]], /) -> Operation[P, R]: ...
    @overload
    def __call__(self, method: Callable[Concatenate[Any, Any, P], R], /) -> Operation[P, R]: ...


@overload
def operation(method: Callable[Concatenate[Any, Any, P], Coroutine[Any, Any, R]], /) -> Operation[P, R]: ...
@overload
def operation(method: Callable[Concatenate[Any, Any, P], R], /) -> Operation[P, R]: ...
@overload
def operation(
    *,
    rate: Rate | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
    timeout: Duration | None = None,
    idempotent: bool = False,
    raises: Sequence[type[Exception]] = (),
) -> OperationDecorator: ...
def operation(
    method: Any = None,
    /,
    *,
    rate: Rate | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
    timeout: Duration | None = None,
    idempotent: bool = False,
    raises: Sequence[type[Exception]] = (),
) -> Any:
    """Make a method of a resource type an operation: done through the resource, for whoever holds a live lease.

    Its first parameter is the handle, and one is called `fence`; give that a default (`fence: int = 0`), because
    callers leave both out. `rate` ("10/5s", "100/m", or a number a second) is how many are started, evenly spread, for
    all holders together: in no window of that length are there more than that number and `burst`, which is how many may
    be started at once when none was for a while (1; of fast rates what comes in 50 ms). At most `concurrency` are under
    way at once; more wait their turn. Those that are done again because their node was lost count, and do not wait.
    `timeout` bounds one from start to finish. One whose node is lost is done again if
    it is `idempotent`; else OperationUncertain. Error classes in `raises` reach the caller as themselves, others as
    TaskFailed.
    """
    if concurrency is not None and concurrency < 1:
        raise BadDefinition(f"concurrency={concurrency}: give 1 or more")
    if burst is not None and (burst < 1 or rate is None):
        raise BadDefinition(f"burst={burst}: give 1 or more, and the rate that it belongs to")
    options = OperationOptions(
        None if rate is None else per_second(rate),
        concurrency,
        None if timeout is None else seconds(timeout),
        idempotent,
        burst or 0,
    )

    def decorate(method: Any) -> Operation[..., Any]:
        if not inspect.isfunction(method):
            raise BadDefinition(f"{method!r} is not a method; @operation goes next to `def`")
        return Operation(method, options, raises)

    return decorate if method is None else decorate(method)
