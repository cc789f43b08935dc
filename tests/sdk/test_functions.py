"""The functions for workflow and task code say clearly when they are called where they cannot work.

What they do in a run is the runtime's to prove; here only the way to it is tested.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from understudy import (
    Actor,
    App,
    BadDefinition,
    BadInput,
    BadRequest,
    TaskInfo,
    ask,
    continue_as_new,
    handler,
    heartbeat,
    lock,
    now,
    patched,
    random,
    readonly,
    semaphore,
    start,
    task_info,
    tell,
    uuid4,
    wait_until,
)
from understudy.actors import address_of
from understudy.context import current_attempt, current_run
from understudy.scheduling import checked_schedule_id

app = App("test")


@app.actor
class Counter(Actor):
    value: int = 0

    @handler
    async def add(self, n: int) -> int:
        return n

    @readonly
    def get(self) -> int:
        return self.value


@app.task
async def task(n: int) -> int:
    return n


@app.workflow
async def child(n: int) -> int:
    return n


class Scribe:
    """A run that writes down what it is asked for, and answers with it."""

    run_id = "scribe"

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def call_task(self, definition: Any, args: Any, kwargs: Any, options: Any, default: Any) -> Any:
        return definition.name, args, kwargs, options.timeout_s, default

    async def call_workflow(self, definition: Any, args: Any, kwargs: Any, run_id: Any) -> Any:
        return definition.name, args, kwargs, run_id

    def start_workflow(self, definition: Any, args: Any, kwargs: Any, run_id: Any) -> Any:
        return f"{definition.name}-{run_id}"

    async def ask(self, suffix: str, definition: Any, args: Any, kwargs: Any) -> Any:
        return suffix, definition.name, args, kwargs

    def tell(self, suffix: str, definition: Any, args: Any, kwargs: Any) -> Any:
        self.seen.append((suffix, definition.name, args, kwargs))

    def continue_as_new(self, args: Any, kwargs: Any) -> BaseException:
        return KeyError(args, kwargs)


@contextmanager
def inside(run: Any) -> Generator[None]:
    token = current_run.set(run)
    try:
        yield
    finally:
        current_run.reset(token)


def do(awaitable: Any) -> Any:
    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


@pytest.mark.parametrize(
    "use",
    [
        now,
        random,
        uuid4,
        lambda: patched("p"),
        lambda: continue_as_new(1),
        lambda: do(wait_until(lambda: 1)),
        lambda: do(ask("run-1", Counter.add, 1)),
        lambda: tell("run-1", Counter.add, 1),
        lambda: Counter.at("x").tell(Counter.add, 1),
    ],
)
def test_outside_a_workflow_they_say_where_they_work(use: Any) -> None:
    with pytest.raises(BadRequest, match="only inside a workflow or an actor"):
        use()


def test_task_info_says_that_it_belongs_in_a_task() -> None:
    with pytest.raises(BadRequest, match="only inside a task"):
        task_info()


def test_a_heartbeat_where_nobody_listens_does_nothing_and_in_a_workflow_is_an_error() -> None:
    heartbeat(1)
    with inside(Scribe()), pytest.raises(BadRequest, match="it belongs in a task"):
        heartbeat(1)


def test_in_an_attempt_they_reach_it() -> None:
    class Attempt:
        info = TaskInfo("key", "run", "task", 2, 0, progress=7)
        beats: list[Any] = []

        def heartbeat(self, progress: Any) -> None:
            self.beats.append(progress)

    token = current_attempt.set(Attempt())
    heartbeat({"done": 3})
    assert task_info().progress == 7
    assert Attempt.beats == [{"done": 3}]
    current_attempt.reset(token)


def test_in_a_run_calls_go_to_the_run() -> None:
    with inside(Scribe()):
        assert do(task.with_(timeout=3).optional("d")(1)) == ("task", (1,), {}, 3, "d")
        assert do(child(n=1)) == ("child", (), {"n": 1}, None)
        assert child.start(1) == "child-None"
        assert do(ask("run-1", Counter.get)) == ("run/run-1", "get", (), {})
        assert do(Counter.at("a/b").ask(Counter.add, 1)) == ("actor.Counter/a/b", "add", (1,), {})


def test_telling_goes_to_the_run_at_once() -> None:
    scribe = Scribe()
    with inside(scribe):
        tell(Counter.at("x"), Counter.add, 1)

    assert scribe.seen == [("actor.Counter/x", "add", (1,), {})]


def test_telling_a_readonly_method_is_refused() -> None:
    with inside(Scribe()), pytest.raises(BadRequest, match="telling it has no effect; ask it"):
        tell("run-1", Counter.get)


def test_a_method_that_is_not_a_handler_is_refused() -> None:
    with inside(Scribe()), pytest.raises(BadDefinition, match="is not a @handler or @readonly method"):
        tell("run-1", Counter.__repr__)


def test_continue_as_new_ends_the_code_that_calls_it() -> None:
    with inside(Scribe()), pytest.raises(KeyError):
        continue_as_new(1, n=2)


@pytest.mark.parametrize("id", [5, None, b"run-1", 1.5, Path("run-1"), ["run-1"]])
def test_an_id_of_another_type_than_text_is_refused(id: Any) -> None:
    with inside(Scribe()):
        for use in (
            lambda: tell(id, Counter.add, 1),
            lambda: Counter.at(id),
            lambda: lock(id),
            lambda: semaphore(id, 2),
            lambda: do(ask(id, Counter.get)),
            lambda: checked_schedule_id(id),
            lambda: address_of(id),
        ):
            with pytest.raises(BadInput, match=r"ids are `str`, and this is of the class"):
                use()
        if id is not None:
            with pytest.raises(BadInput, match=r"ids are `str`"):
                start(child, 1, id=id)


def test_an_id_may_be_a_member_of_an_enum_of_texts() -> None:
    class Names(str, Enum):  # noqa: UP042 - whose text is not its value
        FIRST = "first"

    assert address_of(Names.FIRST) == "run/first"
    assert Counter.at(Names.FIRST).id == "first"
