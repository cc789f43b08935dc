"""The command line, many times over: a process that has loaded it forks for each command, as loading takes longest.

Reads commands as JSON lines `[arguments, environment]` and answers each with `[code, out, err]`. Each runs in a process
of its own, in the folder that this one was started in, as the real command does.

    python -m tests.goldens.forking
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib import import_module
from typing import Any

LOADED = (
    "understudy_runtime.cli.commands",
    "understudy_runtime.cli.control",
    "understudy_runtime.cli.job_operations",
    "understudy_runtime.cli.operate",
    "understudy_runtime.cli.resource_operations",
    "understudy_runtime.cli.run",
    "understudy_runtime.cli.schedule_operations",
    "understudy_runtime.cli.store",
    "understudy_runtime.node.embedded",
)
"""Those that have moved are loaded by the commands themselves."""


def main() -> None:
    for name in LOADED:
        try:
            import_module(name)
        except ImportError:
            continue
    for line in sys.stdin:
        arguments, environment = json.loads(line)
        sys.stdout.write(json.dumps(_run(arguments, environment)) + "\n")
        sys.stdout.flush()


def _run(arguments: list[str], environment: dict[str, str]) -> Any:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _become(arguments, environment, out.fileno(), err.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return [code, out.read().decode(), err.read().decode()]


def _become(arguments: list[str], environment: dict[str, str], out: int, err: int) -> None:
    """The command: as `python -m understudy_runtime.cli` in a process of its own."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for to, each in ((0, nothing), (1, out), (2, err)):
        os.dup2(each, to)
    os.environ.update(environment)
    sys.argv = ["understudy", *arguments]
    code = 1
    try:
        import_module("understudy_runtime.cli").main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
