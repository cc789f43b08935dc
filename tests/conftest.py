from __future__ import annotations

import os
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Where Python is told to keep no bytecode, each of the many processes of a session would compile everything anew.

    So they share a folder of it, which goes with the session; workers and commands inherit the setting.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        bytecode = tempfile.TemporaryDirectory(prefix="understudy-bytecode-", ignore_cleanup_errors=True)
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode.name
        config.add_cleanup(bytecode.cleanup)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
