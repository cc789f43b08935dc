"""What an engine has for actors of other nodes, and what others have for its own: wakes here, attempts in `attempts`.

Wakes for one node are collected for as long as the loop is busy with what it has. Whatever is refused or lost on the
way is made up for: mail by the next scan, an attempt's report by its run's owner, who asks again or dispatches it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

import msgspec
import structlog

from understudy_runtime.core.membership import View
from understudy_runtime.core.messages import AnyMessage, AttemptEnded
from understudy_runtime.core.ports import Report
from understudy_runtime.core.transport import Envelope, Transport, Wake
from understudy_runtime.core.transport import Report as ReportEnvelope
from understudy_runtime.node.attempts import Attempts
from understudy_runtime.rpc.routes import Routes

WAKES_AT_ONCE: Final = 1_000
"""Keys in one envelope."""

log = structlog.get_logger("understudy.cluster")
_decode: Final = msgspec.json.Decoder(Report).decode


class Receives(Protocol):
    """The engine."""

    @property
    def hosting(self) -> Wakes: ...
    def deliver(self, key: str, message: AnyMessage) -> None: ...


class Wakes(Protocol):
    def wake(self, keys: Collection[str]) -> None: ...


class Post:
    """`Elsewhere` of the engine, and the `Receiver` of the transport. Used on the engine's loop.

    `scan` is to look for mail of all actors here, soon. `lost` hears of shards that the store takes no more from here.
    """

    def __init__(
        self,
        engine: Receives,
        transport: Transport,
        routes: Routes,
        attempts: Attempts,
        *,
        scan: Callable[[], None],
        lost: Callable[[Collection[int]], None],
    ) -> None:
        self._engine = engine
        self._transport = transport
        self._routes = routes
        self._attempts = attempts
        self._scan = scan
        self._lost = lost
        self._wakes: dict[str, dict[str, None]] = {}
        self._nodes: Collection[str] = ()

    def members(self, view: View) -> None:
        """Who is there, from now on."""
        self._nodes = tuple(view.members)
        self._transport.members(view)
        self._attempts.members(view)

    # --- Elsewhere

    def wake(self, key: str) -> None:
        member = self._routes.where(key)
        if member is None:
            return
        if not self._wakes:
            asyncio.get_running_loop().call_soon(self._send_wakes)
        self._wakes.setdefault(member.node, {})[key] = None

    def report(self, report: Report) -> None:
        self._attempts.pass_on(report)

    def lost(self, shards: Collection[int]) -> None:
        self._lost(shards)

    def _send_wakes(self) -> None:
        wakes, self._wakes = self._wakes, {}
        for node, keys in wakes.items():
            all_keys = tuple(keys)
            for first in range(0, len(all_keys), WAKES_AT_ONCE):
                self._transport.send(node, Wake(all_keys[first : first + WAKES_AT_ONCE]))

    # --- Receiver

    def on_envelope(self, from_node: str, envelope: Envelope) -> None:
        match envelope:
            case Wake(keys=()):
                self._scan()
            case Wake(keys=keys):
                # Those of shards that have moved on are found there, when they are opened.
                self._engine.hosting.wake(keys)
            case ReportEnvelope(body=body):
                self._take(from_node, body)
            case _:
                self._attempts.on_envelope(from_node, envelope)

    def on_broken(self, node: str) -> None:
        """Nobody knows any longer which actors were to be woken there, or who runs them now: all are asked to look."""
        self._scan()
        for other in self._nodes:
            self._transport.send(other, Wake(()))

    def on_reach(self, node: str, reached: bool) -> None:
        self._attempts.reached(node, reached)

    def _take(self, from_node: str, body: bytes) -> None:
        try:
            report = _decode(body)
        except msgspec.MsgspecError as error:
            log.warning("a report could not be read", node=from_node, why=str(error))
            return
        # One for an actor that is not here any more is told to its next owner, when that asks for it.
        if self._routes.here(report.token.key):
            if type(report) is AttemptEnded:
                self._attempts.reported(from_node, report.token)
            self._engine.deliver(report.token.key, report)
