"""Reading a store that another process may be writing, or that nobody has open.

It never makes a file, never migrates and never delays the writer.
"""

from __future__ import annotations

from pathlib import Path

from understudy.errors import BadRequest
from understudy_runtime.storage.sqlite import Reader
from understudy_runtime.storage.sqlite.connections import NoStore
from understudy_runtime.storage.urls import MEMORY, file_of

__all__ = ["Reader", "holds_a_store", "open_reader"]


def open_reader(store: str | Path) -> Reader:
    """Open a store, named by URL or path.

    StoreError if there is no such file, if it is no understudy store, or if it is too new for this release;
    BadRequest if the URL names no file.
    """
    if store == MEMORY:
        raise BadRequest(f"nothing to read: {MEMORY} is forgotten when its process ends; name a file")
    return Reader(store if isinstance(store, Path) else file_of(store))


def holds_a_store(file: Path) -> bool:
    """Whether there is anything to read. A process that was killed while it made the file leaves one without tables.

    StoreError if something else is wrong with the file.
    """
    try:
        open_reader(file).close()
    except NoStore:
        return False
    return True
