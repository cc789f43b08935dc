"""Store URLs: where a store is, in one string.

sqlite:///runs/state.db       a file, relative to the working directory
sqlite:////var/lib/state.db   a file, absolute
runs/state.db                 the same, for short
postgresql://user@host/db     a database that many nodes may share (see `postgres.address`)
memory://                     nothing is kept
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from understudy.errors import BadRequest
from understudy_runtime.core.ports import Store
from understudy_runtime.storage.memory import MemoryStore
from understudy_runtime.storage.postgres.address import SCHEMES, parse
from understudy_runtime.storage.sqlite import SqliteStore

MEMORY: Final = "memory://"
SQLITE: Final = "sqlite:///"
_SECRET: Final = re.compile(r"(?<=:)[^:@/]+(?=@)|(?<=password=)[^&]+")


def open_url(url: str) -> Store:
    """The store the URL names, not yet opened. BadRequest if it names none."""
    if url == MEMORY:
        return MemoryStore()
    if is_database(url):
        from understudy_runtime.storage.postgres import PostgresStore

        return PostgresStore(url)
    return SqliteStore(file_of(url))


def is_database(url: str) -> bool:
    """Whether it names a database, which many nodes may share."""
    return url.startswith(SCHEMES)


def file_of(url: str) -> Path:
    """The file the URL names. BadRequest if it names none."""
    if is_database(url):
        raise BadRequest(f"{parse(url).shown} is no file to look into: ask a node that has it, with --connect")
    path = url.removeprefix(SQLITE)
    if not path or "://" in path or path.startswith(("sqlite:", ":memory:")) or "\0" in path:
        raise BadRequest(
            f"not a store URL: {_SECRET.sub('***', url)!r}; use {SQLITE}path/to/state.db, a path, "
            f"postgresql://user@host/database, or {MEMORY}"
        )
    return Path(path).expanduser()
