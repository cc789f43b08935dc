"""Runs and actors are one kind of program to what they share, though each lists what it knows in its own snapshot."""

from __future__ import annotations

import ast
import inspect
import textwrap

import msgspec
import pytest

from understudy_runtime.core.actor import ActorState
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.run import RunState


@pytest.mark.parametrize("kind", [RunState, ActorState])
def test_each_kind_has_what_programs_have_as_a_field_of_its_own(kind: type[msgspec.Struct]) -> None:
    """No checker of types would see that one is missing, because the base only says that they are there."""
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    assert shared() - set(fields) == set()
    assert [name for name in shared() if fields[name].required] == ["key"], "an older snapshot may lack any other"


def test_both_kinds_mean_the_same_by_what_they_share() -> None:
    run, actor = ({field.name: field.type for field in msgspec.structs.fields(kind)} for kind in (RunState, ActorState))
    assert {name: run[name] for name in shared()} == {name: actor[name] for name in shared()}


def shared() -> set[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(ProgramState)))
    hidden = next(node for node in ast.walk(tree) if isinstance(node, ast.If))
    return {ast.unparse(node.target) for node in hidden.body if isinstance(node, ast.AnnAssign)}
