"""Jobs: tasks whose work happens in an outside system, which is told to begin, looked at, and told to stop.

    class EmrStep(Job[str, StepResult]):                       # its handle, and its result
        async def submit(self, idempotency_key: str, cluster: str, step: Step) -> str: ...
        async def poll(self, handle: str) -> Status[StepResult]:
            ...
            return pending() | done(result) | failed(error)    # one of them
        async def cancel(self, handle: str) -> None: ...       # must do no harm to a job that has ended
        async def find(self, idempotency_key: str) -> str | None: ...

    emr_step = app.job(every="10s", timeout="2h", retry=Retry(attempts=3))(EmrStep)

    result = await emr_step(cluster, step)                     # in a workflow, like a task

(`app.job` gives another object than the class; mypy does not see that of a decorator, hence the assignment.)

No thread, coroutine or row is held by a job that goes on: the node polls, and writes only what is news. The handle is
durable before the first poll, and a node that takes over goes on with it. Methods may be `async def` (on the work loop)
or `def` (in threads). All but `submit` may be left out: without `poll` the job is completed from outside, by the token
that `task_info().completion_token` is inside `submit`; without `cancel` a job that nobody awaits any more goes on; with
`find`, a submit whose outcome is not known (the node died, or it failed) is looked up before anything else.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NoReturn,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
)
from uuid import uuid4

import msgspec
from msgspec import Raw

from understudy.building import Deferred, checked_raises
from understudy.codec import CallCodec, ResultCodec, annotations_of, signature_of
from understudy.context import current_attempt, current_run
from understudy.definitions import TaskDefinition
from understudy.errors import BadDefinition, BadInput
from understudy.failures import encode_failure
from understudy.options import JobOptions, TaskOptions

if TYPE_CHECKING:
    from understudy.app import App

P = ParamSpec("P")
H = TypeVar("H")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

MAX_RATE: Final = 10_000.0


class Pending(msgspec.Struct, frozen=True):
    """The job goes on."""


class Done(msgspec.Struct, Generic[R], frozen=True):
    """The job has ended well."""

    result: R


class JobFailed(msgspec.Struct, frozen=True):
    """The job has ended, and not well. What is in the task's `raises` reaches the workflow as itself."""

    error: Exception


Status = Pending | Done[R] | JobFailed


def pending() -> Pending:
    return Pending()


def done(result: R) -> Done[R]:
    return Done(result)


def failed(error: Exception | str) -> JobFailed:
    return JobFailed(error if isinstance(error, Exception) else RuntimeError(error))


class Job(Generic[H, R]):
    """The base of job classes: handles are `H`, results are `R`. A class is made once, without arguments."""

    def poll(self, handle: H) -> Awaitable[Status[R]] | Status[R]:
        """How the job stands. An exception says nothing of the job; it is asked again."""
        raise NotImplementedError

    def poll_many(self, handles: list[H]) -> Awaitable[Sequence[Status[R]]] | Sequence[Status[R]]:
        """How these stand, in this order, in one call: at most a hundred."""
        raise NotImplementedError

    def cancel(self, handle: H) -> Awaitable[None] | None:
        """See to it that the job ends; returns when it will. Does nothing to one that has ended."""
        raise NotImplementedError

    def find(self, idempotency_key: str) -> Awaitable[H | None] | H | None:
        """The handle of the job that was submitted with this key, if there is one."""
        raise NotImplementedError

    def __job__(self) -> R:
        """For type checkers only."""
        raise NotImplementedError


class HasSubmit(Protocol[P, R_co]):
    """A job class, for type checkers: its result, and the arguments of its `submit` after the key."""

    def submit(self, idempotency_key: str, /, *args: P.args, **kwargs: P.kwargs) -> Any: ...
    def __job__(self) -> R_co: ...


class JobTask(Generic[P, R]):
    """A decorated job class; called like a task. `cls` is the class itself.

    Outside a workflow it is submitted and polled right there, and cancelled if the call is.
    """

    def __init__(self, app: App, cls: type[Any], definition: Deferred[JobDefinition], options: TaskOptions) -> None:
        self.app = app
        self.cls = cls
        self.options = options
        self._definition = definition
        self.__name__ = cls.__name__
        self.__doc__ = cls.__doc__

    @property
    def definition(self) -> TaskDefinition:
        """Of the whole, as workflows see it. Its parts are among the app's tasks."""
        return self._definition.get().whole

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        run = current_run.get()
        if run is not None:
            return cast("R", await run.call_task(self.definition, args, kwargs, self.options, None))
        return cast("R", await _here(self.cls(), self.options, args, kwargs))

    def __repr__(self) -> str:
        return f"<job {self.__name__}>"


class JobDefinition(msgspec.Struct, frozen=True):
    """`parts` are the tasks that the node runs: the class's methods, by the name of the job and theirs."""

    whole: TaskDefinition
    parts: Mapping[str, TaskDefinition]


class JobDecorator(Protocol):
    def __call__(self, cls: type[HasSubmit[P, R]], /) -> JobTask[P, R]: ...


async def _here(job: Any, options: TaskOptions, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    how = options.job or JobOptions()
    if not how.poll:
        raise BadInput(f"{type(job).__name__} is completed from outside, which needs a workflow to call it")
    handle = await _awaited(job.submit(str(uuid4()), *args, **kwargs))
    try:
        while True:
            status: Pending | Done[Any] | JobFailed = await _awaited(job.poll(handle))
            match status:
                case Done():
                    return status.result
                case JobFailed(error=error):
                    raise error
                case _:
                    await asyncio.sleep(how.every_s)
    except asyncio.CancelledError:
        if how.cancel:
            await _awaited(job.cancel(handle))
        raise


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


# --- what the runtime gets


def job_options(cls: type[Any], **fields: Any) -> JobOptions:
    """`fields`, and which methods the class has."""
    return JobOptions(
        poll=_has(cls, "poll") or _has(cls, "poll_many"),
        cancel=_has(cls, "cancel"),
        find=_has(cls, "find"),
        **fields,
    )


def job_definition(
    name: str,
    cls: type[Any],
    options: TaskOptions,
    raises: Sequence[type[Exception]],
    rate: tuple[str, float] | None,
    names_in_scope: Mapping[str, Any],
) -> JobDefinition:
    handle, result = _types(name, cls)
    instance = cache(cls)
    listed = checked_raises(name, raises)
    results = ResultCodec(_typed(f"{name}", {}, result), name=name)
    parts: dict[str, TaskDefinition] = {}

    def part(method: str, call: Callable[..., Any], returns: ResultCodec, **more: Any) -> TaskDefinition:
        task = f"{name}.{method}"
        fn = _caller(instance, getattr(cls, method), call)
        kind = "async" if inspect.iscoroutinefunction(getattr(cls, method)) else "thread"
        codec = CallCodec(call, name=task)
        parts[task] = TaskDefinition(task, fn, kind, TaskOptions(), codec, returns, listed, **more)  # type: ignore[arg-type]
        return parts[task]

    submit = _submit_signature(name, cls, names_in_scope)
    part("submit", submit, ResultCodec(_typed("submit", {}, handle), name=f"{name}.submit"))
    statuses = _StatusCodec(results, listed, options)
    batch = None
    if _has(cls, "poll_many"):
        lists = _StatusesCodec(results, listed, options)
        batch = part("poll_many", _typed("poll_many", {"handles": list[handle]}, Any), lists, rate=rate)  # type: ignore[valid-type]
    if _has(cls, "poll") or batch is not None:
        if not _has(cls, "poll"):
            cls.poll = _poll_one(cls)
        part("poll", _typed("poll", {"handle": handle}, Any), statuses, rate=rate, batch=batch)
    if _has(cls, "cancel"):
        part("cancel", _typed("cancel", {"handle": handle}, Any), _NothingCodec(_typed("cancel", {}, Any)))
    if _has(cls, "find"):
        found = ResultCodec(_typed("find", {}, handle | None), name=f"{name}.find")
        part("find", _typed("find", {"idempotency_key": str}, Any), found)
    whole = TaskDefinition(name, submit, "async", options, CallCodec(submit, name=name), results, listed)
    return JobDefinition(whole, parts)


def _types(name: str, cls: type[Any]) -> tuple[Any, Any]:
    if not _has(cls, "submit"):
        raise BadDefinition(f"job {name} has no submit(self, idempotency_key, ...)")
    for base in cls.__mro__:
        for generic in base.__dict__.get("__orig_bases__", ()):
            if get_origin(generic) is Job:
                handle, result = get_args(generic)
                return handle, result
    raise BadDefinition(f"job {name} must derive from Job[Handle, Result], with both types given")


def _has(cls: type[Any], method: str) -> bool:
    return getattr(cls, method, None) is not getattr(Job, method, None)


def _submit_signature(name: str, cls: type[Any], names_in_scope: Mapping[str, Any]) -> Callable[..., Any]:
    """A function with the parameters of `submit` that are the caller's."""
    parameters = list(signature_of(cls.submit).parameters.values())
    if len(parameters) < 2 or parameters[1].name != "idempotency_key":
        raise BadDefinition(f"job {name}: write submit(self, idempotency_key: str, ...)")
    hints = annotations_of(cls.submit, f"{name}.submit()", names_in_scope)
    return _typed(
        "submit", {p.name: hints.get(p.name, Any) for p in parameters[2:]}, Any, inspect.Signature(parameters[2:])
    )


def _typed(
    name: str, parameters: Mapping[str, Any], returns: Any, signature: inspect.Signature | None = None
) -> Callable[..., Any]:
    """A function of no other use than to have this signature."""

    def never(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(name)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    made = signature or inspect.Signature([inspect.Parameter(parameter, kind) for parameter in parameters])
    never.__signature__ = made  # type: ignore[attr-defined]
    never.__annotations__ = {**parameters, "return": returns}
    never.__qualname__ = name
    return never


def _caller(instance: Callable[[], Any], method: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """The method as the node calls it; a submit gets its idempotency key from the attempt."""
    if method.__name__ != "submit":
        if inspect.iscoroutinefunction(method):

            async def fn(*args: Any, **kwargs: Any) -> Any:
                return await method(instance(), *args, **kwargs)

            return fn
        return lambda *args, **kwargs: method(instance(), *args, **kwargs)
    if inspect.iscoroutinefunction(method):

        async def submit(*args: Any, **kwargs: Any) -> Any:
            return await method(instance(), _key(), *args, **kwargs)

        return submit
    return lambda *args, **kwargs: method(instance(), _key(), *args, **kwargs)


def _key() -> str:
    attempt = current_attempt.get()
    assert attempt is not None
    return attempt.info.key


def _poll_one(cls: type[Any]) -> Callable[..., Any]:
    """`poll` of a class that has only `poll_many`."""
    if inspect.iscoroutinefunction(cls.poll_many):

        async def poll(self: Any, handle: Any) -> Any:
            return (await self.poll_many([handle]))[0]

        return poll

    def poll_one(self: Any, handle: Any) -> Any:
        return self.poll_many([handle])[0]

    return poll_one


# --- what a poll says, as JSON


class _StatusCodec(ResultCodec):
    """`{"state": "pending" | "done" | "failed", "result"?, "failure"?}`"""

    def __init__(self, results: ResultCodec, raises: Sequence[type[Exception]], options: TaskOptions) -> None:
        self._results = results
        self._raises = raises
        self._final = options.retry.final

    def encode(self, value: Any) -> bytes:
        said: Pending | Done[Any] | JobFailed | None = value
        match said:
            case Pending():
                return b'{"state":"pending"}'
            case Done():
                return b'{"state":"done","result":' + self._results.encode(said.result) + b"}"
            case JobFailed(error=error):
                fields = encode_failure(error, self._raises, self._final)
                failure = {name: given for name, given in fields._asdict().items() if given is not None}
                return b'{"state":"failed","failure":' + msgspec.json.encode(failure) + b"}"
            case _:
                raise BadInput(f"a poll must return pending(), done(result) or failed(error), not {value!r}")

    def decode(self, data: bytes | Raw) -> Any:
        return msgspec.json.decode(data)


class _StatusesCodec(_StatusCodec):
    def encode(self, value: Any) -> bytes:
        return b"[" + b",".join(super(_StatusesCodec, self).encode(each) for each in value) + b"]"


class _NothingCodec(ResultCodec):
    """Whatever a `cancel` returns is of no interest."""

    def encode(self, value: Any) -> bytes:
        return b"null"
