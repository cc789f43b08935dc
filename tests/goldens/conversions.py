"""What the two ends make of the protocol: of each call, what a node does about a request and what it answers, and what
a client asks and makes of the answer.

The node's end is `Calls` before a door that only notes what it is asked, the client's end a `RemoteDoor` on a session
that only notes what is sent. So whatever converts between the two, by hand or generated, is compared as a whole. What
is answered stands in the golden: only `make` makes it up.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from msgspec import inspect as inspection

from tests.goldens import filling, protocol
from tests.goldens.filling import expanded, plain, rebuilt
from tests.goldens.peers import shown
from understudy.cluster import DefinitionInfo, NodeInfo, ShardInfo
from understudy.codec import CallCodec
from understudy.errors import UnderstudyError, Unreachable
from understudy.failures import FailureFields, FailureLike
from understudy.remote.door import RemoteDoor
from understudy.remote.wire import AsWritten
from understudy.resourcing import ResourceDescription
from understudy_proto.v1 import workers_pb2
from understudy_runtime.core.completion import completion_token
from understudy_runtime.core.messages import Token
from understudy_runtime.rpc import work_wire
from understudy_runtime.rpc.calls import Calls
from understudy_runtime.rpc.errors import refusal
from understudy_runtime.rpc.limits import Limits
from understudy_runtime.rpc.methods import FULL_NAMES, snake
from understudy_runtime.rpc.ports import ServedDoor

COMPLETION: Final = completion_token(Token("default/run/r", 1, 2, 3, 0))
REQUESTS: Final[Mapping[str, Any]] = {
    "address": "lock/l",
    "call": b'{"args":[3],"kwargs":{}}',
    "json": b"[4]",
    "kind": "actor.Stock",
    "outcome": "created",
    "page_token": "",
    "token": COMPLETION,
}
"""Values of fields that not every text will do for."""
STAND_INS: Final[Mapping[Any, type[Any]]] = {FailureLike: FailureFields, AsWritten: bytes}
MOST_CALLS: Final = 3
"""Of one call of a door that goes on and on."""


def described_resource() -> bytes:
    resource = msgspec.to_builtins(filling.Filling().struct(ResourceDescription))
    return msgspec.json.encode(resource | {"handle": "j-1", "spec": None})


def answers() -> Mapping[str, Any]:
    """As `REQUESTS`, for answers."""
    return {"records": b'[{"t":"Completed","result":1}]', "description": described_resource()}


# --- the node's end


class Answering:
    """A door, the definitions and the cluster of a node. `given` is what is answered, by method; noted in `asked`."""

    def __init__(self, given: dict[str, Any], choice: int | None = None) -> None:
        self.given = given
        self.asked: list[Any] = []
        self._choice = choice

    def __getattr__(self, name: str) -> Any:
        method = getattr(ServedDoor, name)
        if not inspect.iscoroutinefunction(method):
            return _follow

        async def answer(*args: Any, **kwargs: Any) -> Any:
            self.asked.append([name, expanded(args), expanded(kwargs)])
            return self._answer(name, get_type_hints(method)["return"])

        return answer

    def workflow(self, name: str) -> CallCodec:
        return CallCodec(_entry, name=name)

    def handler(self, kind: str, definition: str, name: str) -> CallCodec:
        return CallCodec(_entry, name=f"{kind} {definition}.{name}")

    def all(self) -> Any:
        return self._answer("all", list[DefinitionInfo])

    async def nodes(self) -> Any:
        return self._answer("nodes", list[NodeInfo])

    async def shards(self) -> Any:
        return self._answer("shards", list[ShardInfo])

    async def drain(self, node_id: str, grace_s: float | None) -> None:
        self.asked.append(["drain", node_id, grace_s])

    def _answer(self, name: str, kind: Any) -> Any:
        """What is given, or something made up, which is then given."""
        if kind is type(None):
            return None
        if name not in self.given:
            self.given[name] = plain(filling.Filling(self._choice, STAND_INS).of(kind))
        return _read_as(kind, self.given[name])


def _read_as(kind: Any, value: Any) -> Any:
    """JSON as one of our types."""
    return rebuilt(inspection.type_info(kind), value, STAND_INS)


def _follow(run_id: str, changed: Any) -> Any:
    return changed


async def _entry(number: int = 7) -> None:
    """What is called."""


def carried_out(name: str, request: Message, given: dict[str, Any], choice: int | None = None) -> dict[str, Any]:
    """What a node asks of its door about this request, and what it answers; `given` is completed."""
    node = Answering(given, choice)
    door: Any = node
    calls = Calls(lambda namespace: door, door, door, Limits())

    async def carry_out() -> Any:
        behaviour: Any = calls.behaviour(name)(request)
        return await (anext(behaviour) if hasattr(behaviour, "__anext__") else behaviour)

    try:
        answered: Any = shown(asyncio.run(carry_out()))
    except Exception as error:
        refused = refusal(error)
        answered = {"refused": [refused.code.name, refused.reason]}
    return {"asked": node.asked, "answered": answered}


def requests() -> Iterator[tuple[str, str, Message, int | None]]:
    """Method, variant, request, and which choice to make for the answer."""
    for method in protocol.methods():
        name = snake(method.name)
        if FULL_NAMES.get(name) == protocol.path_of(method):
            yield from ((name, *each) for each in _requests(method))


def _requests(method: MethodDescriptor) -> Iterator[tuple[str, Message, int | None]]:
    kind = method.input_type
    yield "empty", message_factory.GetMessageClass(kind)(), None
    yield "edge", protocol.Edges().message(kind), None
    yield "as they come", protocol.filled(kind), None
    most = max(protocol.choices(kind), protocol.choices(method.output_type))
    for choice in range(most):
        yield str(choice), protocol.Filling(choice, REQUESTS).message(kind), choice


# --- the client's end


class Sending(RemoteDoor):
    """A client's door that is answered from `given`, one after the other; what is sent is noted in `sent`."""

    def __init__(self, given: list[bytes], answer: Any) -> None:
        super().__init__(_no_targets(), self, "ns", (), 0.0)  # type: ignore[arg-type]
        self.given = given
        self.sent: list[Any] = []
        self._answer = answer
        self._keys = 0

    def key(self) -> str:
        self._keys += 1
        return f"key-{self._keys}"

    async def call(self, kind: str, request: Message, *, waits: bool = False) -> Any:
        return self._answered(FULL_NAMES[kind], request, waits)

    async def _unary(self, method: str, request: Message, response: Any) -> Any:
        return self._answered(f"/understudy.v1.{method}", request, False)

    def _answered(self, path: str, request: Message, waits: bool) -> Any:
        if len(self.sent) == MOST_CALLS:
            raise Unreachable("that is enough")
        self.sent.append([path, shown(request), waits])
        response = RESPONSES[path]
        if len(self.given) < len(self.sent):
            self.given.append(self._answer(response).SerializeToString(deterministic=True))
        return message_factory.GetMessageClass(response).FromString(self.given[len(self.sent) - 1])


def _no_targets() -> Any:
    return None


RESPONSES: Final = {protocol.path_of(method): method.output_type for method in protocol.methods()}
DOOR: Final = tuple(
    sorted(name for name, _ in inspect.getmembers(RemoteDoor, inspect.iscoroutinefunction) if name[0] != "_")
)
ARGUMENTS: Final[Mapping[str, Any]] = {
    "address": "lock/l",
    "as_written": None,
    "limit": 3,
    "result": b"5",
    "status": "",
    "token": COMPLETION,
}


def asked(name: str, arguments: Mapping[str, Any], given: list[bytes], choice: int | None) -> dict[str, Any]:
    """What a client sends for this call of its door, and what it makes of the answers; `given` is completed."""

    def answer(kind: Any) -> Message:
        if choice is None:
            return message_factory.GetMessageClass(kind)()
        return protocol.Filling(choice, answers()).message(kind)

    door = Sending(given, answer)
    method, hints = getattr(door, name), get_type_hints(getattr(RemoteDoor, name))
    named = {each: _read_as(hints[each], value) for each, value in arguments.items()}
    try:
        returned: Any = expanded(asyncio.run(method(**named)))
    except Exception as error:
        returned = {"raised": type(error).__name__}
    return {"sent": door.sent, "returned": returned}


def calls_of_doors() -> Iterator[tuple[str, str, dict[str, Any], int | None]]:
    """Method, variant, arguments as JSON, and which choice to make for the answers."""
    for name in DOOR:
        most = max([_literals(name), *map(protocol.choices, _answers_of(name))])
        for choice in range(most):
            yield name, str(choice), _arguments(name, choice), choice
        yield name, "empty", _arguments(name, 0), None


def _answers_of(name: str) -> list[Any]:
    """The types that it is answered with."""
    door = Sending([], _first_answer)
    hints = get_type_hints(getattr(RemoteDoor, name))
    named = {each: _read_as(hints[each], value) for each, value in _arguments(name, 0).items()}
    try:
        asyncio.run(getattr(door, name)(**named))
    except Exception:
        return []
    return [RESPONSES[sent[0]] for sent in door.sent]


def _first_answer(kind: Any) -> Message:
    return protocol.Filling(0, answers()).message(kind)


def _arguments(name: str, choice: int) -> dict[str, Any]:
    hints = get_type_hints(getattr(RemoteDoor, name))
    made = filling.Filling(choice)
    wanted = {each: hint for each, hint in hints.items() if each != "return"}
    return {each: plain(ARGUMENTS[each] if each in ARGUMENTS else made.of(hint, each)) for each, hint in wanted.items()}


def _literals(name: str) -> int:
    """The most values that one of its arguments is chosen from."""
    hints = get_type_hints(getattr(RemoteDoor, name))
    return max([1, *(len(get_args(hint)) for hint in hints.values() if get_origin(hint) is Literal)])


# --- workers


def between_worker_and_node(name: str, message: Any) -> dict[str, Any]:
    """What is read of a message, and how it is said again."""
    try:
        match name:
            case "hello":
                read: Any = work_wire.hello(message)
                # A label is read as its name too, and is said once: which of the two is a matter of chance.
                said = msgspec.structs.replace(read, labels=frozenset(each for each in read.labels if "=" in each))
                again: list[Message] = [work_wire.to_hello(said)]
            case "welcome":
                read = work_wire.welcome(message)
                again = [work_wire.to_welcome(read, 1)]
            case "from worker":
                read = work_wire.from_worker(message)
                again = list(work_wire.to_requests(read))
            case _:
                read = work_wire.to_worker(message)
                again = list(work_wire.to_responses(read))
    except (UnderstudyError, ValueError) as error:
        return {"refused": type(error).__name__}
    return {"read": expanded(read), "again": list(map(shown, again))}


WORKERS: Final[Mapping[str, Any]] = {
    "hello": workers_pb2.Hello,
    "welcome": workers_pb2.Welcome,
    "from worker": workers_pb2.WorkRequest,
    "to worker": workers_pb2.WorkResponse,
}


def work() -> Iterator[tuple[str, str, Message]]:
    for name, kind in WORKERS.items():
        descriptor = kind.DESCRIPTOR
        yield name, "empty", kind()
        yield name, "edge", protocol.Edges().message(descriptor)
        for choice in range(protocol.choices(descriptor)):
            yield name, str(choice), protocol.Filling(choice).message(descriptor)
            if name == "from worker":  # a hello is refused here
                batch: Any = protocol.Filling(choice).message(descriptor)
                batch.ClearField("hello")
                yield name, f"{choice}, a batch", batch
