"""What is kept or sent as JSON: of each format, its types and the code that encodes and decodes them.

This is the one place that says where a type is. When one moves, or its class is renamed, this file changes and the
goldens do not: they know a type by its tag, or by the name it has here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, get_args

import msgspec

from understudy import options, resourcing, scheduling
from understudy_runtime.actors import journal
from understudy_runtime.actors.loading import decode_message
from understudy_runtime.cluster.etcd import layout
from understudy_runtime.core import caution, messages, ports, records
from understudy_runtime.core.actor import ActorMachine
from understudy_runtime.core.actor.state import ActorState, Kept
from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.membership import Owner
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.core.resource.messages import LeaseGrant
from understudy_runtime.core.resource.state import ResourceState
from understudy_runtime.core.run import RunMachine
from understudy_runtime.core.run.state import RunState
from understudy_runtime.core.schedule import ScheduleMachine
from understudy_runtime.core.schedule.state import ScheduleState
from understudy_runtime.execution import wire as children
from understudy_runtime.execution.calendar import ZoneCalendar

Kind = type[msgspec.Struct]


class Format(NamedTuple):
    """`decode` is given the name of the type, for what does not say itself what it is."""

    kinds: Mapping[str, Kind]
    encode: Callable[[Any], bytes]
    decode: Callable[[str, bytes], Any]


def name_of(kind: Kind) -> str:
    return str(kind.__struct_config__.tag or kind.__name__)


def _tagged(union: Any) -> dict[str, Kind]:
    return {name_of(kind): kind for kind in get_args(union)}


def _row(record: Any) -> bytes:
    """A journal row with this record alone."""
    return journal.encode([record])[0]


def _of_row(_: str, data: bytes) -> Any:
    (record,) = journal.decode(ports.JournalRow(1, "default/run/r", 1, 0.0, data), {}).records
    return record


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _plain(kinds: Mapping[str, Kind]) -> Format:
    """JSON whose type the reader knows."""

    def decode(name: str, data: bytes) -> Any:
        return msgspec.json.decode(data, type=kinds[name])

    return Format(kinds, _encoded, decode)


def _telling(union: Any, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> Format:
    """JSON that says itself of which type it is."""

    def decoded(_: str, data: bytes) -> Any:
        return decode(data)

    return Format(_tagged(union), encode, decoded)


MACHINES: Final[dict[str, Any]] = {
    "run": RunMachine(),
    "actor": ActorMachine(),
    "schedule": ScheduleMachine(ZoneCalendar()),
    "resource": ResourceMachine(resourcing.ResourceOptions("lock"), "n1"),
}
STATES: Final[dict[str, Kind]] = {
    "run": RunState,
    "actor": ActorState,
    "schedule": ScheduleState,
    "resource": ResourceState,
}


def _snapshot(state: Any) -> bytes:
    name = next(name for name, kind in STATES.items() if type(state) is kind)
    return bytes(MACHINES[name].encode(state))


def _of_snapshot(name: str, data: bytes) -> Any:
    return MACHINES[name].decode(data)


REPLIES: Final[dict[str, Kind]] = {
    "Later": messages.Later,
    "OpenJobs": messages.OpenJobs,
    "Started": messages.Started,
    "Accepted": messages.Accepted,
    "Refused": messages.Refused,
    "Description": messages.Description,
    "Settled": messages.Settled,
    "ScheduleDescription": scheduling.ScheduleDescription,
    "Triggered": messages.Triggered,
    "BackfillBegun": messages.BackfillBegun,
    "ResourceDescription": resourcing.ResourceDescription,
}
VALUES: Final[dict[str, Kind]] = {
    "ActorFacts": messages.ActorFacts,
    "Dispatch": messages.Dispatch,
    "Failure": Failure,
    "JobInfo": messages.JobInfo,
    "JobOptions": options.JobOptions,
    "LeaseGrant": LeaseGrant,
    "ResourceOptions": resourcing.ResourceOptions,
    "RetryPolicy": options.RetryPolicy,
    "ScheduleSpec": scheduling.ScheduleSpec,
    "ScheduledRun": scheduling.ScheduledRun,
    "Sender": Sender,
    "TaskOptions": options.TaskOptions,
    "Token": messages.Token,
    "Watch": messages.Watch,
}
"""What records, messages and snapshots hold, or a peer is sent as JSON inside of an envelope."""
NOTES: Final[dict[str, Kind]] = {
    "Caution": caution.Caution,
    "CautionName": caution.Name,
    "Kept": Kept,
    "EtcdMeta": layout.Meta,
    "EtcdOwner": Owner,
    "EtcdSeat": layout.Seat,
}
"""What is kept of a shard, handed to an actor's program, and stored in etcd."""

FORMATS: Final[dict[str, Format]] = {
    "records": Format(_tagged(records.AnyRecord), _row, _of_row),
    "messages": _telling(messages.AnyMessage, journal.encode_message, decode_message),
    "reports": _plain(_tagged(ports.Report)),
    "replies": _plain(REPLIES),
    "values": _plain(VALUES),
    "notes": _plain(NOTES),
    "to_children": _telling(children.ToChild, _encoded, children.to_child.decode),
    "from_children": _telling(children.FromChild, _encoded, children.from_child.decode),
    "states": Format(STATES, _snapshot, _of_snapshot),
}
