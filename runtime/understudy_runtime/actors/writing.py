"""What a turn makes durable: its journal row, the messages it sends and takes in, and at times the actor's row.

The actor's row is written when its status changes, and when a duty comes before what the row says
(`parked_until`). A later duty is written only when the actor is parked: until then the row is merely early.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from understudy_runtime.actors import journal
from understudy_runtime.actors.cell import Cell
from understudy_runtime.core.messages import ActorFacts, Decision, Send
from understudy_runtime.core.ports import ActorRow, InboxRow, TurnWrite
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.jobs import JobStopped
from understudy_runtime.core.records.programs import Held, Released
from understudy_runtime.core.records.resources import ResourceMoved
from understudy_runtime.core.records.runs import Cancelled, Completed, Ended, ExecutionStarted, Failed
from understudy_runtime.core.records.schedules import ScheduleDeleted, SchedulePaused, ScheduleResumed, ScheduleSet

SNAPSHOT_TURNS: Final = 256
"""A loaded actor applies about so many turns at most."""
PARK_SNAPSHOT_TURNS: Final = 32
SENDS_PER_TURN: Final = 1 << 20
"""Numbers of durable messages are the turn's number and a place in it."""
FOREVER: Final = float("inf")

_ROW_RECORDS: Final = frozenset(
    {ExecutionStarted, Completed, Failed, Cancelled, Ended, Held, Released, JobStopped}
) | frozenset({ScheduleSet, SchedulePaused, ScheduleResumed, ScheduleDeleted, ResourceMoved})
"""Records after which the actor's row says something else."""


def turn(cell: Cell, decision: Decision, consumed: tuple[str, int] | None, now: float, build: str) -> TurnWrite | None:
    """The write of a turn just taken, which counts it; None if it leaves nothing to remember."""
    taken_in = () if consumed is None else (consumed,)
    records = decision.append
    if records:
        cell.seq += 1
        cell.at = now
        if cell.seq == 1:
            cell.created_at = now
        body, blobs = journal.encode(records)
        write = TurnWrite(cell.key, cell.seq, now, body, blobs=blobs, consumed=taken_in)
        _note_row(cell, records, write, build)
    elif taken_in or decision.send:
        write = TurnWrite(cell.key, cell.seq, now, consumed=taken_in)
    else:
        return None
    if decision.send:
        write.sent = _inbox_rows(cell, decision.send, cell.seq * SENDS_PER_TURN if records else -_number(consumed))
    return write


def park(cell: Cell, build: str, horizon: float) -> TurnWrite | None:
    """The write that lets an idle actor leave memory; None if its row is right as it stands."""
    facts = cell.machine.facts(cell.state)
    wanted = _wanted(cell, facts)
    assert wanted is not None
    # A row that is early within the horizon would have the actor loaded for nothing.
    if cell.parked is not None and cell.parked <= wanted and (cell.parked == wanted or cell.parked > horizon):
        return None
    write = TurnWrite(cell.key, cell.seq, cell.at, row=_row(cell, facts, wanted, build))
    if cell.seq - cell.snapshot_seq >= PARK_SNAPSHOT_TURNS:
        _snapshot(cell, write)
    return write


def _note_row(cell: Cell, records: list[AnyRecord], write: TurnWrite, build: str) -> None:
    changed = cell.seq == 1 or any(type(record) in _ROW_RECORDS for record in records)
    if changed or cell.parked is not None:
        facts = cell.machine.facts(cell.state)
        wanted = _wanted(cell, facts)
        if changed or wanted is None or (cell.parked is not None and wanted < cell.parked):
            write.row = _row(cell, facts, wanted, build)
    if cell.seq - cell.snapshot_seq >= SNAPSHOT_TURNS:
        _snapshot(cell, write)


def _wanted(cell: Cell, facts: ActorFacts) -> float | None:
    """What `parked_until` should be: None while the actor has work under way."""
    if facts.open:
        return None
    duty = cell.machine.next_duty(cell.state)
    return FOREVER if duty is None else duty


def _row(cell: Cell, facts: ActorFacts, parked_until: float | None, build: str) -> ActorRow:
    cell.parked = parked_until
    return ActorRow(
        cell.key,
        cell.kind,
        facts.definition,
        facts.status,
        facts.execution,
        facts.digest,
        build,
        cell.created_at,
        cell.at,
        facts.closed_at,
        parked_until,
    )


def _snapshot(cell: Cell, write: TurnWrite) -> None:
    write.snapshot = cell.machine.encode(cell.state)
    cell.snapshot_seq = cell.seq


def _number(consumed: tuple[str, int] | None) -> int:
    """What an answer that leaves no record is numbered by, negatively: the message that it answers."""
    assert consumed is not None
    return consumed[1]


def _inbox_rows(cell: Cell, sends: Sequence[Send], first: int) -> list[InboxRow]:
    return [
        InboxRow(send.to, cell.key, first + i, journal.encode_message(send.message)) for i, send in enumerate(sends)
    ]
