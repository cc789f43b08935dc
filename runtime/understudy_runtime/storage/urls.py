"""Store URLs: where a store is, in one string.

sqlite:///runs/state.db       a file, relative to the working directory
sqlite:////var/lib/state.db   a file, absolute
runs/state.db                 the same, for short
memory://                     nothing is kept
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from understudy.errors import BadRequest
from understudy_runtime.core.ports import Store
from understudy_runtime.storage.memory import MemoryStore
from understudy_runtime.storage.sqlite import SqliteStore

MEMORY: Final = "memory://"
SQLITE: Final = "sqlite:///"


def open_url(url: str) -> Store:
    """The store the URL names, not yet opened. BadRequest if it names none."""
    if url == MEMORY:
        return MemoryStore()
    return SqliteStore(file_of(url))


def file_of(url: str) -> Path:
    """The file the URL names. BadRequest if it names none."""
    path = url.removeprefix(SQLITE)
    if not path or "://" in path or path.startswith(("sqlite:", ":memory:")) or "\0" in path:
        raise BadRequest(f"not a store URL: {url!r}; use {SQLITE}path/to/state.db, a path, or {MEMORY}")
    return Path(path).expanduser()
