"""`--input`: from what a person typed to the encoded arguments of a workflow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from understudy.definitions import WorkflowDefinition
from understudy.errors import BadInput


class Arguments(NamedTuple):
    encoded: bytes
    digest: str


def arguments(workflow: WorkflowDefinition, input: str | None) -> Arguments:
    """The workflow's arguments; None is no arguments at all. BadInput if they do not fit its signature."""
    if input is None:
        return Arguments(*workflow.call.encode(()))
    return Arguments(*workflow.call.from_json(text_of(input)))


def text_of(input: str, option: str = "--input") -> str:
    """The JSON itself. BadInput if the file cannot be read."""
    if not input.startswith("@"):
        return input
    name = input[1:]
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"{option} {input}: {getattr(error, 'strerror', None) or error}") from None
