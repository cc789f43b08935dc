"""`ViewRoutes`: who runs an actor, as the latest view has it. A hint: the one that it names may know better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from understudy_runtime.core.keys import shard_of
from understudy_runtime.core.membership import Member, View


class Routes(Protocol):
    """Used on the engine's loop."""

    def here(self, key: str) -> bool:
        """Whether this node runs the actor."""
        ...

    def where(self, key: str) -> Member | None:
        """Who else does; None: nobody that is known, or this node (which may be about to)."""
        ...

    def coming(self, key: str) -> bool:
        """Whether this node is about to run the actor: its shard is in this node's name, and not open yet."""
        ...

    def member(self, node: str) -> Member | None: ...

    async def changed(self, timeout_s: float) -> None:
        """Returns when the answers may be others, and after so long in any case."""
        ...


class ViewRoutes:
    """`Routes`. `shards` says how many the cluster has, `view` how it looks, `has` if the engine runs an actor."""

    def __init__(
        self, node: str, shards: Callable[[], int], view: Callable[[], View], has: Callable[[str], bool]
    ) -> None:
        self._node = node
        self._shards = shards
        self._view = view
        self._has = has
        self._news = asyncio.Event()

    def here(self, key: str) -> bool:
        return self._has(key)

    def where(self, key: str) -> Member | None:
        view = self._view()
        owner = view.owners.get(shard_of(key, self._shards()))
        member = None if owner is None or owner.node == self._node else view.members.get(owner.node)
        return member if owner is not None and member is not None and member.incarnation == owner.incarnation else None

    def coming(self, key: str) -> bool:
        if self._has(key):
            return False
        owner = self._view().owners.get(shard_of(key, self._shards()))
        return owner is not None and owner.node == self._node

    def member(self, node: str) -> Member | None:
        return self._view().members.get(node)

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
