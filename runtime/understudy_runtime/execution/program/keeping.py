"""The stored state of a user-defined actor made an instance of its class, migrated if it is of an earlier version."""

from __future__ import annotations

from typing import Any

import msgspec

from understudy import values
from understudy.definitions import ActorDefinition
from understudy.errors import BadInput
from understudy_runtime.core.actor import Kept
from understudy_runtime.core.ports import StateUnfit
from understudy_runtime.execution.program.raising import failure_of
from understudy_runtime.execution.program.watchdog import Watchdog


def restored(definition: ActorDefinition, kept: Kept, watchdog: Watchdog | None) -> tuple[bytes, Any]:
    """The state as JSON, as the class now has it, and an instance of it. StateUnfit says what to do."""
    codec = definition.state
    try:
        if kept.state is None:
            state = codec.encode(codec.new())
        elif kept.version == definition.version:
            state = bytes(kept.state)
        else:
            state = _migrated(definition, kept, watchdog)
        return state, codec.decode(state)
    except StateUnfit:
        raise
    except BaseException as unfit:  # validators of the user's models are called here
        raise StateUnfit(
            f"{_where(definition, kept)} does not fit: {reason(unfit)}; {_advice(definition, kept)}"
        ) from unfit


def reason(error: BaseException) -> str:
    """Why a state does not fit, for people."""
    failure = failure_of(error)
    return failure.message if type(error) is BadInput else f"{failure.type}: {failure.message}"


def _migrated(definition: ActorDefinition, kept: Kept, watchdog: Watchdog | None) -> bytes:
    if kept.version > definition.version:
        raise StateUnfit(
            f"its state is of version {kept.version}, and the code here has {definition.name} of version "
            f"{definition.version}; deploy the newer code"
        )
    migration = _Migration(definition, kept)
    try:
        if watchdog is None:
            migration.run(None)
        else:
            watchdog.guard(migration, migration.run, None)
        return values.encode(migration.result, f"what migrate() of {definition.name} gave")
    except BaseException as error:
        raise StateUnfit(f"{_where(definition, kept)} failed: {reason(error)}; {_advice(definition, kept)}") from error


class _Migration:
    """One call of `migrate`, as the watchdog sees it: a turn of a single step."""

    def __init__(self, definition: ActorDefinition, kept: Kept) -> None:
        self._migrate = definition.migrate
        self._kept = kept
        self.result: Any = None
        self.steps = 0
        self.stalled: str | None = None

    def run(self, _: None) -> None:
        assert self._migrate is not None
        assert self._kept.state is not None
        self.result = self._migrate(msgspec.json.decode(self._kept.state), self._kept.version)
        if not isinstance(self.result, dict):
            raise TypeError(f"it gave a {type(self.result).__name__}, not a dict")


def _where(definition: ActorDefinition, kept: Kept) -> str:
    if kept.version == definition.version:
        return f"its state (version {kept.version})"
    return f"its state, migrated from version {kept.version} to {definition.version},"


def _advice(definition: ActorDefinition, kept: Kept) -> str:
    if kept.version == definition.version:
        return "deploy code that fits it, or raise the class's version and give it a migrate()"
    return "deploy a migrate() that does it"
