"""Runs and actors are one kind of program to what they share, though each lists what it knows in its own snapshot."""

from __future__ import annotations

import ast
import inspect
import textwrap

import msgspec
import pytest

from tests.core.tracing import Bench
from understudy_runtime.core.actor import ActorState
from understudy_runtime.core.messages import Recovered
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.records.programs import Held, Released
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


@pytest.mark.parametrize("begun", [["run", "r"], ["actor", "Tally", "a"]], ids=["run", "actor"])
def test_what_an_earlier_release_let_go_with_an_uncertain_job_is_held_again_when_it_is_loaded(begun: list[str]) -> None:
    bench = Bench(begun)
    bench.turn(["start greet" if begun[0] == "run" else "deliver add", "> task 1 step job=hold"])
    bench.turn(["recovered"])
    cell = bench.cell
    cell.machine.apply(cell.state, Released(), 1.0, cell.seq + 1)
    assert cell.state.held is None
    (held,) = cell.machine.decide(cell.state, Recovered(), 2.0).append
    assert isinstance(held, Held)
    assert held.why == "uncertain"
    assert "jobs settle" in held.detail
    cell.machine.apply(cell.state, held, 2.0, cell.seq + 2)
    assert cell.machine.facts(cell.state).status == "held"


def shared() -> set[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(ProgramState)))
    hidden = next(node for node in ast.walk(tree) if isinstance(node, ast.If))
    return {ast.unparse(node.target) for node in hidden.body if isinstance(node, ast.AnnAssign)}
