"""The way to a node that runs somewhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from understudy.errors import BadRequest
from understudy.remote.door import RemoteDoor, open_remote
from understudy_runtime.cli.credentials import channel_credentials, token
from understudy_runtime.cli.options import Node
from understudy_runtime.node.addresses import DEFAULT_ADDRESS, parse_address

T = TypeVar("T")


def at_node(node: Node, ask: Callable[[RemoteDoor], Awaitable[T]]) -> T:
    """What `ask` comes to, there."""

    async def asked() -> T:
        async with connected(node) as door:
            return await ask(door)

    return asyncio.run(asked())


@asynccontextmanager
async def connected(node: Node) -> AsyncGenerator[RemoteDoor]:
    """Unreachable, in words for people, if nobody answers there."""
    if not all(parse_address(address.strip()).valid for address in node.address.split(",")):
        raise BadRequest(
            f"--connect {node.address}: write host:port, such as {DEFAULT_ADDRESS}; several with commas between them"
        )
    shown = token(node.token_file)
    async with open_remote(
        node.address,
        namespace=node.namespace,
        metadata=[("authorization", f"Bearer {shown}")] if shown else [],
        credentials=channel_credentials(node.tls_ca, node.tls_cert, node.tls_key),
    ) as door:
        yield door
