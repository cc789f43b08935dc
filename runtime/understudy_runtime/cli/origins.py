"""A note beside the store of which files the code of its runs came from.

A run knows its workflow by name only, and two scripts in one folder may well both have a `main`. The note
(`<store>.targets.json`) says for each name which files it was run from, the newest last. That one is the code
that the open runs of the name began with, because no other file's is run while there are any (`check_origin`).
`runs retry` finds the code there as well, unless it would have to guess. Whatever is wrong with the note counts
as not knowing.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import msgspec

from understudy.app import App
from understudy.definitions import WorkflowDefinition
from understudy.errors import BadRequest
from understudy.target import is_workflow
from understudy.workflows import workflow_of
from understudy_runtime.cli.place import Place
from understudy_runtime.cli.stored import OPEN, reading
from understudy_runtime.core.keys import id_of

Origins = dict[str, dict[str, str]]
"""namespace/workflow -> file of the code -> the target that names it."""


def target_of(place: Place, workflow: str) -> str:
    """Where the code of that workflow is. BadRequest if nobody knows, or if it has been in several files."""
    targets = {file: target for file, target in _known(place, workflow).items() if Path(file).exists()}
    if not targets:
        raise BadRequest(f"where is the code of workflow {workflow}? Say so with --target path/to/file.py:name")
    if len(targets) > 1:
        raise BadRequest(
            f"workflow {workflow} has been run from {' and '.join(targets.values())}: say which with --target"
        )
    return next(iter(targets.values()))


def check_origin(place: Place, app: App) -> None:
    """BadRequest if a node of this app would go on with runs that another file's code began."""
    if not place.has_store:
        return
    with reading(place) as stored:
        for workflow in app.workflows.values():
            file, target = next(reversed(_known(place, workflow.name).items()), ("", ""))
            if file == _file_of(workflow) or not Path(file).is_file():
                continue
            row = next((row for status in sorted(OPEN) for row in stored.rows(status, workflow.name, 1)), None)
            if row is not None:
                raise BadRequest(
                    f"run {id_of(row.key)} of workflow {workflow.name} was begun by {target} and has not ended: "
                    "finish or cancel it there, or use another --store; if its code has moved, `run` it with --adopt"
                )


def note_origin(place: Place, app: App) -> None:
    """Note that the app's workflows are run from where they are now."""
    if place.file is None:
        return
    origins = _read(place.file)
    before = msgspec.json.encode(origins)
    for workflow in app.workflows.values():
        known = origins.setdefault(f"{place.namespace}/{workflow.name}", {})
        known.pop(_file_of(workflow), None)
        known[_file_of(workflow)] = _target_of(workflow)
    if msgspec.json.encode(origins) != before:
        _write(place.file, origins)


def _known(place: Place, workflow: str) -> dict[str, str]:
    return {} if place.file is None else _read(place.file).get(f"{place.namespace}/{workflow}", {})


def _module_of(workflow: WorkflowDefinition) -> ModuleType:
    return sys.modules[workflow.entry.__module__]


def _file_of(workflow: WorkflowDefinition) -> str:
    return str(Path(_module_of(workflow).__file__ or "").resolve())


def _target_of(workflow: WorkflowDefinition) -> str:
    """A target that fits from every folder; of a package, from wherever that can be imported."""
    module = _module_of(workflow)
    names = (name for name, value in vars(module).items() if is_workflow(value) and workflow_of(value)[1] is workflow)
    return f"{module.__name__ if module.__package__ else _file_of(workflow)}:{next(names, workflow.entry.__name__)}"


def _read(store: Path) -> Origins:
    try:
        return msgspec.json.decode(_note(store).read_bytes(), type=Origins)
    except (OSError, msgspec.MsgspecError):
        return {}


def _write(store: Path, origins: Origins) -> None:
    with suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        fresh = _note(store).with_suffix(f".{os.getpid()}")
        fresh.write_bytes(msgspec.json.encode(origins))
        fresh.replace(_note(store))


def _note(store: Path) -> Path:
    return store.with_name(f"{store.name}.targets.json")
