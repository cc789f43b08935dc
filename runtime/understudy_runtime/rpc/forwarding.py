"""Any node takes any call: what is for an actor of another node is carried out there, wherever that is by then.

    call ──► here? ──yes──► Calls
              │ no                ╲ Misplaced, or the other node is gone
              ▼                    ▼
          neighbour ──answer──►  look again, when the view has changed, for at most PATIENCE_S

What has come from another node goes no further; it only waits for a shard that is just being opened here (`Arriving`).

A call is made safe to repeat before it is carried out for the first time (`routing.ready`), so trying again is never
doing again. Where the actor moves while a call waits for it, whoever ran it says so, and the wait goes on elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final

from understudy.errors import Misplaced, Unreachable
from understudy_runtime.core.membership import Member
from understudy_runtime.rpc.calls import Behaviours, Calls
from understudy_runtime.rpc.errors import NodeClosing
from understudy_runtime.rpc.neighbours import Neighbours
from understudy_runtime.rpc.routes import Routes
from understudy_runtime.rpc.routing import KEY_OF, WAITS, NewId, patience_s, ready, set_patience

PATIENCE_S: Final = 30.0
"""How long an actor may be in no node's hands before a call for it is refused. A failover takes some 13 s."""
FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.5
OPENING_S: Final = 1.0
"""How long a call from another node may wait for its actor's shard to be opened here."""
"""Between two looks, unless the view changes: it may be right, and the node that it names about to open the shard."""


class Forwarding:
    """`Behaviours` of all nodes. `calls` are this node's own."""

    def __init__(self, calls: Calls, routes: Routes, neighbours: Neighbours, namespace: str, new_id: NewId) -> None:
        self._calls = calls
        self._routes = routes
        self._neighbours = neighbours
        self._namespace = namespace
        self._new_id = new_id
        self._now = asyncio.get_running_loop().time
        calls.anywhere = self.behaviour

    def behaviour(self, method: str) -> Callable[[Any], Any]:
        if method == "watch_run":
            return self._watch_run
        return partial(self._carry_out, method) if method in KEY_OF else self._calls.behaviour(method)

    async def _carry_out(self, method: str, request: Any) -> Any:
        ready(method, request, self._namespace, self._new_id)
        key = KEY_OF[method](request)
        if self._routes.here(key):
            try:
                return await self._calls.behaviour(method)(request)
            except Misplaced:
                pass
        left_s = patience_s(method, request)
        until = None if left_s is None else self._now() + left_s

        async def there(member: Member | None) -> Any:
            if until is not None:
                set_patience(method, request, until - self._now())
            if member is None:
                return await self._calls.behaviour(method)(request)
            if method not in WAITS:
                return await self._neighbours.call(member, method, request)
            with self._calls.place():
                return await self._neighbours.call(member, method, request, waits=True)

        return await self._wherever(key, there, waits=method in WAITS)

    async def _wherever(self, key: str, carry_out: Callable[[Member | None], Awaitable[Any]], *, waits: bool) -> Any:
        """Have it carried out by whoever runs the actor: a neighbour, or (None) this node."""
        lost = _Lost(self._now())
        while True:
            here = self._routes.here(key)
            member = None if here else self._routes.where(key)
            if here or member is not None:
                began = self._now()
                try:
                    return await carry_out(member)
                except (Misplaced, Unreachable) as error:
                    lost = lost.again(error, began, self._now(), waits=waits)
            await self._look_again(lost, key)

    async def _look_again(self, lost: _Lost, key: str) -> None:
        if self._calls.closing:
            raise NodeClosing
        if self._now() - lost.since > PATIENCE_S:
            why = f": {lost.why}" if lost.why else ""
            raise Misplaced(f"no node runs {key}; are there nodes, and do they reach the store? Ask again{why}")
        await self._routes.changed(lost.pause_s)
        lost.pause_s = min(2 * lost.pause_s, LONGEST_PAUSE_S)

    async def _watch_run(self, request: Any) -> AsyncIterator[Any]:
        ready("watch_run", request, self._namespace, self._new_id)
        key, lost = KEY_OF["watch_run"](request), _Lost(self._now())
        while True:
            here = self._routes.here(key)
            member = None if here else self._routes.where(key)
            if here or member is not None:
                source = self._calls.watch_run(request) if member is None else self._watched(member, request)
                began = self._now()
                try:
                    async for response in source:
                        if response.turns:
                            request.after_seq = response.turns[-1].seq
                        yield response
                    return
                except (Misplaced, Unreachable) as error:
                    lost = lost.again(error, began, self._now(), waits=True)
            await self._look_again(lost, key)

    async def _watched(self, member: Member, request: Any) -> AsyncIterator[Any]:
        with self._calls.place():
            async for response in self._neighbours.watch(member, "watch_run", request):
                yield response


class Arriving:
    """`Behaviours` of what other nodes ask. Without the wait, they would ask again and again, in growing pauses."""

    def __init__(self, calls: Behaviours, routes: Routes) -> None:
        self._calls = calls
        self._routes = routes
        self._now = asyncio.get_running_loop().time

    def behaviour(self, method: str) -> Callable[[Any], Any]:
        own = self._calls.behaviour(method)
        return partial(self._once_open, KEY_OF[method], own) if method in KEY_OF and method != "watch_run" else own

    async def _once_open(self, key_of: Callable[[Any], str], own: Callable[[Any], Any], request: Any) -> Any:
        key = key_of(request)
        if self._routes.coming(key):
            until = self._now() + OPENING_S
            while self._routes.coming(key) and (left_s := until - self._now()) > 0:
                await self._routes.changed(left_s)
        return await own(request)


class _Lost:
    """A call that looks for its actor, since `since`."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.pause_s = FIRST_PAUSE_S
        self.why: Exception | None = None

    def again(self, error: Exception, began: float, now: float, *, waits: bool) -> _Lost:
        """It had found somebody at `began`, and must look again. One that waited there for long had not been lost."""
        lost = _Lost(now) if waits and now - began > LONGEST_PAUSE_S else self
        lost.why = error
        return lost
