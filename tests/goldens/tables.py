"""What is known of each method: asked of the code that decides, not read from its tables, so that these may change.

This is the one place that says where these decisions are.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tests.goldens.protocol import filled, methods, path_of
from understudy import errors
from understudy.codec import CallCodec
from understudy.errors import Overloaded
from understudy.remote.errors import of_error
from understudy_proto.v1 import values_pb2
from understudy_runtime.core.completion import completed_attempt, completion_token
from understudy_runtime.core.keys import actor_key, run_key, schedule_key, shard_of
from understudy_runtime.core.messages import Token
from understudy_runtime.rpc import access, limits, routing, sessions, wire
from understudy_runtime.rpc import errors as refusals
from understudy_runtime.rpc.entrance import Entrance
from understudy_runtime.rpc.methods import FULL_NAMES, RESPONSES, snake

OTHERS: Final = (
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/understudy.v1.RunService/NoSuchMethod",
    "/nothing",
)
ATTEMPT: Final = Token("default/run/r", 1, 2, 3, 0)
KEYS: Final = (
    run_key("default", "r"),
    run_key("ns", "a/b"),
    run_key("default", "é\ud800"),
    actor_key("default", "Stock", "tea"),
    schedule_key("default", "s"),
    "default/resource.Cluster/analytics",
    "default/lock/l",
    "default/semaphore/s",
)


def tables() -> dict[str, dict[str, Any]]:
    """Rows by table and name."""
    return {
        "methods": {path_of(method): _of_method(method) for method in methods()},
        "other methods": {path: _roles(path) for path in OTHERS},
        "open": dict.fromkeys(sorted(access.OPEN), "to anybody"),
        "sessions": dict(sorted(sessions.METHODS.items())),
        "errors": {name: _of_error(error) for name, error in _errors().items()},
        "reasons": {f"{code} {reason}": _read_as(code, reason) for code, reason in _reasons()},
        "limits": _limits(),
        "shards": {key.encode(errors="backslashreplace").decode(): _shards(key) for key in KEYS},
        "tokens": _tokens(),
        "digests": {name: _encoded(*call) for name, call in CALLS.items()},
    }


def _of_method(method: MethodDescriptor) -> dict[str, Any]:
    path, name = path_of(method), snake(method.name)
    stream = [method.client_streaming, method.server_streaming]
    return {"roles": _roles(path), "request": method.input_type.full_name, "streams": stream} | (
        _of_call(name, method) if FULL_NAMES.get(name) == path else {}
    )


def _of_call(name: str, method: MethodDescriptor) -> dict[str, Any]:
    request = filled(method.input_type)
    _make_valid(name, request)
    return {
        "call": name,
        "response": RESPONSES[name].full_name,
        "key": routing.KEY_OF[name](request) if name in routing.KEY_OF else None,
        "anywhere": name in routing.ANYWHERE,
        "waits": name in routing.WAITS,
        "patience_s": _patience(name, method),
        "new work": _is_new_work(filled(method.input_type)),
        "repeated by": _repeated_by(filled(method.input_type)),
        "made ready": _made_ready(name, method),
    }


def _make_valid(name: str, request: Any) -> None:
    """What is checked where the key is made."""
    if name == "complete_job":
        request.token = completion_token(ATTEMPT)


def _roles(path: str) -> list[str]:
    """Who may call it: whoever has one of these roles."""
    return [role for role, caller in _callers().items() if caller.may(path)]


@cache
def _callers() -> dict[str, access.Caller]:
    """A caller of each role, as the tokens file makes them."""
    roles: tuple[access.Role, ...] = ("read", "operate", "work", "admin")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tokens.toml"
        tokens = {role: access.new_token(file, role, [role]) for role in roles}
        known = {role: access.read_access(file).by_token(token) for role, token in tokens.items()}
    return {role: caller for role, caller in known.items() if caller is not None}


def _patience(name: str, method: MethodDescriptor) -> Any:
    """Of an empty request, and of one that says how long."""
    if name not in routing.KEY_OF:
        return None
    empty, full = _empty(method), filled(method.input_type)
    before = routing.patience_s(name, full)
    if before is not None:
        routing.set_patience(name, full, 1.25)
        assert routing.patience_s(name, full) == 1.25
    return [routing.patience_s(name, empty), before]


def _is_new_work(request: Message) -> bool:
    try:
        Entrance(_nobody).let_in(request)
    except Overloaded:
        return True
    return False


def _repeated_by(request: Any) -> list[str] | None:
    """Fields of a request that was let in by which it is known again: with another value it is new."""
    if not _is_new_work(request):
        return None
    carried = request.start if hasattr(request, "start") else request
    found: list[str] = []
    for field in carried.DESCRIPTOR.fields:
        changed: Any = message_factory.GetMessageClass(request.DESCRIPTOR)()
        changed.CopyFrom(request)
        (changed.start if hasattr(request, "start") else changed).ClearField(field.name)
        if not _is_known_after(request, changed):
            found.append(field.name)
    return found


def _is_known_after(first: Message, second: Message) -> bool:
    answers = iter([None, Overloaded("busy")])

    def once() -> None:
        if (error := next(answers)) is not None:
            raise error

    entrance = Entrance(once)
    entrance.let_in(first)
    try:
        entrance.let_in(second)
    except Overloaded:
        return False
    return True


def _made_ready(name: str, method: MethodDescriptor) -> Any:
    """What a node fills in before it carries out a request, of those that are for an actor."""
    if name not in routing.KEY_OF:
        return None
    request = _empty(method)
    routing.ready(name, request, "own", lambda: "new-id")
    return wire_form(request)


def _empty(method: MethodDescriptor) -> Any:
    return type(filled(method.input_type))()


def _nobody() -> None:
    raise Overloaded("busy")


# --- errors


def _errors() -> dict[str, Exception]:
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    plain = {each.__name__: each for each in found if each.__module__ == errors.__name__}
    made: dict[str, Exception] = {}
    for name, kind in sorted(plain.items()):
        try:
            made[name] = kind("why")
        except TypeError:
            continue  # an error with parts, which no door raises
    return made | {
        "Overloaded, later": Overloaded("why", 2.5),
        "NodeClosing": refusals.NodeClosing(),
        "a fault of ours": KeyError("x"),
    }


def _of_error(error: Exception) -> dict[str, Any]:
    refused = refusals.refusal(error)
    said = refusals.to_error(refused)
    trailers = refusals.to_trailers(refused)
    return {
        "code": refused.code.name,
        "reason": refused.reason,
        "retry after": refused.retry_after_s,
        "details": [name for name, _ in trailers],
        "read as": type(of_error(said)).__name__,
    }


def _reasons() -> list[tuple[int, str]]:
    return [(code, "") for code in range(17)] + [(9, "NOT_ALLOWED"), (9, "NODE_CLOSING"), (9, "A_NEW_ONE")]


def _read_as(code: int, reason: str) -> str:
    return type(of_error(values_pb2.Error(code=code, reason=reason, message="why"))).__name__


# --- what else others rely on


def _limits() -> dict[str, Any]:
    named = {name: value for name, value in vars(limits).items() if name.isupper()}
    own = limits.Limits()
    return named | {field: getattr(own, field) for field in own.__struct_fields__}


def _shards(key: str) -> list[int]:
    return [shard_of(key, shards) for shards in (1, 256, 1_000)]


def _tokens() -> dict[str, Any]:
    """What clients keep and give back."""
    completion = completion_token(ATTEMPT)
    assert completed_attempt(completion) == ATTEMPT
    page, seq = wire.token((1.5, "r/1")), wire.token(7)
    assert (wire.before(page), wire.after(seq)) == ((1.5, "r/1"), 7)
    return {"completion": completion, "page of runs": page, "page of turns": seq}


async def _called(number: int, text: str = "", *more: float, by_name: list[int] | None = None) -> None:
    """What is called."""


CALLS: Final[dict[str, tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "least": ((1,), {}),
    "by name": ((), {"text": "é", "number": 2}),
    "all": ((1, "a", 1.5, 2.0), {"by_name": [1, 2]}),
    "edges": ((2**53 + 1, "\u2028\x00😀"), {}),
}


def _encoded(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """A call as journals hold it, and the digest by which a finished one is known again."""
    data, digest = CallCodec(_called, name="called").encode(args, kwargs)
    return [data.decode(), digest]


def wire_form(message: Any) -> Any:
    """As JSON, with the fields that are set."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
