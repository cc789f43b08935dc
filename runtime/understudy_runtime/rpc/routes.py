"""`ViewRoutes`: who runs an actor, as the latest view has it. A hint: the one that it names may know better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.membership import Member, View


class ViewRoutes:
    """`Routes`. `shards` is how many the cluster has, `has` says whether this node's engine runs an actor."""

    def __init__(self, shards: int, view: Callable[[], View], has: Callable[[str], bool]) -> None:
        self._shards = shards
        self._view = view
        self._has = has
        self._news = asyncio.Event()

    def here(self, key: str) -> bool:
        return self._has(key)

    def where(self, key: str) -> Member | None:
        view = self._view()
        owner = view.owners.get(shard_of(key, self._shards))
        member = None if owner is None else view.members.get(owner.node)
        if owner is None or member is None or member.incarnation != owner.incarnation:
            return None
        return member

    def lives(self, member: Member) -> bool:
        known = self._view().members.get(member.node)
        return known is not None and known.incarnation == member.incarnation

    async def changed(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return

    def tell(self) -> None:
        """There is a newer view, or this node has opened or lost shards. To be called on the engine's loop."""
        news, self._news = self._news, asyncio.Event()
        news.set()
