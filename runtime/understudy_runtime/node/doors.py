"""`LocalDoor`: the SDK's `Door` to a node in this process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Raw

from understudy.definitions import HandlerDefinition, WorkflowDefinition
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
from understudy.errors import BadInput, BadRequest, UnknownName
from understudy_runtime.actors.cell import Query
from understudy_runtime.actors.engine import Engine
from understudy_runtime.core.keys import ACTOR_PREFIX, MAX_ID_CHARS, RUN, run_key
from understudy_runtime.core.messages import (
    Cancel,
    Deliver,
    Describe,
    Description,
    Release,
    Settled,
    Start,
    Started,
    Terminate,
)
from understudy_runtime.core.ports import Clock, Programs, Store
from understudy_runtime.node.actors import LocalActors
from understudy_runtime.node.bridge import Bridge, Respond
from understudy_runtime.node.described import description_of, history_turn, outcome_of, summary_of
from understudy_runtime.node.jobs import LocalJobs
from understudy_runtime.node.resources import LocalResources
from understudy_runtime.node.retrying import retry
from understudy_runtime.node.schedules import LocalSchedules

MAX_PAGE: Final = 1_000

Watch = Callable[[str], object]
"""Watch the run of this key, on the engine's loop."""
Handlers = Callable[[str, str], Mapping[str, HandlerDefinition]]
"""Of the actor or workflow of this kind and name; UnknownName if this node does not have it."""


class LocalDoor(LocalActors, LocalJobs, LocalSchedules, LocalResources):
    """Implements `Door`; its methods are awaited on the caller's loop."""

    def __init__(
        self,
        bridge: Bridge,
        store: Store,
        programs: Programs,
        handlers: Handlers,
        workflows: Mapping[str, WorkflowDefinition],
        clock: Clock,
        namespace: str,
        build: str,
    ) -> None:
        self._bridge = bridge
        self._store = store
        self._programs = programs
        self._handlers = handlers
        self._workflows = workflows
        self._clock = clock
        self._namespace = namespace
        self._build = build

    async def start(
        self,
        workflow: str,
        input: bytes,
        digest: str,
        *,
        run_id: str | None,
        if_exists: IfExists,
        idempotency_key: str = "",
    ) -> StartedRun:
        chosen, key, start = self._start(workflow, input, digest, run_id, if_exists, idempotency_key)
        fresh = run_id is None
        reply: Started = await self._bridge.ask(lambda engine, reply: engine.deliver(key, start, reply, fresh=fresh))
        return StartedRun(chosen, reply.execution, reply.existed)

    async def run(
        self,
        workflow: str,
        input: bytes,
        digest: str,
        *,
        run_id: str | None,
        if_exists: IfExists,
        idempotency_key: str = "",
    ) -> Outcome:
        chosen, key, start = self._start(workflow, input, digest, run_id, if_exists, idempotency_key)
        fresh = run_id is None

        def begin(engine: Engine, watch: Watch, respond: Respond) -> None:
            def started(reply: Any) -> None:
                if type(reply) is Started:
                    watch(key)
                else:
                    respond(reply)

            engine.deliver(key, start, started, fresh=fresh)

        return outcome_of(chosen, await self._watched(begin))

    async def wait(self, run_id: str) -> Outcome:
        key = self._run(run_id)
        return outcome_of(run_id, await self._watched(lambda engine, watch, respond: watch(key)))

    async def tell(
        self, address: str, handler: str, args: bytes, *, by_name: bool = False, idempotency_key: str = ""
    ) -> None:
        if by_name and (await self._handler(address, handler, args)).readonly:
            raise BadRequest(f"{handler} is @readonly: telling it has no effect; ask it")
        await self._deliver(address, Deliver(handler, Raw(args), idempotency_key=idempotency_key))

    async def ask(
        self,
        address: str,
        handler: str,
        args: bytes,
        *,
        readonly: bool,
        by_name: bool = False,
        idempotency_key: str = "",
    ) -> AskReply:
        if by_name:
            readonly = (await self._handler(address, handler, args)).readonly
        settled: Settled = await self._deliver(
            address,
            Query(handler, Raw(args))
            if readonly
            else Deliver(handler, Raw(args), ask=True, idempotency_key=idempotency_key),
        )
        return AskReply(settled.result, settled.failure)

    async def cancel(self, run_id: str, reason: str, *, idempotency_key: str = "") -> None:
        await self._deliver(f"{RUN}/{run_id}", Cancel(reason, idempotency_key))

    async def terminate(self, run_id: str, reason: str, *, idempotency_key: str = "") -> None:
        await self._deliver(f"{RUN}/{run_id}", Terminate(reason, idempotency_key))

    async def release(self, run_id: str, *, idempotency_key: str = "") -> None:
        """Let a held run go on; BadRequest if its journal still does not fit the code, or it is not held."""
        await self._deliver(f"{RUN}/{run_id}", Release(idempotency_key))

    async def retry(
        self,
        run_id: str,
        input: bytes | None,
        digest: str,
        *,
        redo: Sequence[str],
        keep: Sequence[str],
        dry_run: bool,
        idempotency_key: str = "",
    ) -> RetryPlan:
        key, given = self._run(run_id), None if input is None else Raw(input)
        return await self._bridge.run(
            lambda engine: retry(
                engine,
                self._programs,
                key,
                given,
                digest,
                redo=redo,
                keep=keep,
                dry_run=dry_run,
                now=self._clock.now(),
                idempotency_key=idempotency_key,
            )
        )

    async def describe(self, run_id: str) -> RunDescription:
        return description_of(run_id, await self._deliver(f"{RUN}/{run_id}", Describe()))

    async def history(self, run_id: str, after: int, limit: int) -> list[HistoryTurn]:
        key = self._run(run_id)
        turns = await self._bridge.run(lambda engine: engine.history(key, after, limit))
        if not turns and not after:
            raise UnknownName(f"there is no run {run_id}")
        return [history_turn(turn) for turn in turns]

    async def list_runs(
        self, *, status: str, workflow: str, limit: int, before: tuple[float, str] | None = None
    ) -> list[RunSummary]:
        runs: list[RunSummary] = []
        while len(runs) < limit:
            size = min(limit - len(runs), MAX_PAGE)
            page = await self._page(status, workflow, size, before)
            runs += page
            if len(page) < size:
                break
            before = (page[-1].created_at, page[-1].run_id)
        return runs

    async def run_pages(self, *, status: str, workflow: str, size: int) -> AsyncGenerator[list[RunSummary]]:
        size, before = min(size, MAX_PAGE), None
        while True:
            page = await self._page(status, workflow, size, before)
            yield page
            if len(page) < size:
                return
            before = (page[-1].created_at, page[-1].run_id)

    async def _page(self, status: str, workflow: str, size: int, before: tuple[float, str] | None) -> list[RunSummary]:
        cursor = None if before is None else (before[0], self._run(before[1]))
        rows = await self._bridge.run(
            lambda _: self._store.rows(
                namespace=self._namespace,
                kind=RUN,
                status=status,
                definition=workflow,
                limit=size,
                before=cursor,
            )
        )
        return [summary_of(row) for row in rows]

    def follow(self, run_id: str, changed: Callable[[], None]) -> Callable[[], object]:
        """Have `changed` called, on the engine's loop, whenever turns of the run are released; the result ends that."""
        key = self._run(run_id)
        forgets: list[Callable[[], object]] = []
        self._bridge.post(lambda engine: forgets.append(engine.follow(key, changed)))
        return lambda: self._bridge.post(lambda _: [forget() for forget in forgets])

    # ---

    def _start(
        self, workflow: str, input: bytes, digest: str, run_id: str | None, if_exists: IfExists, idempotency_key: str
    ) -> tuple[str, str, Start]:
        """The run's id, its key, and the message that starts it."""
        definition = self._workflows.get(workflow)
        if definition is None:
            known = ", ".join(sorted(self._workflows)) or "none"
            raise UnknownName(f"this node has no workflow named {workflow}; it has: {known}")
        given = input
        if not digest:  # the caller has no signature: this is the form that digests are made of
            given, digest = definition.call.encode(*definition.call.decode(input))
        chosen = self._clock.new_id() if run_id is None else _checked_id(run_id)
        start = Start(
            workflow,
            Raw(given),
            digest,
            self._build,
            if_exists,
            definition.deadline_s,
            idempotency_key=idempotency_key,
        )
        return chosen, run_key(self._namespace, chosen), start

    async def _watched(self, begin: Callable[[Engine, Watch, Respond], object]) -> Description:
        """How the run that `begin` watches has ended or is held; whoever gives up waiting leaves no watch behind."""
        forgets: list[Callable[[], object]] = []
        given_up = False

        def begin_watching(engine: Engine, respond: Respond) -> None:
            def watch(key: str) -> None:
                if not given_up:
                    forgets.append(engine.watch(key, respond))

            begin(engine, watch, respond)

        try:
            described: Description = await self._bridge.ask(begin_watching)
        except BaseException:
            given_up = True
            self._bridge.post(lambda engine: [forget() for forget in forgets])
            raise
        return described

    async def _handler(self, address: str, name: str, args: bytes) -> HandlerDefinition:
        """The handler of that name. UnknownName if there is none, BadInput if it does not take these arguments."""
        kind, _, actor_id = address.partition("/")
        definition = (await self.describe(actor_id)).workflow if kind == RUN else kind.removeprefix(ACTOR_PREFIX)
        handlers = self._handlers(kind, definition)
        if name not in handlers:
            known = ", ".join(sorted(handlers)) or "none"
            raise UnknownName(f"{definition} has no handler named {name}; it has: {known}")
        handlers[name].call.decode(args)
        return handlers[name]

    async def _deliver(self, address: str, message: Any) -> Any:
        kind, _, name = address.partition("/")
        if kind != RUN and not self._programs.has(kind, kind.removeprefix(ACTOR_PREFIX)):
            raise UnknownName(f"this node has no actor named {kind.removeprefix(ACTOR_PREFIX)}")
        key = f"{self._namespace}/{kind}/{_checked_id(name)}"
        return await self._bridge.ask(lambda engine, reply: engine.deliver(key, message, reply))

    def _run(self, run_id: str) -> str:
        return run_key(self._namespace, _checked_id(run_id))


def _checked_id(id: str) -> str:
    if not 0 < len(id) <= MAX_ID_CHARS or not id.isprintable():
        raise BadInput(f"{id[:40]!r} is not an id: give 1 to {MAX_ID_CHARS} printable characters")
    return id
