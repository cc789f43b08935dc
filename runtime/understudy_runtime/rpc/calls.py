"""What each call does: one coroutine a method, the same for unary calls and for those of a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from understudy.errors import Overloaded, UnknownName
from understudy_proto.v1 import actors_pb2, nodes_pb2, runs_pb2, values_pb2
from understudy_runtime.rpc import wire
from understudy_runtime.rpc.actors import ActorCalls
from understudy_runtime.rpc.errors import NodeClosing
from understudy_runtime.rpc.jobs import JobCalls
from understudy_runtime.rpc.limits import MAX_PAGE, PAGE_BYTES, Limits
from understudy_runtime.rpc.ports import Behave, Cluster, Definitions, DoorOf, ServedDoor
from understudy_runtime.rpc.resources import ResourceCalls
from understudy_runtime.rpc.schedules import ScheduleCalls

RUN: Final = "run"
ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "terminated", "timed_out"})


class Behaviours(Protocol):
    """The methods that are calls, whoever carries them out."""

    def behaviour(self, method: str) -> Callable[[Any], Any]: ...


class Calls(ActorCalls, JobCalls, ResourceCalls, ScheduleCalls):
    """Named after the methods of the services; the errors they raise are for `errors.refusal`."""

    def __init__(self, door_of: DoorOf, definitions: Definitions, cluster: Cluster, limits: Limits) -> None:
        self._door_of = door_of
        self._definitions = definitions
        self._cluster = cluster
        self._limits = limits
        self._waiting: set[asyncio.Task[object]] = set()
        self.closing = False
        self.anywhere: Behave = self.behaviour
        """Looks for calls that others need to be answered; in a cluster, wherever that can be done."""

    @property
    def waiting(self) -> int:
        """Calls that await a run's end or a handler."""
        return len(self._waiting)

    def behaviour(self, method: str) -> Callable[[Any], Any]:
        """The method of that name."""
        behave: Callable[[Any], Any] = getattr(self, method)
        return behave

    def close(self) -> None:
        """Tell all who wait to wait elsewhere, and take no more of them, and no new runs."""
        self.closing = True
        for task in self._waiting:
            task.cancel()

    # --- runs

    async def start_run(self, request: runs_pb2.StartRunRequest) -> runs_pb2.StartRunResponse:
        self._let_in()
        given, digest = wire.call(request.input, self._definitions.workflow(request.workflow))
        started = await self._door(request.namespace).start(
            request.workflow,
            given,
            digest,
            run_id=wire.run_id(request),
            if_exists=wire.if_exists(request.if_exists),
            idempotency_key=wire.key(request.idempotency_key),
        )
        return runs_pb2.StartRunResponse(run_id=started.run_id, execution=started.execution, existed=started.existed)

    async def start_and_wait(self, request: runs_pb2.StartAndWaitRequest) -> runs_pb2.StartAndWaitResponse:
        start = request.start
        if request.HasField("timeout"):
            started = await self.start_run(start)
            wait = runs_pb2.WaitRunRequest(namespace=start.namespace, run_id=started.run_id, timeout=request.timeout)
            waited = await self.wait_run(wait)
            outcome = waited.outcome if waited.HasField("outcome") else None
            return runs_pb2.StartAndWaitResponse(run_id=started.run_id, outcome=outcome)
        given, digest = wire.call(start.input, self._definitions.workflow(start.workflow))
        with self.place():
            ended = await self._door(start.namespace).run(
                start.workflow,
                given,
                digest,
                run_id=wire.run_id(start),
                if_exists=wire.if_exists(start.if_exists),
                idempotency_key=wire.key(start.idempotency_key),
            )
        return runs_pb2.StartAndWaitResponse(run_id=ended.run_id, outcome=wire.outcome(ended))

    async def get_run(self, request: runs_pb2.GetRunRequest) -> runs_pb2.GetRunResponse:
        described = await self._door(request.namespace).describe(request.run_id)
        return runs_pb2.GetRunResponse(run=wire.run(described))

    async def list_runs(self, request: runs_pb2.ListRunsRequest) -> runs_pb2.ListRunsResponse:
        size = wire.page_size(request.page_size)
        found = await self._door(request.namespace).list_runs(
            status=wire.status_filter(request.status),
            workflow=request.workflow,
            limit=size + 1,
            before=wire.before(request.page_token),
        )
        page = found[:size]
        token = wire.token((page[-1].created_at, page[-1].run_id)) if len(found) > size else ""
        return runs_pb2.ListRunsResponse(runs=[wire.line(summary) for summary in page], next_page_token=token)

    async def wait_run(self, request: runs_pb2.WaitRunRequest) -> runs_pb2.WaitRunResponse:
        timeout_s = wire.duration_s(request.timeout) if request.HasField("timeout") else None
        try:
            async with asyncio.timeout(timeout_s):
                with self.place():
                    ended = await self._door(request.namespace).wait(request.run_id)
        except TimeoutError:
            return runs_pb2.WaitRunResponse()
        return runs_pb2.WaitRunResponse(outcome=wire.outcome(ended))

    async def cancel_run(self, request: runs_pb2.CancelRunRequest) -> runs_pb2.CancelRunResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        await door.cancel(request.run_id, request.reason, idempotency_key=key)
        return runs_pb2.CancelRunResponse()

    async def terminate_run(self, request: runs_pb2.TerminateRunRequest) -> runs_pb2.TerminateRunResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        await door.terminate(request.run_id, request.reason, idempotency_key=key)
        return runs_pb2.TerminateRunResponse()

    async def release_run(self, request: runs_pb2.ReleaseRunRequest) -> runs_pb2.ReleaseRunResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        await door.release(request.run_id, idempotency_key=key)
        return runs_pb2.ReleaseRunResponse()

    async def retry_run(self, request: runs_pb2.RetryRunRequest) -> runs_pb2.RetryRunResponse:
        door = self._door(request.namespace)
        given, digest = None, ""
        if request.HasField("input"):
            workflow = (await door.describe(request.run_id)).workflow
            given, digest = wire.call(request.input, self._definitions.workflow(workflow))
        plan = await door.retry(
            request.run_id,
            given,
            digest,
            redo=list(request.redo),
            keep=list(request.keep),
            dry_run=request.dry_run,
            idempotency_key=wire.key(request.idempotency_key),
        )
        return runs_pb2.RetryRunResponse(
            run_id=plan.run_id,
            execution=plan.execution,
            reused=plan.reused,
            redone=plan.redone,
            dry_run=plan.dry_run,
            ends=plan.ends,
        )

    async def list_turns(self, request: runs_pb2.ListTurnsRequest) -> runs_pb2.ListTurnsResponse:
        size, after = wire.page_size(request.page_size), wire.after(request.page_token)
        seq = request.after_seq if after is None else after
        turns, more = await _turns(self._door(request.namespace), request.run_id, seq, size)
        return runs_pb2.ListTurnsResponse(turns=turns, next_page_token=wire.token(turns[-1].seq) if more else "")

    async def watch_run(self, request: runs_pb2.WatchRunRequest) -> AsyncIterator[runs_pb2.WatchRunResponse]:
        """Whatever happens while a response is on its way is told together in the next one."""
        door, run_id, seq = self._door(request.namespace), request.run_id, request.after_seq
        changed = asyncio.Event()
        forget = door.follow(run_id, changed.set)
        try:
            while True:
                changed.clear()
                described = await door.describe(run_id)
                turns: list[runs_pb2.Turn] = []
                more = False
                if request.with_turns:
                    turns, more = await _turns(door, run_id, seq, MAX_PAGE)
                    seq = turns[-1].seq if turns else seq
                yield runs_pb2.WatchRunResponse(run=wire.run(described), turns=turns)
                if more:
                    continue
                if described.status in ENDED:
                    return
                with self.place():
                    await changed.wait()
        finally:
            forget()

    # --- actors

    async def tell(self, request: actors_pb2.TellRequest) -> actors_pb2.TellResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        args = await self._handler_call(door, request.address, request.handler, request.arguments)
        to = wire.address(request.address)
        await door.tell(to, request.handler, args, by_name=request.by_name, idempotency_key=key)
        return actors_pb2.TellResponse()

    async def ask(self, request: actors_pb2.AskRequest) -> actors_pb2.AskResponse:
        door, key = self._door(request.namespace), wire.key(request.idempotency_key)
        args = await self._handler_call(door, request.address, request.handler, request.arguments)
        to = wire.address(request.address)
        with self.place():
            answered = await door.ask(
                to,
                request.handler,
                args,
                readonly=request.readonly,
                by_name=request.by_name,
                idempotency_key=key,
            )
        return wire.reply(answered)

    async def _handler_call(
        self, door: ServedDoor, to: actors_pb2.Address, handler: str, arguments: values_pb2.Arguments
    ) -> bytes:
        plain = wire.plain_call(arguments)
        if plain is not None:
            return plain
        is_run = to.kind == RUN
        definition = (await door.describe(to.id)).workflow if is_run else to.kind.partition(".")[2]
        codec = self._definitions.handler(to.kind, definition, handler)
        if codec is None:
            raise UnknownName(f"{definition} has no handler named {handler}")
        return wire.call(arguments, codec)[0]

    # --- nodes

    async def list_nodes(self, request: nodes_pb2.ListNodesRequest) -> nodes_pb2.ListNodesResponse:
        return nodes_pb2.ListNodesResponse(nodes=[wire.node(info) for info in await self._cluster.nodes()])

    async def drain_node(self, request: nodes_pb2.DrainNodeRequest) -> nodes_pb2.DrainNodeResponse:
        await self._cluster.drain(
            request.node_id, wire.duration_s(request.grace) if request.HasField("grace") else None
        )
        return nodes_pb2.DrainNodeResponse()

    async def list_shards(self, request: nodes_pb2.ListShardsRequest) -> nodes_pb2.ListShardsResponse:
        return nodes_pb2.ListShardsResponse(shards=[wire.shard(info) for info in await self._cluster.shards()])

    async def list_definitions(self, request: nodes_pb2.ListDefinitionsRequest) -> nodes_pb2.ListDefinitionsResponse:
        infos = sorted(self._definitions.all(), key=lambda info: (info.kind, info.name))
        return nodes_pb2.ListDefinitionsResponse(definitions=[wire.definition(info) for info in infos])

    # ---

    def _let_in(self) -> None:
        if self.closing:
            raise NodeClosing

    def _door(self, namespace: str) -> ServedDoor:
        return self._door_of(wire.namespace(namespace))

    @contextmanager
    def place(self) -> Generator[None]:
        """Wait inside as one of a bounded number, and no longer than the node is open."""
        if self.closing:
            raise NodeClosing
        if len(self._waiting) >= self._limits.max_waiting:
            raise Overloaded(f"{self._limits.max_waiting} calls are waiting on this node; try again later")
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.closing:
                raise NodeClosing from None
            raise
        finally:
            self._waiting.discard(task)


async def _turns(door: ServedDoor, run_id: str, after: int, limit: int) -> tuple[list[runs_pb2.Turn], bool]:
    """At most `limit` turns, fewer if they are large, and whether there are more."""
    found = await door.history(run_id, after, limit + 1)
    page: list[runs_pb2.Turn] = []
    size = 0
    for taken in found[:limit]:
        page.append(wire.turn(taken))
        size += page[-1].ByteSize()
        if size > PAGE_BYTES:
            break
    return page, len(page) < len(found)
