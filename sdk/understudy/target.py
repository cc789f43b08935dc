"""Targets: how the command line and child processes name user code.

`path/to/file.py:name` or `package.module:name`; without `:name`, the one app in it. A file is loaded as a script
would be, with its folder on `sys.path`, but under a name made from its path, so that it is the same module
however often and in whichever process it is loaded. Every error is one line that begins with what was asked
for.
"""

from __future__ import annotations

import sys
import traceback
from hashlib import sha256
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import msgspec

from understudy.app import App
from understudy.building import FILE_MODULE_PREFIX
from understudy.definitions import TaskDefinition, WorkflowDefinition
from understudy.errors import BadRequest, UnknownName
from understudy.tasks import Task
from understudy.workflows import CLASS_MARK, Workflow, workflow_of


class WorkflowTarget(msgspec.Struct, frozen=True):
    app: App
    workflow: WorkflowDefinition


def load_workflow(target: str) -> WorkflowTarget:
    """The workflow that `target` names, or the only one of the one app there; BadRequest if there is none."""
    location, name = _split(target)
    module = load_module(location)
    if name:
        return _named_workflow(target, module, name)
    app = load_app(target)
    if len(app.workflows) != 1:
        raise BadRequest(f"{target}: app {app.name} has {_count(app.workflows)}; write {location}:NAME")
    return WorkflowTarget(app, next(iter(app.workflows.values())))


def load_app(target: str) -> App:
    """The app that `target` names, or that owns the workflow it names, or the one app in the module."""
    location, name = _split(target)
    module = load_module(location)
    if name:
        value = _attribute(target, module, name)
        return value if isinstance(value, App) else _named_workflow(target, module, name).app
    apps = _apps_in(module)
    if len(apps) != 1:
        raise BadRequest(f"{target}: {len(apps)} apps in it, so say which: {location}:NAME")
    return apps[0]


def load_task(location: str, name: str) -> TaskDefinition:
    """The task that `TaskDefinition.target` names, in a process that has loaded nothing yet."""
    module = load_module(location)
    for value in list(vars(module).values()):
        if isinstance(value, App) and name in value.tasks:
            return value.tasks[name]
        if isinstance(value, Task) and cast("Task[..., Any]", value).definition.name == name:
            return cast("Task[..., Any]", value).definition
    raise UnknownName(f"{location}: no task {name} in it; tasks of other processes must be made when it is loaded")


def load_module(location: str) -> ModuleType:
    """The module at a path that ends in `.py`, or of that dotted name."""
    if location.endswith(".py") or "/" in location:
        return _load_file(location)
    _put_on_path("")
    try:
        found = util.find_spec(location) is not None
    except (ImportError, ValueError):
        found = False
    except Exception as error:
        raise BadRequest(f"{location}: {_last_line(error, '')}") from error
    if not found:
        raise BadRequest(f"{location}: no such module; give a dotted name, or a path that ends in .py")
    try:
        return import_module(location)
    except (Exception, SystemExit) as error:
        raise BadRequest(f"{location}: {_last_line(error, '')}") from error


def _load_file(location: str) -> ModuleType:
    path = Path(location).resolve()
    if not path.is_file():
        raise BadRequest(f"{location}: no such file")
    running = sys.modules.get("__main__")
    if running is not None and _file_of(running) == path:
        return running
    name = _name_of(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadRequest(f"{location}: not a Python file")
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    _put_on_path(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise BadRequest(f"{location}: {_last_line(error, str(path))}") from error
    return module


def _name_of(path: Path) -> str:
    return f"{FILE_MODULE_PREFIX}{path.stem}_{sha256(str(path).encode(errors='surrogateescape')).hexdigest()[:12]}"


def file_of_name(name: str) -> Path | None:
    """The file that a module of that name was loaded from; it is looked for in the folders of `sys.path`."""
    stem = name.removeprefix(FILE_MODULE_PREFIX).rpartition("_")[0]
    paths = (Path(folder, f"{stem}.py").resolve() for folder in sys.path)
    return next((path for path in paths if _name_of(path) == name and path.is_file()), None)


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file and getattr(module, "__spec__", None) is None else None


def _put_on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _last_line(error: BaseException, file: str) -> str:
    """The error and the user's own line that it comes from, in one line."""
    text = " ".join(str(error).split())
    shown = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError):
        return shown
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file] or [f for f in frames if "importlib" not in f.filename]
    return f"{shown} (line {own[-1].lineno} of {own[-1].filename})" if own else shown


def _split(target: str) -> tuple[str, str]:
    location, colon, name = target.rpartition(":")
    if not colon or name.endswith(".py") or "/" in name or "\\" in name:
        location, name = target, ""
    if not location or (colon and not name.isidentifier()):
        raise BadRequest(f"{target!r} is no target; write path/to/file.py:name or package.module:name")
    return location, name


def _attribute(target: str, module: ModuleType, name: str) -> Any:
    if not hasattr(module, name):
        known = sorted(key for key, value in vars(module).items() if is_workflow(value))
        raise BadRequest(f"{target}: no {name!r} in it; its workflows are: {', '.join(known) or 'none'}")
    return getattr(module, name)


def _named_workflow(target: str, module: ModuleType, name: str) -> WorkflowTarget:
    value = _attribute(target, module, name)
    if isinstance(value, App) and len(value.workflows) == 1:
        return WorkflowTarget(value, next(iter(value.workflows.values())))
    if not is_workflow(value):
        what = "a task" if isinstance(value, Task) else f"of type {type(value).__name__}"
        raise BadRequest(f"{target}: {name!r} is {what}, not a workflow; decorate it with @app.workflow")
    return WorkflowTarget(*workflow_of(value))


def is_workflow(value: Any) -> bool:
    """Whether `value` is what `@app.workflow` makes of a function or leaves of a class."""
    return isinstance(value, Workflow) or (isinstance(value, type) and CLASS_MARK in vars(value))


def _apps_in(module: ModuleType) -> list[App]:
    return list({id(value): value for value in vars(module).values() if isinstance(value, App)}.values())


def _count(names: Any) -> str:
    return f"the workflows {', '.join(sorted(names))}" if names else "no workflows"
