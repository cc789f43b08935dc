"""What can be typed: every command with its options, as declared, but for those that typer adds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from understudy_runtime.cli.commands import app


def commands() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and declaration, of groups too."""
    yield from _within("understudy", typer.main.get_command(app))


def _within(name: str, command: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    declared = {each.name: _parameter(each) for each in command.params if "completion" not in each.name}
    yield name, {"help": (command.help or "").strip(), "parameters": declared}
    for inner, each in sorted(getattr(command, "commands", {}).items()):
        yield from _within(f"{name} {inner}", each)


def _parameter(parameter: Any) -> dict[str, Any]:
    default = parameter.default
    return {
        "kind": parameter.param_type_name,
        "options": sorted([*parameter.opts, *parameter.secondary_opts]),
        "required": parameter.required,
        "many": bool(getattr(parameter, "multiple", False)) or parameter.nargs != 1,
        "flag": bool(getattr(parameter, "is_flag", False)),
        "default": default if isinstance(default, (str, int, float)) else None,
        "variable": parameter.envvar,
        "help": getattr(parameter, "help", None),
    }
