"""The gRPC server: services, health, reflection, and how it begins and ends.

Methods are found by their descriptors, so that what is served is what the .proto files say: `RunService.StartRun` is
`Calls.start_run`. The server waits for nothing of grpc's own (cancelling `wait_for_termination` breaks a stop that is
shielded); it is opened and closed by whoever builds the node, on the engine's loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc.aio
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from understudy.errors import BadInput, BadRequest
from understudy_proto.v1 import sessions_pb2
from understudy_runtime.rpc.calls import Behaviours, Calls
from understudy_runtime.rpc.entrance import Entrance
from understudy_runtime.rpc.errors import Refusal, refusal, to_trailers, told
from understudy_runtime.rpc.gate import Pass
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Limits
from understudy_runtime.rpc.methods import SERVICES, snake
from understudy_runtime.rpc.neighbours import HOP
from understudy_runtime.rpc.ports import Admit, Cluster, Definitions, DoorOf, everybody
from understudy_runtime.rpc.sessions import Sessions

Context = grpc.aio.ServicerContext[Any, Any]
Stream = Callable[[Context], Awaitable[Refusal | None]]
"""A method that reads and writes its stream itself; why the node ended it, if it did."""

Forward = Callable[[Calls, Calls], tuple[Behaviours, Behaviours]]
"""What carries out the calls of clients, and those of other nodes, where not all actors are here; given those that are
carried out here."""


class Serving:
    """A server that runs. `address` is "host:port", with the port it got."""

    def __init__(
        self,
        address: str,
        calls: tuple[Calls, Calls],
        sessions: tuple[Sessions, Sessions],
        health_of: health.aio.HealthServicer,
    ) -> None:
        """Calls and sessions of clients, and of other nodes."""
        self.address: Final = address
        self._calls = calls
        self._sessions = sessions
        self._health = health_of

    @property
    def waiting(self) -> int:
        """Calls of clients that await a run's end or a handler."""
        return sum(calls.waiting for calls in self._calls)

    @property
    def unread(self) -> int:
        """Calls of clients that have come in and have not been looked at."""
        return sum(sessions.unread for sessions in self._sessions)

    async def leave(self) -> None:
        """Say that the node is not serving any longer, and send those who wait elsewhere."""
        await self._health.enter_graceful_shutdown()
        self._end(0)

    def close(self) -> None:
        """Send the other nodes away, too."""
        self._end(1)

    def _end(self, which: int) -> None:
        self._calls[which].close()
        self._sessions[which].close()


@asynccontextmanager
async def serving(
    listen: str,
    door_of: DoorOf,
    definitions: Definitions,
    cluster: Cluster,
    *,
    limits: Limits | None = None,
    admit: Admit = everybody,
    credentials: grpc.ServerCredentials | None = None,
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    passes: Callable[[Context], Pass] | None = None,
    streams: Sequence[tuple[ServiceDescriptor, dict[str, Stream]]] = (),
    forward: Forward | None = None,
    together: Cluster | None = None,
    grace_s: float = 1.0,
) -> AsyncGenerator[Serving]:
    """Serve on `listen` ("host:port", port 0 for any) for as long as the block lasts.

    `admit` is asked about all new work. `passes` say what the callers of sessions may do; None: everything.
    `cluster` is this node; of many, `together` is all of them, and `forward` makes what carries out calls of any actor.
    `streams` are further services whose methods read and write their streams themselves. BadRequest if the
    address cannot be had. Calls under way get `grace_s` seconds to end in.
    """
    limits, entrance = limits or Limits(), Entrance(admit)
    calls = Calls(door_of, definitions, together or cluster, limits)
    # For the other nodes this one goes on until its last actor has moved.
    own = Calls(door_of, definitions, cluster, limits)
    behaviours: tuple[Behaviours, Behaviours] = (calls, own) if forward is None else forward(calls, own)

    def behaviours_for(context: Context) -> Behaviours:
        return behaviours[_is_node(context)]

    clients, nodes = (Sessions(each, entrance, limits, passes) for each in behaviours)

    async def session(context: Context) -> Refusal | None:
        return await (nodes if _is_node(context) else clients).calls(context)

    health_of = health.aio.HealthServicer()
    server = grpc.aio.server(
        interceptors=list(interceptors), options=_options(limits), maximum_concurrent_rpcs=limits.max_streams
    )
    table: list[tuple[ServiceDescriptor, dict[str, Stream]]] = [
        *((service, {}) for service in SERVICES),
        (sessions_pb2.DESCRIPTOR.services_by_name["SessionService"], {"Calls": session}),
        *streams,
    ]
    server.add_generic_rpc_handlers([_handlers(service, given, behaviours_for, entrance) for service, given in table])
    health_pb2_grpc.add_HealthServicer_to_server(health_of, server)
    names = [service.full_name for service, _ in table]
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection([*names, health_name, reflection.SERVICE_NAME], server)
    address = _bind(server, listen, credentials)
    await server.start()
    for name in ("", *names):
        await health_of.set(name, health_pb2.HealthCheckResponse.SERVING)
    served = Serving(address, (calls, own), (clients, nodes), health_of)
    try:
        yield served
    finally:
        await served.leave()
        served.close()
        await server.stop(grace_s)


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials | None) -> str:
    host = listen.rpartition(":")[0]
    try:
        bound = server.add_insecure_port(listen) if credentials is None else server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise BadRequest(
            f"cannot listen at {listen}: {error}; is another node running there? Choose another port"
        ) from None
    return f"{host}:{bound}"


def _options(limits: Limits) -> list[tuple[str, Any]]:
    keepalive_ms = int(limits.keepalive_s * 1000)
    return [
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.keepalive_timeout_ms", keepalive_ms),
        ("grpc.http2.ping_timeout_ms", keepalive_ms),  # a minute otherwise, whatever the one above says
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Clients may ping, too, and more often than gRPC's own five minutes.
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
        # Two nodes on one port would each get some of the calls.
        ("grpc.so_reuseport", 0),
    ]


def _is_node(context: Context) -> bool:
    """Whether another node asks this one to carry out itself what it asks for."""
    return any(key == HOP for key, _ in context.invocation_metadata() or ())


# --- methods by their descriptors


def _handlers(
    service: ServiceDescriptor,
    streams: dict[str, Stream],
    behaviours_for: Callable[[Context], Behaviours],
    entrance: Entrance,
) -> grpc.GenericRpcHandler:
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in service.methods:
        if method.name in streams:
            handlers[method.name] = _handler(method, _streaming(streams[method.name]))
        elif method.server_streaming:
            handlers[method.name] = _handler(method, _told(behaviours_for, snake(method.name)))
        else:
            handlers[method.name] = _handler(method, _answered(behaviours_for, entrance, snake(method.name)))
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _handler(method: MethodDescriptor, behaviour: Any) -> grpc.RpcMethodHandler[Any, Any]:
    request = message_factory.GetMessageClass(method.input_type)
    response = message_factory.GetMessageClass(method.output_type)
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    read = _read_strictly(request) if method.client_streaming else _read(request)
    return make(behaviour, request_deserializer=read, response_serializer=response.SerializeToString)


def _read(kind: type[Message]) -> Callable[[bytes], Message | BadInput]:
    # What a deserializer raises, grpc logs as our fault and tells as UNKNOWN; so the method is handed the error.
    def read(data: bytes) -> Message | BadInput:
        try:
            return kind.FromString(data)
        except DecodeError as error:
            return BadInput(f"the request is no {kind.DESCRIPTOR.full_name}: {error}")

    return read


def _read_strictly(kind: type[Message]) -> Callable[[bytes], Message]:
    """For streams: the error comes out of the method's own `read`."""

    def read(data: bytes) -> Message:
        message = _read(kind)(data)
        if isinstance(message, BadInput):
            raise message
        return message

    return read


def _answered(behaviours_for: Callable[[Context], Behaviours], entrance: Entrance, method: str) -> Any:
    async def behave(request: Any, context: Context) -> Any:
        try:
            entrance.let_in(_message(request))
            return await behaviours_for(context).behaviour(method)(request)
        except BaseException as error:
            return await _abort(context, refusal(told(error)))

    return behave


def _told(behaviours_for: Callable[[Context], Behaviours], method: str) -> Any:
    async def behave(request: Any, context: Context) -> None:
        try:
            async for response in behaviours_for(context).behaviour(method)(_message(request)):
                await context.write(response)
        except BaseException as error:
            await _abort(context, refusal(told(error)))

    return behave


def _streaming(method: Stream) -> Any:
    async def behave(requests: AsyncIterator[Any], context: Context) -> None:
        try:
            refused = await method(context)
        except Exception as error:
            refused = refusal(error)
        if refused is not None:
            await _abort(context, refused)

    return behave


def _message(request: Any) -> Any:
    if isinstance(request, BadInput):
        raise request
    return request


async def _abort(context: Context, refused: Refusal) -> Any:
    await context.abort(refused.code, refused.message, to_trailers(refused))
