"""Finds a task where its definition says it is: in a module known by name, or in a file run as a program."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from understudy import App, Task
from understudy.building import FILE_MODULE_PREFIX
from understudy.definitions import TaskDefinition
from understudy.errors import UnknownName


def load_task(target: tuple[str, str]) -> TaskDefinition:
    """UnknownName if the module has no such task; whatever the module raises when it is imported."""
    location, name = target
    for value in list(vars(_load(location)).values()):
        if isinstance(value, Task) and value.definition.name == name:
            return value.definition
        if isinstance(value, App) and name in value.tasks:
            return value.tasks[name]
    raise UnknownName(f"{location} has no task {name!r} at its top level; a process of its own can find it only there")


def _load(location: str) -> ModuleType:
    if not location.endswith(".py"):
        return importlib.import_module(location)
    name = FILE_MODULE_PREFIX + Path(location).stem
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, location)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
