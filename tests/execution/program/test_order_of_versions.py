"""A run takes the same steps under every version of CPython, in the order of 3.13, or in that of 3.11 if told to.

`order_of_versions.txt` holds what random programs and the shapes of the corpus came to under CPython 3.13 (and, in the
older order, under 3.11 without any of our functions in the place of asyncio's). To write it again, which only a new
kind of program should make necessary: `python -m tests.execution.program.test_order_of_versions` under CPython 3.13.

Not held here: what differs before 3.13 and cannot be mended, a TaskGroup that fails while its own task is cancelled.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from asyncio import gather, wait_for  # by name, before anything of ours was imported
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus import SHAPES, Do, Shape
from tests.execution.program.plays import Input, Play, did, play
from tests.execution.program.random_programs import WITH_GROUPS, WITHOUT_GROUPS, random_program
from understudy_runtime.core.ports import Order

PROGRAMS = 200
SEEDS = 3
GOLDEN = Path(__file__).with_name("order_of_versions.txt")


def traces() -> Iterator[tuple[str, str]]:
    """A name, and what stands for everything that the program of that name did."""
    for name, shape in SHAPES.items():
        for seed in range(SEEDS):
            yield f"3.13 {name} {seed}", _trace(shape, seed, "3.13")
    for seed in range(PROGRAMS):
        yield f"3.13 groups {seed}", _trace(random_program(seed, WITH_GROUPS), seed, "3.13")
        yield f"3.13 program {seed}", _trace(random_program(seed, WITHOUT_GROUPS), seed, "3.13")
        older = [kind for kind in WITHOUT_GROUPS if kind not in ("condition", "notify", "barrier")]
        yield f"3.11 program {seed}", _trace(random_program(seed, older), seed, "3.11")


def _trace(shape: Shape, seed: int, order: Order) -> str:
    return hashlib.sha256(repr(did(play(shape, seed, order=order))).encode()).hexdigest()[:12]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a coroutine that was cancelled before it began
def test_every_program_does_what_it_did_under_the_version_whose_order_it_keeps() -> None:
    golden = dict(line.rsplit(" ", 1) for line in GOLDEN.read_text().splitlines())
    now = dict(traces())
    assert golden.keys() == now.keys()
    differing = [name for name in golden if golden[name] != now[name]]
    assert not differing, (
        f"CPython {sys.version.split()[0]} orders the steps of asyncio's coroutines otherwise than 3.13 does, so runs "
        f"would not replay across versions: bring asyncio_order.py up to it. Programs that differ: {differing[:20]}"
    )


async def _race(do: Do) -> list[str]:
    """Who is first tells whether `wait_for` runs its argument in a task of its own."""
    return list(await gather(wait_for(do("waited for"), 5), do("called")))


async def _gathered_again(do: Do) -> list[str]:
    """Who is first tells whether `gather` sees at once that its arguments are done."""
    first = asyncio.create_task(do("first"))
    await first

    async def again() -> str:
        await gather(first)
        return await do("gathered")

    async def later() -> str:
        await asyncio.sleep(0)
        return await do("later")

    return list(await gather(again(), later()))


@pytest.mark.parametrize(
    ("shape", "order", "first"),
    [
        (_race, "3.13", "do waited for"),
        (_race, "3.11", "do called"),
        (_gathered_again, "3.13", "do gathered"),
        (_gathered_again, "3.11", "do later"),
    ],
)
def test_functions_imported_by_name_keep_the_order_too(shape: Shape, order: Order, first: str) -> None:
    under_way = Play(shape, order=order)
    steps = [*under_way.turn(Input(0.0)).did, *under_way.turn(Input(0.1, (0,))).did]
    assert next(step for step in steps if step != "do first") == first


@pytest.mark.anyio
async def test_outside_of_a_run_they_do_what_they_do_in_asyncio() -> None:
    async def one() -> int:
        return 1

    assert list(await gather(wait_for(one(), 1), one())) == [1, 1]
    with pytest.raises(TimeoutError):
        await wait_for(asyncio.sleep(5), 0)
    assert not await gather()


if __name__ == "__main__":
    if sys.version_info.minor != 13:
        sys.exit("the golden file is written under CPython 3.13")
    GOLDEN.write_text("".join(f"{name} {trace}\n" for name, trace in traces()))
