"""The entrance for new work: each call is asked here once, before anything is done for it, so that refusing is cheap.

Who repeats what was let in (by its idempotency key, or as the holder of the same lease) is let in again, however busy
the node is: the answer to the first sending is there or on its way, and being told to try again would be a lie. Keys
are remembered as numbers, the latest `KEYS` at least and twice as many at most; a repetition that comes after so many
others is taken for new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import Message

from understudy.errors import Overloaded
from understudy_proto.v1 import actors_pb2, resources_pb2, runs_pb2, schedules_pb2
from understudy_runtime.rpc.ports import Admit

KEYS: Final = 65_536
"""Some 70 bytes each."""


def _its_own(request: Any) -> tuple[str, str]:
    return request.namespace, request.idempotency_key


def _its_holder(request: resources_pb2.AcquireRequest) -> tuple[str, str]:
    return request.namespace, f"{request.address}\0{request.holder}"


_NEW_WORK: Final[dict[type, Callable[[Any], tuple[str, str]]]] = {
    runs_pb2.StartRunRequest: _its_own,
    runs_pb2.StartAndWaitRequest: lambda request: _its_own(request.start),
    actors_pb2.TellRequest: _its_own,
    actors_pb2.AskRequest: _its_own,
    schedules_pb2.TriggerScheduleRequest: _its_own,
    schedules_pb2.BackfillScheduleRequest: _its_own,
    resources_pb2.AcquireRequest: _its_holder,
}
"""Namespace and idempotency key of the requests that bring work; all others are let in."""


class Entrance:
    """`admit` says whether the node can carry more."""

    def __init__(self, admit: Admit, keys: int = KEYS) -> None:
        self._admit = admit
        self._keys = keys
        self._young: set[int] = set()
        self._old: set[int] = set()

    def let_in(self, request: Message) -> None:
        """Overloaded if it must come again later."""
        named = _NEW_WORK.get(type(request))
        if named is None:
            return
        name = named(request)
        known = hash(name) if name[1] else None
        try:
            self._admit()
        except Overloaded:
            if known in self._young or known in self._old:
                return
            raise
        if known is not None:
            self._remember(known)

    def _remember(self, known: int) -> None:
        if len(self._young) >= self._keys:
            self._old, self._young = self._young, set()
        self._young.add(known)
