"""How one turn is taken: the message is decided and applied, and the program run, all in memory.

    decide ─► apply ─► activate the program ─► decide what it asked for ─► apply ─► ... until nothing activates

Nothing here waits, stores or sends; the result says what to make durable and what to release after that.
"""

from __future__ import annotations

import msgspec

from understudy_runtime.actors.cell import Cell
from understudy_runtime.core.kinds import Input
from understudy_runtime.core.messages import Activated, AnyMessage, Decision, Hold
from understudy_runtime.core.ports import Programs
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.runs import ExecutionStarted


class MustRevive(Exception):
    """The program is needed and not in memory. Nothing has been applied: take the same message again later."""


class NotHere(Exception):
    """The program is needed, and this node does not have its definition. Nothing has been applied."""

    def __init__(self, definition: str) -> None:
        super().__init__(definition)
        self.definition = definition


def take(cell: Cell, message: AnyMessage, now: float, programs: Programs) -> Decision:
    """One turn. The decision's `append` holds all records of the turn, in order; its reply is the first one's."""
    machine, state, seq = cell.machine, cell.state, cell.seq + 1
    decision = machine.decide(state, message, now)
    if decision.activate and cell.program is None:
        prepare(cell, decision.append[0] if decision.append else None, programs)
    apply = machine.apply
    for record in decision.append:
        apply(state, record, now, seq)
    if not decision.activate:
        if cell.program is not None:
            cell.undelivered += _inputs(decision.append)
        return decision
    taken, step, rounds = decision, decision, 0
    records = decision.append
    while step.activate:
        rounds += 1
        activated = _activate(cell, step.append, now, programs)
        if rounds > 1:
            activated = msgspec.structs.replace(activated, round=rounds)
        step = machine.decide(state, activated, now)
        for record in step.append:
            apply(state, record, now, seq)
        records = records + step.append
        _merge(taken, step)
    taken.append = records
    return taken


def prepare(cell: Cell, first: AnyRecord | None, programs: Programs) -> None:
    """See to it that there is (or, for an execution's first record, can be) a program, or say what is missing."""
    starts = first if type(first) is ExecutionStarted else None
    definition = starts.workflow if starts is not None else cell.machine.facts(cell.state).definition
    if not programs.has(cell.kind, definition):
        raise NotHere(definition)
    if starts is not None:
        return
    if cell.machine.replay_from(cell.state) is not None:
        raise MustRevive
    cell.program = programs.create(cell.key, definition, cell.machine.value(cell.state))


def _activate(cell: Cell, records: list[AnyRecord], now: float, programs: Programs) -> Activated:
    inputs = _inputs(records)
    if type(inputs[0]) is ExecutionStarted:
        cell.undelivered = []
        cell.drop_program()
        cell.program = programs.create(cell.key, inputs[0].workflow, None)
    if cell.undelivered:
        inputs = cell.undelivered + inputs
        cell.undelivered = []
    program = cell.program
    assert program is not None
    activated = program.activate(now, inputs)
    if activated.held is not None:
        cell.drop_program()
        return Activated([], Hold(activated.held.why, activated.held.detail))
    return activated


def _inputs(records: list[AnyRecord]) -> list[AnyRecord]:
    return [record for record in records if isinstance(record, Input)]


def _merge(taken: Decision, step: Decision) -> None:
    taken.send += step.send
    taken.execute += step.execute
    taken.abandon += step.abandon
    taken.settled += step.settled
    taken.closed = taken.closed or step.closed
    if step.timer is not None:
        taken.timer = step.timer if taken.timer is None else min(taken.timer, step.timer)
