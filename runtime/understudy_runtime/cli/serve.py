"""`understudy node`: from what was typed to a node that serves, and to how the process ends."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from understudy.target import load_app
from understudy_runtime.cli.output import FAILED, leave
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.node import logs
from understudy_runtime.node.config import load_config
from understudy_runtime.node.service import Service

_PR_SET_PDEATHSIG: Final = 1


def serve(
    targets: Sequence[str], options: Mapping[str, Any], file: str, *, check_replay: bool, parent: int
) -> NoReturn:
    """`parent` is the process that this one must not outlive (0: none)."""
    with refusals():
        if parent:
            _leave_with(parent)
        config = load_config(options, os.environ, file)
        config = msgspec.structs.replace(config, name=config.name or f"{socket.gethostname()}-{os.getpid()}")
        faulthandler.enable()  # who aborts, or is aborted by its guard, shows what its threads were at
        writer = logs.configure(config.log_format, config.log_level, config.name)
        try:
            apps = list({id(app): app for app in map(load_app, targets)}.values())
            service = Service(config, apps, writer, targets if check_replay else ())
            # Not asyncio.run: it would wait for threads that user code has left behind.
            code = asyncio.new_event_loop().run_until_complete(service.run())
        finally:
            writer.close()
        leave(code)


def _leave_with(parent: int) -> None:
    """Where the kernel can, have it tell this process when its parent dies, however that is."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:  # it died before that
        leave(FAILED)
