"""Finds the modules of files that were named by their path (`understudy run path/to/file.py`), in processes that a task
has started itself.

What `multiprocessing` and `concurrent.futures` send to a process is pickled by the name of its module, and the process
imports that name. Where processes are forked it is imported already; where they are not, which is everywhere since
Python 3.14, it is a name that only `understudy.target` knows. Such a process imports the main module of the process
that started it, so that whatever runs user code from a file has this finder.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Final

_PREFIX: Final = "understudy_file_"  # that of understudy.target, which is not loaded for this


class _FileModules(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        from understudy.target import file_of_name

        file = file_of_name(fullname)
        return None if file is None else spec_from_file_location(fullname, file)


_FINDER: Final = _FileModules()


def find_file_modules() -> None:
    """Let `import` find them from now on. Again changes nothing."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
