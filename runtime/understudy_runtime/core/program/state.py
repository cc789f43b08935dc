"""What the machines of runs and of actors both know, and what each kind says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from understudy_runtime.core.calls import Caller, Calls
from understudy_runtime.core.deliveries import Deliveries
from understudy_runtime.core.kinds import Sender
from understudy_runtime.core.leases import Leases
from understudy_runtime.core.messages import Hold, Refused, Reply


class ProgramState(msgspec.Struct, omit_defaults=True):
    """What both have. A kind lists these fields among its own, for its Struct is its snapshot, and fields of a base
    would come first: snapshots would be written in another order than they always were.

    `timer` is when the program wants to be woken; `warnings` counts what a person should look at.
    """

    UNAWAITED: ClassVar[str]
    """Why child runs are cancelled that nobody awaits any more."""

    if TYPE_CHECKING:
        key: str
        created_at: float
        turns: int
        last_seq: int
        calls: Calls
        deliveries: Deliveries
        leases: Leases
        timer: float | None
        warnings: int
        held: Hold | None

    @property
    def caller(self) -> Caller:
        """Whose calls are open: the execution under way."""
        raise NotImplementedError

    @property
    def shown(self) -> str:
        """What people call it."""
        raise NotImplementedError

    @property
    def absent(self) -> Refused | None:
        """What is answered about it while nothing has happened to it yet."""
        raise NotImplementedError

    @property
    def not_held(self) -> Reply:
        """What a release is answered when nothing holds it."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """Whether it has ended, so that nothing can hold it any more."""
        return False

    @property
    def poisoned(self) -> bool:
        """Whether it kills its nodes, so that nothing of it may be run until a person has released it."""
        return self.held is not None and self.held.why == "poisoned"

    @property
    def must_be_loaded(self) -> bool:
        """Whether whoever takes its shard over has to go on with it at once."""
        return self.held is not None or self.calls.under_way or self.leases.busy

    def waiting(self, delivery: int) -> tuple[Sender, ...]:
        """The calls that wait for what the handler of `delivery` asks for (0: no handler); see `core.chains`."""
        raise NotImplementedError
