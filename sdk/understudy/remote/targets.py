"""The nodes that a client may talk to: one at a time, and the next one when that is gone.

Any node of a cluster takes any call, so a client needs one that lives. It stays with the one that answers; when that
closes or breaks, whoever noticed says so, and from then on the next is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc.aio

from understudy.errors import BadRequest


class Targets:
    """`open_channel` makes the channel to an address, "host:port"; `addresses` has them with commas between."""

    def __init__(self, addresses: str, open_channel: Callable[[str], grpc.aio.Channel]) -> None:
        self._names = [name.strip() for name in addresses.split(",") if name.strip()]
        if not self._names:
            raise BadRequest("an address is needed: host:port, or several with commas between them")
        self._channels = [open_channel(name) for name in self._names]
        self._current = 0

    def __len__(self) -> int:
        return len(self._names)

    @property
    def name(self) -> str:
        """Of the one that is asked now."""
        return self._names[self._current]

    @property
    def channel(self) -> grpc.aio.Channel:
        return self._channels[self._current]

    def leave(self, channel: grpc.aio.Channel) -> None:
        """It led nowhere: ask the next one, unless another one is asked by now."""
        if channel is self.channel:
            self._current = (self._current + 1) % len(self._names)

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))
