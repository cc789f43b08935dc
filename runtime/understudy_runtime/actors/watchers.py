"""Those who wait for runs to end: told once, when the run has ended or is held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from understudy.errors import Bug, UnknownName
from understudy_runtime.actors.cell import Cell, ReplyTo
from understudy_runtime.core.messages import Decision, Describe, Description, Refused, Reply
from understudy_runtime.core.records.programs import Held

Watcher = Callable[[Description | BaseException], None]

_NOBODY: Final[dict[int, Callable[[], None]]] = {}


class Deliver(Protocol):
    def deliver(self, key: str, message: Describe, reply: ReplyTo | None = None) -> None: ...


class Watchers:
    def __init__(self, engine: Deliver) -> None:
        self._engine = engine
        self._watching: dict[str, dict[int, Watcher]] = {}
        self._following: dict[str, dict[int, Callable[[], None]]] = {}
        self._count = 0

    def watch(self, key: str, watcher: Watcher, *, is_running: bool) -> Callable[[], object]:
        """Tell `watcher` at once if the run has ended already; the result takes the watch back.

        `is_running` says that it has not, so that the release of its end, or of its being held, is still to come.
        """
        self._count += 1
        number = self._count
        self._watching.setdefault(key, {})[number] = watcher
        if not is_running:
            self._engine.deliver(key, Describe(), lambda reply: self._described(key, number, reply))
        return lambda: self._forget(key, number)

    def follow(self, key: str, changed: Callable[[], None]) -> Callable[[], object]:
        """Call `changed` whenever a turn of the actor that recorded something is released; the result ends that."""
        self._count += 1
        number = self._count
        self._following.setdefault(key, {})[number] = changed
        return lambda: self._unfollow(key, number)

    def look(self, cell: Cell, decision: Decision) -> None:
        """The decision is released: whom does it concern, and does it end what anybody waits for?"""
        for changed in self._following.get(cell.key, _NOBODY).values():
            changed()
        if (
            cell.key in self._watching
            and (decision.closed or any(type(record) is Held for record in decision.append))
            and isinstance(reply := cell.machine.decide(cell.state, Describe(), cell.at).reply, Description)
            and reply.status != "running"  # it has gone on by now, in a turn that is not released yet
        ):
            for watcher in self._watching.pop(cell.key).values():
                watcher(reply)

    def _unfollow(self, key: str, number: int) -> None:
        followers = self._following.get(key, {})
        followers.pop(number, None)
        if not followers:
            self._following.pop(key, None)

    def turn_away(self, error: BaseException, concerned: Callable[[str], bool] = lambda key: True) -> None:
        """Tell those who wait for runs whose keys are `concerned` that they wait in vain, and those who follow them to
        look for themselves.
        """
        for key in [key for key in self._following if concerned(key)]:
            for changed in list(self._following[key].values()):
                changed()
        for key in [key for key in self._watching if concerned(key)]:
            for watcher in self._watching.pop(key).values():
                watcher(error)

    def turn_away_from(self, key: str, error: BaseException) -> None:
        """`turn_away` of those who are concerned with this one run."""
        if key in self._watching or key in self._following:
            self.turn_away(error, lambda each: each == key)

    def _described(self, key: str, number: int, reply: Reply | BaseException) -> None:
        if isinstance(reply, Description) and reply.status == "running":
            return
        watcher = self._forget(key, number)
        if watcher is None:
            return
        match reply:
            case Description() | BaseException():
                watcher(reply)
            case Refused(message=message):
                watcher(UnknownName(message))
            case _:
                watcher(Bug(f"{key} answered Describe with {reply!r}"))

    def _forget(self, key: str, number: int) -> Watcher | None:
        watchers = self._watching.get(key)
        if watchers is None:
            return None
        watcher = watchers.pop(number, None)
        if not watchers:
            del self._watching[key]
        return watcher
