"""Where one repeat works: a folder of its own on a real disk, and a store in it."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

import msgspec

import understudy
from benchmarks.app import app
from understudy import App, Client

IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class Place(msgspec.Struct, frozen=True):
    """`store` is "sqlite" or "memory"; `folder` is empty and for this repeat alone."""

    store: str
    folder: Path

    @property
    def url(self) -> str:
        return "memory://" if self.store == "memory" else f"sqlite:///{self.folder / 'state.db'}"

    def node(self, app: App = app) -> AbstractAsyncContextManager[Client]:
        """A node over this place's store, in this process."""
        return understudy.embedded(app, store=self.url)


@contextmanager
def fresh_place(store: str, parent: Path) -> Generator[Place]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Place(store, Path(folder).resolve())


def is_in_memory(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether the folder is (or would be) on a file system that is known to be in memory, where fsync does nothing."""
    if not mounts.exists():
        return False
    kinds = {Path(point): kind for _, point, kind, *_ in map(str.split, mounts.read_text().splitlines())}
    resolved = folder.resolve()
    return next((kinds[point] in IN_MEMORY for point in (resolved, *resolved.parents) if point in kinds), False)
