"""`RemoteDoor`: the SDK's `Door` to a node in another process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from understudy.door import (
    AskReply,
    HistoryTurn,
    IfExists,
    Outcome,
    RetryPlan,
    RunDescription,
    RunSummary,
    StartedRun,
)
from understudy.remote import wire
from understudy.remote.actors import RemoteActors
from understudy.remote.cluster import RemoteCluster
from understudy.remote.errors import is_transient, of_status
from understudy.remote.jobs import RemoteJobs
from understudy.remote.resources import RemoteResources
from understudy.remote.schedules import RemoteSchedules
from understudy.remote.session import FIRST_PAUSE_S, LONGEST_PAUSE_S, Metadata, Session, unreachable
from understudy.remote.targets import Targets
from understudy_proto.v1 import actors_pb2, runs_pb2

MAX_RESPONSE_BYTES: Final = 64 * 2**20
MAX_PAGE: Final = 1_000
KEEPALIVE_MS: Final = 20_000
UNARY_S: Final = 30.0
"""How long lists and histories may take, each page."""

M = TypeVar("M", bound=Message)


class RemoteDoor(RemoteActors, RemoteCluster, RemoteJobs, RemoteResources, RemoteSchedules):
    """Implements `Door` on the loop it is made on."""

    def __init__(
        self, targets: Targets, session: Session, namespace: str, metadata: Metadata, patience_s: float
    ) -> None:
        self._targets = targets
        self._session = session
        self._patience_s = patience_s
        self._namespace = namespace
        self._metadata = tuple(metadata)

    async def start(
        self, workflow: str, input: bytes, digest: str, *, run_id: str | None, if_exists: IfExists
    ) -> StartedRun:
        request = self._start(workflow, input, digest, run_id, if_exists)
        started = await self._session.call("start_run", request)
        return StartedRun(started.run_id, started.execution, started.existed and run_id is not None)

    async def run(
        self, workflow: str, input: bytes, digest: str, *, run_id: str | None, if_exists: IfExists
    ) -> Outcome:
        start = self._start(workflow, input, digest, run_id, if_exists)
        ended = await self._session.call("start_and_wait", runs_pb2.StartAndWaitRequest(start=start), waits=True)
        return wire.outcome(ended.outcome)

    async def wait(self, run_id: str) -> Outcome:
        request = runs_pb2.WaitRunRequest(namespace=self._namespace, run_id=run_id)
        waited = await self._session.call("wait_run", request, waits=True)
        return wire.outcome(waited.outcome)

    async def tell(self, address: str, handler: str, args: bytes, *, by_name: bool = False) -> None:
        request = actors_pb2.TellRequest(
            namespace=self._namespace,
            address=wire.address(address),
            handler=handler,
            arguments=wire.arguments(args),
            by_name=by_name,
            idempotency_key=self._session.key(),
        )
        await self._session.call("tell", request)

    async def ask(self, address: str, handler: str, args: bytes, *, readonly: bool, by_name: bool = False) -> AskReply:
        request = actors_pb2.AskRequest(
            namespace=self._namespace,
            address=wire.address(address),
            handler=handler,
            arguments=wire.arguments(args),
            readonly=readonly,
            by_name=by_name,
            idempotency_key="" if readonly else self._session.key(),
        )
        return wire.reply(await self._session.call("ask", request, waits=True))

    async def cancel(self, run_id: str, reason: str) -> None:
        request = runs_pb2.CancelRunRequest(
            namespace=self._namespace, run_id=run_id, reason=reason, idempotency_key=self._session.key()
        )
        await self._session.call("cancel_run", request)

    async def terminate(self, run_id: str, reason: str) -> None:
        request = runs_pb2.TerminateRunRequest(
            namespace=self._namespace, run_id=run_id, reason=reason, idempotency_key=self._session.key()
        )
        await self._session.call("terminate_run", request)

    async def release(self, run_id: str) -> None:
        request = runs_pb2.ReleaseRunRequest(
            namespace=self._namespace, run_id=run_id, idempotency_key=self._session.key()
        )
        await self._session.call("release_run", request)

    async def retry(
        self,
        run_id: str,
        input: bytes | None,
        digest: str,
        *,
        redo: Sequence[str],
        keep: Sequence[str],
        dry_run: bool,
    ) -> RetryPlan:
        request = runs_pb2.RetryRunRequest(
            namespace=self._namespace,
            run_id=run_id,
            input=None if input is None else wire.arguments(input, digest),
            redo=redo,
            keep=keep,
            dry_run=dry_run,
            idempotency_key=self._session.key(),
        )
        return wire.plan(await self._session.call("retry_run", request))

    async def describe(self, run_id: str) -> RunDescription:
        request = runs_pb2.GetRunRequest(namespace=self._namespace, run_id=run_id)
        return wire.description((await self._session.call("get_run", request)).run)

    async def history(self, run_id: str, after: int, limit: int) -> list[HistoryTurn]:
        turns: list[HistoryTurn] = []
        request = runs_pb2.ListTurnsRequest(namespace=self._namespace, run_id=run_id, after_seq=after)
        while True:
            request.page_size = min(limit - len(turns), MAX_PAGE)
            page = await self._unary("RunService/ListTurns", request, runs_pb2.ListTurnsResponse)
            turns += [wire.turn(turn) for turn in page.turns]
            request.page_token = page.next_page_token
            if not page.next_page_token or len(turns) >= limit:
                return turns

    async def list_runs(self, *, status: str, workflow: str, limit: int) -> list[RunSummary]:
        runs: list[RunSummary] = []
        if limit > 0:
            async for page in self.run_pages(status=status, workflow=workflow, size=limit):
                runs += page
                if len(runs) >= limit:
                    break
        return runs[:limit]

    async def run_pages(self, *, status: str, workflow: str, size: int) -> AsyncGenerator[list[RunSummary]]:
        request = runs_pb2.ListRunsRequest(
            namespace=self._namespace,
            status=wire.status_filter(status),
            workflow=workflow,
            page_size=min(size, MAX_PAGE),
        )
        while True:
            page = await self._unary("RunService/ListRuns", request, runs_pb2.ListRunsResponse)
            yield [wire.summary(run) for run in page.runs]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return

    async def watch(self, run_id: str) -> AsyncIterator[RunDescription]:
        """How the run stands, now and whenever something has happened to it, until it has ended."""
        request = runs_pb2.WatchRunRequest(namespace=self._namespace, run_id=run_id)
        now = asyncio.get_running_loop().time
        heard_at = now()
        while True:
            target, channel = self._targets.name, self._targets.channel
            method: Any = channel.unary_stream(
                "/understudy.v1.RunService/WatchRun",
                request_serializer=runs_pb2.WatchRunRequest.SerializeToString,
                response_deserializer=runs_pb2.WatchRunResponse.FromString,
            )
            try:
                async for response in method(request, metadata=self._metadata):
                    heard_at = now()
                    yield wire.description(response.run)
                return
            except grpc.aio.AioRpcError as error:
                if not is_transient(error) or now() - heard_at > self._patience_s:
                    raise _told(target, error) from None
            self._targets.leave(channel)
            await asyncio.sleep(FIRST_PAUSE_S)

    # ---

    def _start(
        self, workflow: str, input: bytes, digest: str, run_id: str | None, if_exists: IfExists
    ) -> runs_pb2.StartRunRequest:
        return runs_pb2.StartRunRequest(
            namespace=self._namespace,
            workflow=workflow,
            input=wire.arguments(input, digest),
            run_id=run_id,
            if_exists=wire.if_exists(if_exists),
            idempotency_key=self._session.key(),
        )

    async def _unary(self, method: str, request: Message, response: type[M]) -> M:
        """A call that only reads, or may be repeated; tried again, at the next node if there is one, for as long as
        the connection breaks and patience lasts."""
        now = asyncio.get_running_loop().time
        give_up_at, pause_s = now() + self._patience_s, FIRST_PAUSE_S
        while True:
            target, channel = self._targets.name, self._targets.channel
            call: Any = channel.unary_unary(
                f"/understudy.v1.{method}",
                request_serializer=_serialized,
                response_deserializer=response.FromString,
            )
            try:
                return await call(request, metadata=self._metadata, timeout=UNARY_S)  # type: ignore[no-any-return]
            except grpc.aio.AioRpcError as error:
                if not is_transient(error) or now() + pause_s > give_up_at:
                    raise _told(target, error) from None
            self._targets.leave(channel)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _told(target: str, error: grpc.aio.AioRpcError) -> Exception:
    return unreachable(target, error) if is_transient(error) else of_status(error)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


@asynccontextmanager
async def open_remote(
    target: str,
    *,
    namespace: str = "",
    metadata: Metadata = (),
    credentials: grpc.ChannelCredentials | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    options: Sequence[tuple[str, Any]] = (),
    patience_s: float = 30.0,
    wait_s: float = 0.0,
    retry_overloaded: bool = True,
) -> AsyncGenerator[RemoteDoor]:
    """A door to the node at `target` ("host:port"), or to whichever of several, with commas between them, answers.

    Unreachable if none does within `wait_s`; `metadata` goes with every call.
    """
    settings = [*_OPTIONS, *options]

    def open_channel(address: str) -> grpc.aio.Channel:
        if credentials is None:
            return grpc.aio.insecure_channel(address, options=settings, interceptors=list(interceptors))
        return grpc.aio.secure_channel(address, credentials, options=settings, interceptors=list(interceptors))

    targets = Targets(target, open_channel)
    session = Session(targets, metadata, patience_s, retry_overloaded=retry_overloaded)
    try:
        await session.open(wait_s)
        yield RemoteDoor(targets, session, namespace, metadata, patience_s)
    finally:
        await session.close()
        await targets.close()


_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_MS // 2),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    # Not a pause, but how long a connection may take to be made: a busy machine needs more than a moment.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Sockets of their own, so that closing a client closes its connection.
    ("grpc.use_local_subchannel_pool", 1),
)
