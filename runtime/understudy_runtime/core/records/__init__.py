"""What is made durable: one journal row per turn, holding the turn's records in order.

A record is one of three things, and replay depends on telling them apart:

* an INPUT resolves something inside user code: it is handed to the program in an activation;
* a COMMAND is what the program asked for in answer; accepted, it is journalled as it stands, and on
  replay the program must ask for it again;
* a NOTE is bookkeeping of the machine: the program neither sees nor makes it.

So a row reads `inputs, commands, inputs, commands, ...` with notes anywhere, and each stretch of inputs up to
the next command is one activation. Values of user code are JSON already (`msgspec.Raw`) and stay so.
Times are seconds since 1970, of the store's clock. Records are versioned by their tag: a changed meaning gets a
new tag, and fields are only ever added with a default.

There is a module for each family; all of them together are `AnyRecord`, which is what a journal may hold.
"""

from __future__ import annotations

import msgspec

from understudy_runtime.core.records.actors import ActorRecord
from understudy_runtime.core.records.calls import CallRecord
from understudy_runtime.core.records.deliveries import DeliveryRecord
from understudy_runtime.core.records.jobs import JobRecord
from understudy_runtime.core.records.leases import LeaseRecord
from understudy_runtime.core.records.programs import ProgramRecord
from understudy_runtime.core.records.resources import ResourceRecord
from understudy_runtime.core.records.runs import RunRecord
from understudy_runtime.core.records.schedules import ScheduleRecord

AnyRecord = (
    RunRecord
    | CallRecord
    | DeliveryRecord
    | ProgramRecord
    | ActorRecord
    | LeaseRecord
    | JobRecord
    | ScheduleRecord
    | ResourceRecord
)


class Turn(msgspec.Struct, frozen=True):
    """One journal row, decoded: turn `seq` of its actor (from 1), at time `at`."""

    seq: int
    at: float
    records: list[AnyRecord]
