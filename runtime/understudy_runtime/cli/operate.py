"""`understudy runs retry | release | cancel | terminate`: each opens a node and follows the run to its end.

The workflow's code is needed: `--target`, or where it was last run from. A dry run opens no node, because a node would
go on with whatever is open in the store.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from understudy.door import RetryPlan
from understudy.errors import BadRequest
from understudy.target import WorkflowTarget, load_app
from understudy_runtime.cli import begin
from understudy_runtime.cli.arguments import Arguments, arguments
from understudy_runtime.cli.begin import Begin
from understudy_runtime.cli.finish import follow_to_the_end
from understudy_runtime.cli.follow import Following
from understudy_runtime.cli.origins import check_origin, target_of
from understudy_runtime.cli.output import note, results_only
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.render import plan_facts, plan_lines, pretty
from understudy_runtime.cli.stored import OPEN, Stored, reading, unknown
from understudy_runtime.core.keys import run_key
from understudy_runtime.core.records import Turn
from understudy_runtime.core.run import CLOSED
from understudy_runtime.execution.programs import AppPrograms
from understudy_runtime.node.retrying import planned


class Operation(msgspec.Struct, frozen=True):
    """What all of these commands are told. `options` are those that the command to go on with must repeat."""

    run_id: str
    spec: str | None
    place: Place
    as_json: bool
    options: tuple[str, ...]


def retry_run(operation: Operation, input: str | None, redo: Sequence[str], keep: Sequence[str], dry_run: bool) -> None:
    with results_only() as output, refusals():
        with reading(operation.place) as stored:
            workflow = _workflow_of(stored, operation.run_id, CLOSED)
            history = stored.history(operation.run_id)
        following = _following(operation, workflow)
        given = None if input is None else arguments(following.target.workflow, input)
        plan = _plan(following, operation.run_id, history, given, redo, keep)
        if dry_run:
            output.result(pretty(plan_facts(plan)) if operation.as_json else plan_lines(plan))
            return
        note(plan_lines(plan))
        follow_to_the_end(following, begin.retry(operation.run_id, given, redo, keep), output, operation.as_json)


def _plan(
    following: Following,
    run_id: str,
    history: list[Turn],
    given: Arguments | None,
    redo: Sequence[str],
    keep: Sequence[str],
) -> RetryPlan:
    """What the next execution would do: the workflow's code is tried on a copy, without a node."""
    return planned(
        AppPrograms([following.target.app], None),
        run_key(following.place.namespace, run_id),
        history,
        Raw(given.encoded) if given else None,
        given.digest if given else "",
        redo=redo,
        keep=keep,
        now=history[-1].at,
    )[1]


def release_run(operation: Operation) -> None:
    _move(operation, {"held"}, begin.resume(operation.run_id))


def cancel_run(operation: Operation, reason: str) -> None:
    _move(operation, OPEN, begin.cancel(operation.run_id, reason))


def terminate_run(operation: Operation, reason: str) -> None:
    _move(operation, OPEN, begin.terminate(operation.run_id, reason))


def _move(operation: Operation, statuses: frozenset[str] | set[str], how: Begin) -> None:
    with results_only() as output, refusals():
        with reading(operation.place) as stored:
            workflow = _workflow_of(stored, operation.run_id, statuses)
        follow_to_the_end(_following(operation, workflow), how, output, operation.as_json)


def _workflow_of(stored: Stored, run_id: str, statuses: frozenset[str] | set[str]) -> str:
    """The name of the run's workflow; BadRequest if the run does not stand as it must."""
    row = stored.row(run_id)
    if row is None:
        raise unknown(run_id)
    if row.status not in statuses:
        raise BadRequest(f"run {run_id} is {row.status}; it would have to be {' or '.join(sorted(statuses))}")
    return row.definition


def _following(operation: Operation, workflow: str) -> Following:
    spec = operation.spec or target_of(operation.place, workflow)
    app = load_app(spec)
    if workflow not in app.workflows:
        raise BadRequest(f"run {operation.run_id} is of workflow {workflow}, which is not in {spec}")
    check_origin(operation.place, app)
    return Following(WorkflowTarget(app, app.workflows[workflow]), spec, operation.place, operation.options)
