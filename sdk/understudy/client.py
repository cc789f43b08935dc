"""`Client`: starting runs, talking to runs and actors, and looking at them, from outside.

The client owns the types: it encodes what it sends by the workflow's or handler's codec, so that input which
does not fit is refused before anything is durable, and decodes what comes back. It holds no other state. Workflows of
which it has no app can be started by name; then the node checks the input, and results are plain JSON types.

    async with understudy.client.connect("127.0.0.1:7607", app) as client:
        receipt = await client.run(checkout, "o-1", 990, id="o-1")
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, TypeVarTuple, cast, overload

import msgspec

from understudy import values
from understudy.actors import Target, address_of, checked_id, tellable
from understudy.app import App
from understudy.building import handler_definition
from understudy.codec import CallCodec
from understudy.definitions import WorkflowDefinition
from understudy.door import (
    Door,
    HistoryTurn,
    IfExists,
    JobSummary,
    Outcome,
    RetryPlan,
    RunDescription,
    RunSummary,
    checked_if_exists,
)
from understudy.errors import RunHeld, UnknownName
from understudy.failures import clean_text, decode_ask_failure, decode_run_failure, encode_failure, run_ended
from understudy.holding import holding
from understudy.leases import LeaseBlock
from understudy.options import Duration, seconds
from understudy.resource_door import resource_door
from understudy.schedules import Schedules
from understudy.workflows import HasRun, HasRunOf, Workflow, workflow_of

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_HISTORY_TURNS: Final = 1_000
MAX_LISTED: Final = 1_000
PAGE: Final = 500


class RunHandle(Generic[R]):
    """One run, known by its id. Making a handle asks nobody; the run need not exist."""

    def __init__(self, client: Client, run_id: str, workflow: WorkflowDefinition | None = None) -> None:
        self.run_id: Final = checked_id(run_id)
        self._client = client
        self._door = client.door
        self._workflow = workflow

    async def result(self) -> R:
        """What the run returns, once it has ended.

        Raises what the run raised if its class is in the workflow's `raises=`, else RunFailed; RunCancelled,
        RunTerminated, RunTimedOut or RunHeld if that is how it stands.
        """
        outcome = await self._door.wait(self.run_id)
        return cast("R", self._client.value_of(outcome, self._workflow))

    @overload
    async def ask(
        self, handler: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def ask(self, handler: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def ask(self, handler: str, *args: Any, **kwargs: Any) -> Any: ...
    async def ask(self, handler: Any, *args: Any, **kwargs: Any) -> Any:
        """What the handler returns; AskFailed if it raises. A name will do; see `Client.ask`."""
        return await self._client.ask(self.run_id, handler, *args, **kwargs)

    @overload
    async def tell(self, handler: Callable[Concatenate[Any, P], Any], *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def tell(self, handler: str, *args: Any, **kwargs: Any) -> None: ...
    async def tell(self, handler: Any, *args: Any, **kwargs: Any) -> None:
        """Returns when the message is durable, not when it has been handled."""
        await self._client.tell(self.run_id, handler, *args, **kwargs)

    async def cancel(self, reason: str = "") -> None:
        """Ask the run to end: a CancelledError arrives in its code, which may clean up."""
        await self._door.cancel(self.run_id, clean_text(reason))

    async def terminate(self, reason: str = "") -> None:
        """End the run at once, without clean-up."""
        await self._door.terminate(self.run_id, clean_text(reason))

    async def jobs(self) -> list[JobSummary]:
        """Those of its jobs that the outside system has, or may have: at most 1,000."""
        return await self._client.jobs(self.run_id, limit=MAX_LISTED)

    async def settle_job(self, call: int, handle: object = None) -> None:
        """See `Client.settle_job`."""
        await self._client.settle_job(self.run_id, call, handle)

    async def release(self) -> None:
        """Let a held run go on, once what held it has been dealt with. BadRequest if it is not held."""
        await self._door.release(self.run_id)

    async def retry(
        self,
        *args: Any,
        redo: Sequence[str] = (),
        keep: Sequence[str] = (),
        dry_run: bool = False,
        **kwargs: Any,
    ) -> RetryPlan:
        """Start the next execution of an ended run, with new input if any is given.

        A finished task is reused if its name, arguments, occurrence and version are the same, or it is named
        in `keep`, and it is not named in `redo`. With `dry_run` nothing happens: look at the plan.
        """
        encoded, digest = None, ""
        if args or kwargs:
            encoded, digest = (await self._call_codec()).encode(args, kwargs)
        return await self._door.retry(self.run_id, encoded, digest, redo=redo, keep=keep, dry_run=dry_run)

    async def describe(self) -> RunDescription:
        """How the run stands now."""
        return await self._door.describe(self.run_id)

    async def history(self, after: int = 0, limit: int = MAX_HISTORY_TURNS) -> list[HistoryTurn]:
        """The run's turns after turn `after`, in order, at most `limit` (and at most 1,000)."""
        return await self._door.history(self.run_id, after, min(limit, MAX_HISTORY_TURNS))

    async def _call_codec(self) -> CallCodec:
        workflow = self._workflow or self._client.workflow((await self.describe()).workflow)
        return workflow.call

    def __repr__(self) -> str:
        return f"<run {self.run_id}>"


class Client:
    """Talks to whoever runs the runs of these apps, through a `Door`."""

    def __init__(self, door: Door, apps: Sequence[App]) -> None:
        self.door: Final = door
        self._workflows = {name: workflow for app in apps for name, workflow in app.workflows.items()}
        self._resources = {name: resource for app in apps for name, resource in app.resources.items()}

    @overload
    async def start(self, workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]: ...
    @overload
    async def start(
        self,
        workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
        *args: *Ts,
        id: str | None = None,
        if_exists: IfExists = "return",
    ) -> RunHandle[R]: ...
    @overload
    async def start(self, workflow: type[HasRun[P, R]], *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]: ...
    @overload
    async def start(
        self,
        workflow: type[HasRunOf[R, *Ts]],
        *args: *Ts,
        id: str | None = None,
        if_exists: IfExists = "return",
    ) -> RunHandle[R]: ...
    @overload
    async def start(
        self, workflow: str, *args: Any, id: str | None = None, if_exists: IfExists = "return", **kwargs: Any
    ) -> RunHandle[Any]: ...
    async def start(self, workflow: Any, *args: object, **kwargs: Any) -> RunHandle[Any]:
        """Start a run; it is durable when this returns.

        An `id` that is taken gives the run that has it, if that was started with the same workflow and arguments;
        else AlreadyExists, which says what differs. `if_exists="error"` takes none, `if_exists="join"` takes whatever
        run has the id. BadInput if the arguments do not fit. A parameter that is called `id` or `if_exists` is given
        by position.
        """
        name, definition, encoded, digest, run_id, if_exists = self._prepared(workflow, args, kwargs)
        started = await self.door.start(name, encoded, digest, run_id=run_id, if_exists=if_exists)
        return RunHandle(self, started.run_id, definition)

    @overload
    async def run(self, workflow: Workflow[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(
        self,
        workflow: Callable[[*Ts], Coroutine[Any, Any, R]],
        *args: *Ts,
        id: str | None = None,
        if_exists: IfExists = "return",
    ) -> R: ...
    @overload
    async def run(self, workflow: type[HasRun[P, R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(
        self,
        workflow: type[HasRunOf[R, *Ts]],
        *args: *Ts,
        id: str | None = None,
        if_exists: IfExists = "return",
    ) -> R: ...
    @overload
    async def run(
        self, workflow: str, *args: Any, id: str | None = None, if_exists: IfExists = "return", **kwargs: Any
    ) -> Any: ...
    async def run(self, workflow: Any, *args: object, **kwargs: Any) -> Any:
        """`start`, and the result."""
        name, definition, encoded, digest, run_id, if_exists = self._prepared(workflow, args, kwargs)
        outcome = await self.door.run(name, encoded, digest, run_id=run_id, if_exists=if_exists)
        return self.value_of(outcome, definition)

    @property
    def schedules(self) -> Schedules:
        """The schedules of these apps' workflows."""
        return Schedules(self.door)

    def lease(self, block: LeaseBlock[T], *, ttl: Duration = "30s") -> AbstractAsyncContextManager[T]:
        """Hold a lease from outside: `async with client.lease(lock("ledger")) as held`.

        It is renewed in the background; a program that is paused for longer than `ttl` loses it, whoever waits gets it,
        and what runs in the block is cancelled: LeaseLost. Give `held.fence` to the outside system, if that can refuse
        a smaller one.
        """
        return holding(resource_door(self.door), block, seconds(ttl), self._resources)

    @overload
    def handle(self, run_id: str) -> RunHandle[Any]: ...
    @overload
    def handle(self, run_id: str, workflow: Callable[..., Coroutine[Any, Any, R]]) -> RunHandle[R]: ...
    @overload
    def handle(self, run_id: str, workflow: type[HasRun[..., R]]) -> RunHandle[R]: ...
    def handle(self, run_id: str, workflow: Any = None) -> RunHandle[Any]:
        """The run of this id; `workflow` gives its result a type."""
        return RunHandle(self, run_id, None if workflow is None else workflow_of(workflow)[1])

    @overload
    async def ask(
        self,
        target: Target,
        handler: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...
    @overload
    async def ask(
        self, target: Target, handler: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def ask(self, target: Target, handler: str, *args: Any, **kwargs: Any) -> Any: ...
    async def ask(self, target: Target, handler: Any, *args: Any, **kwargs: Any) -> Any:
        """What the run's or actor's handler returns; AskFailed if it raises.

        A handler whose class is not at hand may be given by its name: then the node checks the arguments, and the
        result is of plain JSON types.
        """
        if isinstance(handler, str):
            return await self._ask_by_name(target, handler, args, kwargs)
        definition = handler_definition(handler)
        encoded, _ = definition.call.encode(args, kwargs)
        reply = await self.door.ask(address_of(target), definition.name, encoded, readonly=definition.readonly)
        if reply.failure is not None:
            raise decode_ask_failure(reply.failure)
        return definition.result.decode(reply.result or b"null")

    async def _ask_by_name(self, target: Target, handler: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        encoded = _by_name(handler, args, kwargs)
        reply = await self.door.ask(address_of(target), handler, encoded, readonly=False, by_name=True)
        if reply.failure is not None:
            raise decode_ask_failure(reply.failure)
        return msgspec.json.decode(reply.result or b"null")

    @overload
    async def tell(
        self, target: Target, handler: Callable[Concatenate[Any, P], Any], *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    async def tell(self, target: Target, handler: str, *args: Any, **kwargs: Any) -> None: ...
    async def tell(self, target: Target, handler: Any, *args: Any, **kwargs: Any) -> None:
        """Returns when the message is durable, not when it has been handled. A name will do, as in `ask`."""
        if isinstance(handler, str):
            await self.door.tell(address_of(target), handler, _by_name(handler, args, kwargs), by_name=True)
            return
        definition = tellable(handler)
        encoded, _ = definition.call.encode(args, kwargs)
        await self.door.tell(address_of(target), definition.name, encoded)

    async def complete(self, token: str, result: object = None) -> None:
        """Say that a job has ended well; `token` is what `task_info().completion_token` was inside its `submit`.

        BadRequest if that attempt of the job does not wait for it any more. The result has to fit the job's, which
        shows when the run goes on.
        """
        await self.door.complete_job(token, values.encode(result, "the result given to complete()"), None)

    async def fail(self, token: str, error: Exception | str) -> None:
        """Say that a job has failed. It is tried again if its policy says so."""
        raised = error if isinstance(error, Exception) else RuntimeError(error)
        await self.door.complete_job(token, None, encode_failure(raised, (type(raised),)))

    async def jobs(self, of: Target | None = None, *, status: str = "", limit: int = 100) -> list[JobSummary]:
        """The jobs that outside systems have, or may have: of one run or actor, or of all; at most `limit`.

        Runs before actors, those of the newest first. Of all, the node looks through its list of runs and actors.
        """
        address = "" if of is None else address_of(of)
        return await self.door.list_jobs(address, status=status, limit=max(limit, 0))

    async def settle_job(self, of: Target, call: int, handle: object = None) -> None:
        """Say of an uncertain job what you found in the outside system: its handle, or None if it is not there."""
        told = None if handle is None else values.encode(handle, "the handle given to settle_job()")
        await self.door.settle_job(address_of(of), call, told)

    async def list(self, *, status: str = "", workflow: str = "", limit: int = 100) -> list[RunSummary]:
        """Runs, newest first, at most `limit`; an empty filter matches all. For those of long lists see `iter_runs`."""
        return await self.door.list_runs(status=status, workflow=workflow, limit=max(limit, 0))

    async def iter_runs(self, *, status: str = "", workflow: str = "") -> AsyncGenerator[RunSummary]:
        """All runs, newest first: `async for run in client.iter_runs()`. They are read in pages, as one goes on.

        A run that begins meanwhile is not among them; one that ends meanwhile may be shown as it was or as it is.
        """
        async for page in self.door.run_pages(status=status, workflow=workflow, size=PAGE):
            for run in page:
                yield run

    def workflow(self, name: str) -> WorkflowDefinition:
        """The workflow of that name in this client's apps."""
        if name not in self._workflows:
            raise UnknownName(f"no workflow {name} in this client's apps; they have: {_names(self._workflows)}")
        return self._workflows[name]

    def value_of(self, outcome: Outcome, workflow: WorkflowDefinition | None = None) -> Any:
        """The result in `outcome`, or the exception that says how the run ended."""
        if workflow is None or outcome.workflow not in ("", workflow.name):  # it may have been joined
            workflow = self._workflows.get(outcome.workflow)
        match outcome.status:
            case "succeeded" if workflow is not None:
                return workflow.result.decode(outcome.result or b"null")
            case "succeeded":
                return msgspec.json.decode(outcome.result or b"null")
            case "held":
                raise RunHeld(outcome.run_id, outcome.held_why, outcome.reason)
            case "failed" if outcome.failure is not None:
                raise decode_run_failure(outcome.run_id, outcome.failure, workflow.raises if workflow else ())
            case status:
                raise run_ended(outcome.run_id, status, outcome.reason)

    def _prepared(
        self, workflow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, WorkflowDefinition | None, bytes, str, str | None, IfExists]:
        """The workflow, the encoded input with its digest, the id and what to do if that is taken."""
        run_id, if_exists = kwargs.pop("id", None), checked_if_exists(kwargs.pop("if_exists", "return"))
        if run_id is not None:
            run_id = checked_id(run_id)
        definition = self._workflows.get(workflow) if isinstance(workflow, str) else workflow_of(workflow)[1]
        if definition is None:
            # Only the node knows the signature, and so the one form that digests are made of.
            return workflow, None, _by_name(workflow, args, kwargs), "", run_id, if_exists
        encoded, digest = definition.call.encode(args, kwargs)
        return definition.name, definition, encoded, digest, run_id, if_exists


class _Remote(Protocol):
    def open_remote(
        self,
        target: str,
        *,
        namespace: str,
        metadata: Sequence[tuple[str, str | bytes]],
        credentials: Any,
        patience_s: float,
        wait_s: float,
        retry_overloaded: bool,
    ) -> AbstractAsyncContextManager[Door]: ...


@asynccontextmanager
async def connect(
    target: str,
    app: App | Sequence[App] = (),
    *,
    namespace: str = "",
    token: str | None = None,
    tls: Any = None,
    patience: Duration = "30s",
    retry_overloaded: bool = True,
) -> AsyncGenerator[Client]:
    """A client of the node that listens at `target`, "host:port", for as long as the block lasts. Of a cluster, give
    several nodes, with commas between them: the client goes on at the next one when its node goes.

    `app` gives workflows their types. An empty `namespace` is the node's own. `tls` is a `grpc.ChannelCredentials`;
    None is plain text, for loopback. When the connection breaks it is made again, and calls are repeated without being
    carried out twice. `patience` is how long they wait for that, and how long a node is waited for at the beginning:
    Unreachable if none answers for that long. NotAllowed, at once, if the node wants another `token`.

    A node that is too busy refuses new work. Unless `retry_overloaded` is off, calls are then tried again, after the
    delay that the node told and at growing intervals, for as long as `patience` lasts; only then they raise Overloaded.
    """
    apps = (app,) if isinstance(app, App) else tuple(app)
    metadata = [] if token is None else [("authorization", f"Bearer {token}")]
    # Imported by name, and only here: what users import must not load grpc.
    remote = cast("_Remote", import_module("understudy.remote.door"))
    async with remote.open_remote(
        target,
        namespace=namespace,
        metadata=metadata,
        credentials=tls,
        patience_s=seconds(patience),
        wait_s=seconds(patience),
        retry_overloaded=retry_overloaded,
    ) as door:
        yield Client(door, apps)


def _anything(*args: Any, **kwargs: Any) -> None:
    """The signature of what nothing is known of."""


def _by_name(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The encoded call of what nothing but the name is known of. UnknownName if that cannot be one."""
    if not name.isprintable():
        raise UnknownName(f"nothing can be called {name[:40]!a}")
    return CallCodec(_anything, name=name).encode_unproven(args, kwargs)[0]


def _names(names: dict[str, Any]) -> str:
    return ", ".join(sorted(names)) or "none"
