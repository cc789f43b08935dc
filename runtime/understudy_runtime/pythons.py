"""On which builds of Python a node runs: which it was tested with, and which it refuses.

A run's loop relies on how CPython's asyncio works inside (`execution/program/asyncio_internals.py`), so that a newer
Python may need a newer understudy: this is said, and the node goes on. Threads of a node share state under the global
interpreter lock; where there is none, the node is refused.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Final

from understudy.errors import BadRequest

NEWEST_TESTED: Final = (3, 15)

_has_said: Final = threading.Event()

_is_locked: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)


def check(say: Callable[[str], None]) -> None:
    """Say what is to be said of this Python, once in a process; BadRequest if a node cannot run on it."""
    reason = refusal(_is_locked())
    if reason is not None:
        raise BadRequest(reason)
    words = remark(sys.version_info[:2])
    if words is not None and not _has_said.is_set():
        _has_said.set()
        say(words)


def remark(version: tuple[int, int]) -> str | None:
    """What users of that version should know."""
    if version <= NEWEST_TESTED:
        return None
    newest, given = (".".join(map(str, each)) for each in (NEWEST_TESTED, version))
    return f"Python {given} is newer than any that this understudy was tested with (3.11 to {newest}); it goes on"


def refusal(is_locked: bool) -> str | None:
    """Why a node does not run on this build, and what to do."""
    if is_locked:
        return None
    return (
        "this Python runs without the global interpreter lock, which a node needs; "
        "set PYTHON_GIL=1, or use the ordinary build of Python"
    )
