"""What the machine knows of a run, and which of its finished tasks a retried execution may reuse."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from msgspec import Raw

from understudy_runtime.core import chains
from understudy_runtime.core.calls import Caller, Calls
from understudy_runtime.core.deliveries import Deliveries
from understudy_runtime.core.keys import id_of
from understudy_runtime.core.kinds import NULL, Failure, MaybeRaw, Sender
from understudy_runtime.core.leases import Leases
from understudy_runtime.core.messages import Hold, Refused
from understudy_runtime.core.program.state import ProgramState
from understudy_runtime.core.records.calls import TaskScheduled
from understudy_runtime.core.records.runs import ContinuedAsNew, Reusable

CLOSED: Final = frozenset({"succeeded", "failed", "cancelled", "terminated", "timed_out"})


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run was started with, where later executions may have another input."""

    input: Raw
    digest: str


class RunState(ProgramState, omit_defaults=True):
    """What the machine knows of a run; `status` is empty while there is none. Times in seconds since 1970.

    `deadline_s` bounds each execution that was not continued as new, `deadline` is when. `continued` is set while
    the next execution has still to begin: it does with whatever is next handed to user code.
    """

    UNAWAITED: ClassVar[str] = "its parent run no longer awaits it"

    key: str
    status: str = ""
    workflow: str = ""
    execution: int = 0
    input: Raw = NULL
    digest: str = ""
    build: str = ""
    parent: Sender | None = None
    created_at: float = 0.0
    deadline_s: float | None = None
    deadline: float | None = None
    closed_at: float | None = None
    began_seq: int = 0
    turns: int = 0
    last_seq: int = 0
    calls: Calls = msgspec.field(default_factory=Calls)
    deliveries: Deliveries = msgspec.field(default_factory=Deliveries)
    leases: Leases = msgspec.field(default_factory=Leases)
    timer: float | None = None
    continued: ContinuedAsNew | None = None
    cautioned: bool = False
    cancel_requested: bool = False
    reuse: dict[str, Reusable] = {}
    occurrences: dict[str, int] = {}
    warnings: int = 0
    held: Hold | None = None
    result: MaybeRaw = None
    failure: Failure | None = None
    chain: tuple[Sender, ...] = ()
    origin: Origin | None = None
    """Noted with the second execution; None in those after it where an earlier release did not note it."""

    @property
    def caller(self) -> Caller:
        return Caller(self.key, self.execution)

    @property
    def shown(self) -> str:
        return f"run {id_of(self.key)}"

    @property
    def absent(self) -> Refused | None:
        return None if self.status else Refused("UnknownName", f"there is no {self.shown}")

    @property
    def not_held(self) -> Refused:
        why = f"{self.shown} is not held, it is {self.status}: there is nothing to release it from"
        return self.absent or Refused("RunEnded" if self.over else "BadRequest", why)

    @property
    def over(self) -> bool:
        return self.status in CLOSED

    def waiting(self, delivery: int) -> tuple[Sender, ...]:
        """Those who wait for its handler, or for what the run itself does."""
        if delivery:
            return chains.waiting_for(self.deliveries.open.get(delivery))
        return chains.joined(self.chain, self.parent)

    @property
    def started_with(self) -> Origin | None:
        """None if that is not known."""
        return Origin(self.input, self.digest) if self.execution == 1 else self.origin

    def reusable(self, command: TaskScheduled, fresh: dict[str, int]) -> Raw | None:
        """The result of the previous execution that stands in for this call, if any.

        A call is matched by task, argument digest and occurrence; an entry without a digest matches by task and
        occurrence alone. `fresh` counts the occurrences that are not applied yet, this one included.
        """
        result = None
        for digest in (command.digest, ""):
            name = f"{command.task}:{digest}"
            fresh[name] = fresh.get(name, 0) + 1
            found = self.reuse.get(f"{name}:{self.occurrences.get(name, 0) + fresh[name]}")
            if result is None and found is not None and (not digest or found.version == command.options.version):
                result = found.result
        return result
