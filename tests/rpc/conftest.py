"""A node and its gRPC door on the test's own loop, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import grpc.aio
import pytest

from tests.rpc.shop import app
from understudy import Client
from understudy.client import connect
from understudy_runtime.core.ports import Store
from understudy_runtime.node.clocks import SystemClock
from understudy_runtime.node.node import Node, Settings, running
from understudy_runtime.node.serving import served
from understudy_runtime.rpc.server import Serving
from understudy_runtime.storage.memory import MemoryStore

LONG_S = 20.0
"""Longer than anything here takes on a busy machine; what takes longer hangs."""

Serve = Callable[..., AbstractAsyncContextManager[Serving]]


@asynccontextmanager
async def a_node(store: Store | None = None) -> AsyncGenerator[Node]:
    async with running([app], store or MemoryStore(), SystemClock(), Settings(grace_s=0.1), lambda _: None) as node:
        yield node


@pytest.fixture(autouse=True)
def on_one_loop(one_loop: None) -> None:
    """All of these tests use grpc.aio."""


@pytest.fixture
async def node() -> AsyncGenerator[Node]:
    async with a_node() as node:
        yield node


def serving(node: Node, listen: str = "127.0.0.1:0", **options: Any) -> AbstractAsyncContextManager[Serving]:
    return served(node, [app], listen, started_at=0.0, drain=lambda grace_s: None, grace_s=0.1, **options)


@pytest.fixture
def serve(node: Node) -> Serve:
    """Serves the node, at "127.0.0.1:0" unless told otherwise; may be used again and again."""
    return partial(serving, node)


@pytest.fixture
async def server(serve: Serve) -> AsyncGenerator[Serving]:
    async with serve() as server:
        yield server


@pytest.fixture
async def client(server: Serving) -> AsyncGenerator[Client]:
    async with connect(server.address, app) as client:
        yield client


@pytest.fixture(params=["local", "remote"])
async def either(request: pytest.FixtureRequest, node: Node, server: Serving) -> AsyncGenerator[Client]:
    """A client in the node's own process, and one that reaches it over gRPC: they see the same."""
    if request.param == "remote":
        async with connect(server.address, app) as remote:
            yield remote
    else:
        yield Client(node.door(asyncio.get_running_loop())[1], [app])


@pytest.fixture
async def channel(server: Serving) -> AsyncGenerator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
async def local(node: Node) -> Client:
    return Client(node.door(asyncio.get_running_loop())[1], [app])


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until it is so."""
    with anyio.fail_after(LONG_S):
        while not condition():  # noqa: ASYNC110 - what is waited for says nothing when it happens
            await asyncio.sleep(0.005)


async def soon(ending: Awaitable[Any]) -> Any:
    """The result, or a failure if it hangs."""
    with anyio.fail_after(LONG_S):
        return await ending
