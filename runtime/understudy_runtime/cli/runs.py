"""What `understudy runs list | show | history` shows."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, get_args

from understudy.door import RunStatus
from understudy.errors import BadRequest
from understudy_runtime.cli.looking import looking, outcome
from understudy_runtime.cli.options import At
from understudy_runtime.cli.output import Output, note, results_only
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import complaint, facts, history_rows, lines, moment, pretty, summary_facts
from understudy_runtime.cli.tables import show_table

STATUSES: Final[tuple[str, ...]] = get_args(RunStatus)


def list_runs(at: At, status: str, workflow: str, limit: int, as_json: bool) -> None:
    async def show(output: Output) -> None:
        async with looking(at) as runs:
            found = await runs.list_runs(status=_checked(status), workflow=workflow, limit=limit)
        if as_json:
            output.result(pretty([summary_facts(run) for run in found]))
        elif found:
            cells = [
                (run.run_id, run.workflow, run.status, str(run.execution), moment(run.created_at) or "")
                for run in found
            ]
            show_table(output, ("ID", "WORKFLOW", "STATUS", "EXECUTION", "CREATED"), cells)
        else:
            note("no runs")

    with results_only() as output, refusals():
        asyncio.run(show(output))


def _checked(status: str) -> str:
    if status and status not in STATUSES:
        raise BadRequest(f"{status!r} is no status of a run; there are: {', '.join(STATUSES)}")
    return status


def show_run(at: At, run_id: str, as_json: bool) -> None:
    async def show(output: Output) -> None:
        async with looking(at) as runs:
            described = await runs.describe(run_id)
            ended = await outcome(runs, described)
        shown = facts(described, ended)
        if as_json:
            output.result(pretty(shown))
        elif ended is not None and shown.pop("error", None) is not None:
            output.result(f"{lines(shown)}\n\n{complaint(ended)}")
        else:
            output.result(lines(shown))

    with results_only() as output, refusals():
        asyncio.run(show(output))


def show_history(at: At, run_id: str, as_json: bool) -> None:
    async def show(output: Output) -> None:
        async with looking(at) as runs:
            turns = await runs.history(run_id, 0, sys.maxsize)
        if as_json:
            output.result(pretty(turns))
        else:
            show_table(output, ("TURN", "AT", "WHAT"), history_rows(turns))

    with results_only() as output, refusals():
        asyncio.run(show(output))
