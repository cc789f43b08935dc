"""A look at runs: into the store's file, which needs no node and disturbs none, or by asking the node."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

from understudy.door import HistoryTurn, Outcome, RunDescription, RunSummary
from understudy_runtime.cli.options import At
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.stored import Stored, reading
from understudy_runtime.node.described import description_of, history_turn, outcome_of, summary_of


class Looking(Protocol):
    """The part of `Door` that only looks."""

    async def list_runs(self, *, status: str, workflow: str, limit: int) -> list[RunSummary]: ...
    async def describe(self, run_id: str) -> RunDescription: ...
    async def wait(self, run_id: str) -> Outcome: ...
    async def history(self, run_id: str, after: int, limit: int) -> list[HistoryTurn]: ...


class StoredRuns:
    """`Looking` at a store's file. Nothing goes on there, so that `wait` tells how things stand."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    async def list_runs(self, *, status: str, workflow: str, limit: int) -> list[RunSummary]:
        return [summary_of(row) for row in self._stored.rows(status, workflow, limit)]

    async def describe(self, run_id: str) -> RunDescription:
        return description_of(run_id, self._stored.describe(run_id))

    async def wait(self, run_id: str) -> Outcome:
        return outcome_of(run_id, self._stored.describe(run_id))

    async def history(self, run_id: str, after: int, limit: int) -> list[HistoryTurn]:
        return [history_turn(turn) for turn in self._stored.history(run_id)[after : after + limit]]


@asynccontextmanager
async def looking(at: At) -> AsyncGenerator[Looking]:
    if at.node is None:
        with reading(Place(at.store, at.namespace)) as stored:
            yield StoredRuns(stored)
        return
    from understudy_runtime.cli.connected import connected

    async with connected(at.node) as door:
        yield door


async def outcome(runs: Looking, described: RunDescription) -> Outcome | None:
    """How a run that has been described ended, or why it is held; None if it goes on."""
    if described.status == "running":
        return None
    if described.status == "held":
        return Outcome(
            described.run_id,
            described.workflow,
            "held",
            described.execution,
            held_why=described.held_why,
            reason=described.held_detail,
        )
    return await runs.wait(described.run_id)
