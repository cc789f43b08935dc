"""Shapes of whole runs: the corpus of `tests.corpus` as workflows, and what only a node can do to a run.

A `Scenario` is what outsiders do, and when: inputs that came before a crash may have been lost with it, so each is
delivered again after the crash, as a client that got no answer would. Each carries an idempotency key for that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from tests.actors.world import T0, run, starting
from tests.corpus import SHAPES
from understudy import (
    Actor,
    App,
    AskFailed,
    Retry,
    TaskFailed,
    continue_as_new,
    forget,
    handler,
    now,
    random,
    readonly,
    remind,
    remind_every,
    task_info,
    uuid4,
    wait_until,
)
from understudy import call as call_workflow
from understudy import start as start_workflow
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import AnyMessage, Cancel, Deliver, Start

app = App("shapes")


@app.task
def step(name: str) -> str:
    if name.endswith("!"):
        raise ValueError(name)
    return name


@app.task(retry=Retry(delays=[0.5, 0.25]))
def flaky(name: str) -> str:
    """Fails twice."""
    if task_info().attempt < 3:
        raise ValueError(f"attempt {task_info().attempt}")
    return name


@app.task(retry=Retry(attempts=10, first=1), deadline=3)
def hopeless(name: str) -> str:
    raise ValueError(name)


@app.task(optional=True)
def doubtful(name: str) -> str:
    raise ValueError(name)


@app.workflow
async def asyncio_shape(name: str) -> list[str]:
    return await SHAPES[name](step)


@app.workflow
async def retried_tasks() -> list[str]:
    results = await asyncio.gather(*[flaky(name) for name in "abc"], hopeless("h"), return_exceptions=True)
    return [str(result) for result in results]


@app.workflow
async def optional_tasks() -> list[Any]:
    return [await doubtful("a"), await step.optional("instead")("b!"), await step("c")]


@app.workflow
async def failing(name: str) -> str:
    return await step(f"{name}!")


@app.workflow
async def time_and_chance() -> list[str]:
    seen = [str(now()), str(random().random()), str(uuid4())]
    await asyncio.sleep(1)
    return [*seen, str(now()), str(random().random())]


@app.workflow
async def child(name: str) -> str:
    return (await step(name)) + (await step(name.upper()))


@app.workflow
async def parent() -> list[str]:
    seen = await asyncio.gather(*[child(name) for name in "abc"])
    try:
        await failing("x")
    except Exception as error:
        seen.append(type(error).__name__)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await call_workflow(child, "given up")
    seen.append(start_workflow(child, "left behind", id="left"))
    return [*seen, await call_workflow(child, "named", id="named")]


@app.actor
class Tally(Actor):
    counts: dict[str, int] = {}

    @handler
    def add(self, name: str) -> int:
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name]

    @handler
    async def add_slowly(self, name: str) -> int:
        before = self.counts.get(name, 0)
        await step(name)
        await asyncio.sleep(0.3)
        self.counts[name] = before + 1
        return self.counts[name]

    @handler
    async def add_elsewhere(self, name: str) -> int:
        return await Tally.at("other").ask(Tally.add_slowly, name)

    @handler
    async def spoil(self, name: str) -> None:
        self.counts[name] = -1
        await step(f"{name}!")

    @readonly
    def count(self, name: str) -> int:
        return self.counts.get(name, 0)


@app.actor
class Clockwork(Actor):
    """Winds down: ticks every two seconds until it has ticked `turns` times, and asks a neighbour each time."""

    turns: int = 0
    ticks: list[str] = []

    @handler
    def wind(self, turns: int) -> None:
        self.turns = turns
        remind_every("tick", "2s", Clockwork.tick)
        remind("strike", "3s", Clockwork.strike, "cuckoo")
        remind("never", "4s", Clockwork.strike, "forgotten")

    @handler
    async def tick(self) -> None:
        self.ticks.append(await step(f"tick {len(self.ticks)}"))
        forget("never")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                self.ticks.append(str(await Tally.at("clock").ask(Tally.add_slowly, "tick")))
        if len(self.ticks) >= self.turns:
            forget("tick")

    @handler
    async def strike(self, sound: str) -> None:
        try:
            await Clockwork.at("neighbour").ask(Clockwork.echo, sound)
        except AskFailed as error:
            self.ticks.append(error.type)

    @handler
    async def echo(self, sound: str) -> None:
        await Clockwork.at("clock").ask(Clockwork.echo, sound)


@app.workflow
async def tallying(name: str) -> list[Any]:
    """Between asks it pauses: what two runs ask at one and the same instant may be taken in either order."""
    tally = Tally.at("shared")
    tally.tell(Tally.add, name)
    seen: list[Any] = await asyncio.gather(*[tally.ask(Tally.add_slowly, name) for _ in range(3)])
    try:
        await tally.ask(Tally.spoil, name)
    except Exception as error:
        seen.append(type(error).__name__)
    for asked in (Tally.add_elsewhere, Tally.add, Tally.count):
        await asyncio.sleep(random().random())
        seen.append(await tally.ask(asked, name))
    return seen


@app.workflow
class Approval:
    def __init__(self) -> None:
        self.verdict: str | None = None
        self.notes: list[str] = []

    async def run(self) -> list[str]:
        try:
            async with asyncio.timeout(5):
                verdict = await wait_until(lambda: self.verdict)
        except TimeoutError:
            verdict = "late"
        return [verdict, *self.notes, await step("done")]

    @handler
    def decide(self, verdict: str) -> str:
        self.verdict = verdict
        return f"thank you for {verdict}"

    @handler
    async def note(self, text: str) -> int:
        self.notes.append(await step(text))
        await wait_until(lambda: len(self.notes) > 1)
        return len(self.notes)


@app.workflow
async def loops(count: int) -> str:
    await asyncio.gather(step(f"a{count}"), step(f"b{count}"))
    if count:
        continue_as_new(count - 1)
    return "looped"


@app.workflow
async def cleans_up() -> str:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(step("left"))
            await asyncio.sleep(100)
    except asyncio.CancelledError:
        await asyncio.gather(step("undo a"), step("undo b"))
        with suppress(TaskFailed):
            await step("undo c!")
        raise
    return "never cancelled"


class Told(NamedTuple):
    at: float
    key: str
    message: AnyMessage


class Scenario(NamedTuple):
    """`runs` are those whose ends are looked at. Without `same_times` a crash may make things take longer."""

    told: tuple[Told, ...]
    runs: tuple[str, ...]
    same_times: bool = True


def asking(handler: str, *args: Any) -> Deliver:
    data = Raw(msgspec.json.encode({"args": args, "kwargs": {}}))
    return Deliver(handler, data, ask=True, idempotency_key=f"{handler}{args}")


def scenario(*told: tuple[float, str, AnyMessage], same_times: bool = True) -> Scenario:
    runs = tuple(dict.fromkeys(key for _, key, message in told if isinstance(message, Start)))
    return Scenario(tuple(Told(T0 + at, key, message) for at, key, message in told), runs, same_times)


_ONE = run("one")

SCENARIOS: dict[str, Scenario] = {
    **{name: scenario((0.0, _ONE, starting("asyncio_shape", name))) for name in SHAPES},
    "retried_tasks": scenario((0.0, _ONE, starting("retried_tasks"))),
    "optional_tasks": scenario((0.0, _ONE, starting("optional_tasks"))),
    "failing": scenario((0.0, _ONE, starting("failing", "x"))),
    "time_and_chance": scenario((0.0, _ONE, starting("time_and_chance"))),
    "children": scenario((0.0, _ONE, starting("parent"))),
    "actors": scenario((0.0, run("one"), starting("tallying", "a")), (0.01, run("two"), starting("tallying", "b"))),
    "approved": scenario(
        (0.0, _ONE, starting("Approval")),
        (0.61, _ONE, asking("note", "x")),
        (0.62, _ONE, asking("note", "y")),
        (3.03, _ONE, asking("decide", "yes")),
    ),
    "approved_late": scenario((0.0, _ONE, starting("Approval")), (0.61, _ONE, asking("note", "x"))),
    "continued": scenario((0.0, _ONE, starting("loops", 3))),
    "cancelled": scenario((0.0, _ONE, starting("cleans_up")), (0.043, _ONE, Cancel("enough"))),
    "cancelled_child": scenario((0.0, _ONE, starting("parent")), (0.043, _ONE, Cancel("enough"))),
    "clockwork": scenario((0.0, actor_key("default", "Clockwork", "clock"), asking("wind", 4))),
    "tally_asked": scenario(
        (0.0, actor_key("default", "Tally", "shared"), asking("add_slowly", "z")),
        (0.003, actor_key("default", "Tally", "shared"), asking("add", "z")),
        (0.004, run("one"), starting("tallying", "a")),
    ),
}
