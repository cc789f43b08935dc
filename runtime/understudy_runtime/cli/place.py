"""Where runs are kept."""

from __future__ import annotations

from pathlib import Path

import msgspec

from understudy_runtime.storage.reading import holds_a_store
from understudy_runtime.storage.urls import MEMORY, file_of


class Place(msgspec.Struct, frozen=True):
    """A store, by its URL, and a namespace in it."""

    store: str
    namespace: str = "default"

    @property
    def file(self) -> Path | None:
        """None: in memory."""
        return None if self.store == MEMORY else file_of(self.store)

    @property
    def has_store(self) -> bool:
        """False where a process was killed while it made the file: then there is nothing in it to look at."""
        return self.file is not None and holds_a_store(self.file)
