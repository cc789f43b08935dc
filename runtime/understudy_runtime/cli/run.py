"""`understudy run`: one workflow, from where it is to its end."""

from __future__ import annotations

from understudy.definitions import WorkflowDefinition
from understudy.door import Outcome
from understudy.errors import BadRequest
from understudy.target import load_workflow
from understudy_runtime.cli.arguments import Arguments, arguments
from understudy_runtime.cli.begin import Begin, resume, start
from understudy_runtime.cli.finish import finish, follow_to_the_end
from understudy_runtime.cli.follow import Following
from understudy_runtime.cli.origins import check_origin, note_origin
from understudy_runtime.cli.output import note, results_only
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.stored import OPEN, Stored, reading
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.ports import ActorRow
from understudy_runtime.node.described import outcome_of


def run_workflow(
    spec: str,
    input: str | None,
    run_id: str | None,
    place: Place,
    as_json: bool,
    options: tuple[str, ...],
    *,
    adopt: bool = False,
) -> None:
    with results_only() as output, refusals():
        target = load_workflow(spec)
        found = _choose(place, target.workflow, input, run_id)
        if isinstance(found, Outcome):
            note(f"run {found.run_id} has ended already")
            finish(found, output, as_json)
        if not adopt:
            check_origin(place, target.app)
        note_origin(place, target.app)
        follow_to_the_end(Following(target, spec, place, options), found, output, as_json)


def _choose(place: Place, workflow: WorkflowDefinition, input: str | None, run_id: str | None) -> Begin | Outcome:
    """Whether to start a run or to resume one; the outcome of a run that has ended already.

    The file is read before a node is opened: a finished run can be shown while another process has the store.
    """
    if run_id is not None:
        return _that_run(place, workflow, input, run_id)
    given = arguments(workflow, input)
    if place.has_store:
        with reading(place) as stored:
            row = stored.newest_open(workflow.name, given.digest)
        if row is not None:
            return resume(id_of(row.key))
    return start(workflow, given, None)


def _that_run(place: Place, workflow: WorkflowDefinition, input: str | None, run_id: str) -> Begin | Outcome:
    given = None if input is None else arguments(workflow, input)
    if place.has_store:
        with reading(place) as stored:
            row = stored.row(run_id)
            if row is not None:
                _check_same(stored, row, workflow, given)
                return resume(run_id) if row.status in OPEN else outcome_of(run_id, stored.describe(run_id))
    return start(workflow, given or arguments(workflow, None), run_id)


def _check_same(stored: Stored, row: ActorRow, workflow: WorkflowDefinition, given: Arguments | None) -> None:
    """BadRequest if the id is taken by a run of something else."""
    run_id = id_of(row.key)
    if row.definition != workflow.name:
        raise BadRequest(f"run {run_id} is of workflow {row.definition}, not {workflow.name}")
    if given is not None and not stored.has_input(row, given.digest):
        raise BadRequest(f"run {run_id} has another input: leave out --input to go on with it, or choose another --id")
