"""Interpreters beside the main one (Python 3.14) are left alone in tasks; understudy itself is for the main one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import understudy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters are new in Python 3.14"),
]

SOURCE = """
from concurrent import interpreters
from concurrent.futures import InterpreterPoolExecutor

from understudy import App

app = App("interpreters")

@app.task
def in_a_thread(numbers: list[int]) -> list[int]:
    with InterpreterPoolExecutor(2) as pool:
        return list(pool.map(abs, numbers))

@app.task(isolate="process")
def isolated(numbers: list[int]) -> list[int]:
    with InterpreterPoolExecutor(2) as pool:
        return list(pool.map(abs, numbers))

@app.task
async def in_a_coroutine(numbers: list[int]) -> list[int]:
    import asyncio
    loop = asyncio.get_running_loop()
    with InterpreterPoolExecutor(2) as pool:
        return [await loop.run_in_executor(pool, abs, number) for number in numbers]

@app.task
def imports_understudy() -> str:
    interpreter = interpreters.create()
    try:
        interpreter.exec("import understudy")
    except interpreters.ExecutionFailed as failed:
        return str(failed.excinfo.formatted)
    finally:
        interpreter.close()
    return "imported"

@app.workflow
async def flow(numbers: list[int]) -> list[list[int]]:
    return [await in_a_thread(numbers), await isolated(numbers), await in_a_coroutine(numbers)]

@app.workflow
async def importing() -> str:
    return await imports_understudy()
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "interpreters_of_tasks.py").write_text(SOURCE)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "interpreters_of_tasks", raising=False)
    return __import__("interpreters_of_tasks")


async def test_tasks_may_have_interpreters_of_their_own(module: Any) -> None:
    async with understudy.embedded(module.app, "memory://") as client:
        assert await client.run(module.flow, [-1, 2]) == [[1, 2]] * 3


async def test_an_interpreter_that_cannot_load_understudy_says_which_module_does_not_load(module: Any) -> None:
    async with understudy.embedded(module.app, "memory://") as client:
        said = await client.run(module.importing)
    assert said == "imported" or "does not support loading in subinterpreters" in said
