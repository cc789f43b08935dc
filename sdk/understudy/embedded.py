"""`embedded`: a whole node inside this process, for scripts, services of one machine, and tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Final, Protocol, cast

from understudy.app import App
from understudy.client import Client
from understudy.door import Door

DEFAULT_STORE: Final = "sqlite:///.understudy/state.db"


class _Node(Protocol):
    def open_embedded(
        self, apps: Sequence[App], store: str, *, namespace: str
    ) -> AbstractAsyncContextManager[Door]: ...


@asynccontextmanager
async def embedded(
    app: App | Sequence[App], store: str = DEFAULT_STORE, *, namespace: str = "default"
) -> AsyncGenerator[Client]:
    """Run a node in this process for as long as the block lasts; open runs go on where they were.

    `store` is "sqlite:///relative/path.db", "sqlite:////absolute/path.db", or "memory://", which forgets.
    StoreError if another process is writing to that store.
    """
    apps = (app,) if isinstance(app, App) else tuple(app)
    # Imported by name, and only here: what users import must not load the runtime.
    node = cast("_Node", import_module("understudy_runtime.node.embedded"))
    async with node.open_embedded(apps, store, namespace=namespace) as door:
        yield Client(door, apps)
