"""`understudy runs list | show | history`: a look into the store's file, which needs no node and disturbs none."""

from __future__ import annotations

from typing import Final, get_args

from understudy.door import RunStatus
from understudy.errors import BadRequest
from understudy_runtime.cli.output import note, results_only
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import (
    complaint,
    facts,
    history_lines,
    lines,
    moment,
    outcome_of,
    pretty,
    row_facts,
    table,
)
from understudy_runtime.cli.stored import reading
from understudy_runtime.core.keys import id_of

STATUSES: Final[tuple[str, ...]] = get_args(RunStatus)


def list_runs(place: Place, status: str, workflow: str, limit: int, as_json: bool) -> None:
    with results_only() as output, refusals(), reading(place) as stored:
        found = stored.rows(_checked(status), workflow, limit)
        if as_json:
            output.result(pretty([row_facts(row) for row in found]))
        elif found:
            cells = [
                (id_of(row.key), row.definition, row.status, str(row.execution), moment(row.created_at) or "")
                for row in found
            ]
            output.result(table(("ID", "WORKFLOW", "STATUS", "EXECUTION", "CREATED"), cells))
        else:
            note("no runs")


def _checked(status: str) -> str:
    if status and status not in STATUSES:
        raise BadRequest(f"{status!r} is no status of a run; there are: {', '.join(STATUSES)}")
    return status


def show_run(place: Place, run_id: str, as_json: bool) -> None:
    with results_only() as output, refusals(), reading(place) as stored:
        description = stored.describe(run_id)
        shown = facts(description)
        if as_json:
            output.result(pretty(shown))
        elif "error" in shown:
            del shown["error"]
            output.result(f"{lines(shown)}\n\n{complaint(outcome_of(description))}")
        else:
            output.result(lines(shown))


def show_history(place: Place, run_id: str, as_json: bool) -> None:
    with results_only() as output, refusals(), reading(place) as stored:
        turns = stored.history(run_id)
        output.result(pretty(turns) if as_json else history_lines(turns))
