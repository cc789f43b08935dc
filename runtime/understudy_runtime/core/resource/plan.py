"""One turn on its way into a decision, and how the resource will stand after it."""

from __future__ import annotations

from copy import copy

from understudy.resourcing import ResourceOptions
from understudy_runtime.core.kinds import NULL, Failure, MaybeRaw, Sender
from understudy_runtime.core.messages import Decision, Dispatch
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.resources import OperationOver, OperationStarted, OperationTaken, ResourceMoved
from understudy_runtime.core.resource import duties
from understudy_runtime.core.resource.apply import apply_to_life, apply_to_line
from understudy_runtime.core.resource.state import Life, Line, ResourceState
from understudy_runtime.core.resource.states import State, allowed


class Plan:
    """`life` and `line(...)` are as they will be once the records noted so far are applied; `state` is as it is.

    In `gone` are those who have left the queue or lost their lease in this very turn, in `heard` those whose requests
    live on by it; `newcomer_rank` is set if the `newcomer` has joined the queue.
    """

    def __init__(self, state: ResourceState, options: ResourceOptions, node: str, now: float, epoch: int = 0) -> None:
        self.state = state
        self.options = options
        self.node = node
        self.now = now
        self._epoch = epoch
        self.decision = Decision()
        self.life: Life = copy(state.life)
        self.life.intents = dict(state.life.intents)
        self.gone: set[str] = set()
        self.heard: set[str] = set()
        self.newcomer = ""
        self.newcomer_rank: float | None = None
        self.deadline: float | None = None
        self._lines: dict[str, Line] = {}

    def note(self, record: AnyRecord) -> None:
        self.decision.append.append(record)
        apply_to_life(self.life, record, self.now)
        if isinstance(record, OperationTaken | OperationStarted | OperationOver):
            apply_to_line(self.line(record.operation), record, self.now)

    def move(self, to: State, cause: str, by: str = "", fence: int = 0, failure: Failure | None = None) -> None:
        assert allowed(self.life.state, to), f"{self.life.state} -> {to}"
        self.note(ResourceMoved(to, cause, by, fence or self.life.fence, self.node, failure))

    def execute(self, dispatch: Dispatch) -> None:
        self.decision.execute.append(dispatch)

    def number(self) -> int:
        """The next number of all that is asked or waited for; taken by the record that bears it."""
        return self.life.numbers + 1

    @property
    def next_fence(self) -> int:
        """Above all that were ever given; after a restore, also above those that the backup does not know of."""
        return max(self.life.fence, self._epoch) + 1

    def remember_deadline(self, at: float | None) -> None:
        if at is not None:
            self.deadline = at if self.deadline is None else min(self.deadline, at)

    def line(self, operation: str) -> Line:
        line = self._lines.get(operation)
        if line is None:
            line = copy(self.state.lines.get(operation, Line()))
            line.waiting = list(line.waiting)
            self._lines[operation] = line
        return line

    # --- what it is

    def can(self, method: str) -> bool:
        return method in self.options.driver

    @property
    def static(self) -> bool:
        return "create" not in self.options.driver

    @property
    def handle(self) -> MaybeRaw:
        """What the outside knows it by; what is static is known by its spec."""
        return (self.life.spec or NULL) if self.static else self.life.handle

    @property
    def capacity(self) -> int:
        return capacity_of(self.life, self.options)

    @property
    def name(self) -> str:
        return self.state.key.split("/", 1)[1]

    # --- the way out

    def finish(self) -> Decision:
        """The decision, with a timer for the earliest duty that may be new."""
        times = [
            duties.next_duty(self.life, self.options, {**self.state.lines, **self._lines}),
            self.deadline,
            self.state.deadlines[0][0] if self.state.deadlines else None,
        ]
        self.decision.timer = min((at for at in times if at is not None), default=None)
        return self.decision


def capacity_of(life: Life, options: ResourceOptions) -> int:
    """What an operator has set, or else what its users say (a semaphore), or else what the code says."""
    if life.capacity is not None:
        return life.capacity
    return options.capacity if life.declared is None else life.declared


def is_client(holder: Sender) -> bool:
    """Whether it is a program that is no workflow, known only to the door it came by."""
    return holder.key.split("/", 2)[1] == "client"
