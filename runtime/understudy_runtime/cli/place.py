"""Where runs are kept, and a note beside the store of where their code came from.

The note (`<store>.targets.json`, workflow -> target) only saves typing: without it `runs retry` has to be told
`--target`. It is written by `understudy run`, and whatever is wrong with it counts as not knowing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from understudy.errors import BadRequest
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
        return self.file is not None and self.file.exists()

    def target_of(self, workflow: str) -> str:
        """Where the code of that workflow was when it was last run. BadRequest if nobody knows."""
        target = self._targets().get(workflow)
        if target is None:
            raise BadRequest(f"where is the code of workflow {workflow}? Say so with --target path/to/file.py:name")
        return target

    def note_target(self, workflow: str, target: str) -> None:
        known = self._targets()
        absolute = _absolute(target)
        if self.file is None or known.get(workflow) == absolute:
            return
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            fresh = _note(self.file).with_suffix(f".{os.getpid()}")
            fresh.write_bytes(msgspec.json.encode(known | {workflow: absolute}))
            fresh.replace(_note(self.file))

    def _targets(self) -> dict[str, str]:
        if self.file is None:
            return {}
        try:
            return msgspec.json.decode(_note(self.file).read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError):
            return {}


def _note(file: Path) -> Path:
    return file.with_name(f"{file.name}.targets.json")


def _absolute(target: str) -> str:
    """A file's target, so that it fits from every folder; a module's as it is."""
    location, colon, name = target.rpartition(":")
    if not colon or name.endswith(".py"):
        location, colon, name = target, "", ""
    return f"{Path(location).resolve()}{colon}{name}" if location.endswith(".py") or "/" in location else target
