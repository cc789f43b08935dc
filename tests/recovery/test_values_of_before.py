"""Runs of an earlier release sent values that are refused today: they go on with what their journals hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import understudy
from understudy import App, BadInput, wait_until
from understudy.codec import CallCodec, ResultCodec

pytestmark = pytest.mark.anyio

app = App("before")


@app.task
async def take(value: Any) -> Any:
    return value


@app.workflow
class Old:
    def __init__(self) -> None:
        self.open = False

    async def run(self) -> list[Any]:
        try:
            first: Any = await take((1, {2}))
        except BadInput as refused:
            first = f"refused: {refused}"
        await wait_until(lambda: self.open)
        return [first, await take([3])]

    @understudy.handler
    def look(self) -> Any:
        return (1, 2)

    @understudy.handler
    def go_on(self) -> None:
        self.open = True


def as_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CallCodec, "encode", CallCodec.encode_unproven)
    patch.setattr(ResultCodec, "encode", ResultCodec.encode_unproven)


async def test_a_call_that_the_journal_has_is_made_again_as_it_was_made(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/s.db"
    with pytest.MonkeyPatch.context() as patch:
        as_before(patch)
        async with understudy.embedded(app, store) as client:
            run = await client.start(Old, id="old")
            assert await run.ask(Old.look) == [1, 2]

    async with understudy.embedded(app, store) as client:
        run = client.handle("old", Old)
        await run.tell(Old.go_on)
        assert await run.result() == [[1, [2]], [3]]


async def test_a_call_that_was_refused_is_refused_again(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/s.db"
    async with understudy.embedded(app, store) as client:
        run = await client.start(Old, id="new")
        with pytest.raises(understudy.AskFailed, match="a tuple would arrive as a list"):
            await run.ask(Old.look)

    async with understudy.embedded(app, store) as client:
        run = client.handle("new", Old)
        await run.tell(Old.go_on)
        first, last = await run.result()
        assert first.startswith("refused: take(): value: a tuple would arrive as a list")
        assert last == [3]
