from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How fast a machine is says nothing of whether the code is right.
settings.register_profile("understudy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("understudy")


def pytest_configure(config: pytest.Config) -> None:
    """Where Python is told to keep no bytecode, each of the many processes of a session would compile everything anew.

    So they share a folder of it, which goes with the session; workers and commands inherit the setting.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        bytecode = tempfile.TemporaryDirectory(prefix="understudy-bytecode-", ignore_cleanup_errors=True)
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode.name
        config.add_cleanup(bytecode.cleanup)


class Loop(asyncio.SelectorEventLoop):
    """grpc.aio has one queue of events for the whole process. What comes in late for a loop that has been closed, as of
    a stream that was cancelled at the end of a test, is an error in whichever loop takes it: not one of that test."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed" and self._is_grpc(error)):
            super().call_exception_handler(context)

    @staticmethod
    def _is_grpc(error: BaseException) -> bool:
        trace, names = error.__traceback__, set[str]()
        while trace is not None:
            names.add(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        return any(name.endswith("PollerCompletionQueue._handle_events") for name in names)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": Loop}


@pytest.fixture(scope="session")
async def one_loop(anyio_backend: tuple[str, dict[str, Any]]) -> AsyncIterator[None]:
    """Keeps one event loop for all tests of a process, so that hardly anything can come in late for another one."""
    yield  # noqa: PT022 - the loop lives for as long as this has not ended
