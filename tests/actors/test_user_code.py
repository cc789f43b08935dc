"""Whatever user code raises, and wherever it is called: only its own run or message pays, and whoever waits is told.

Each place where the engine's thread calls user code, with each kind of exception. Not here: tasks, which run elsewhere.
"""

# ruff: noqa: RUF006 - a run holds its tasks itself

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest
from msgspec import Raw

from tests.actors.world import T0, World, living, run, starting
from understudy import Actor, App, handler, readonly, wait_until
from understudy.errors import Bug, Evicted, Stalled
from understudy_runtime.actors.cell import Query
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Deliver, Refused, Settled
from understudy_runtime.core.records.programs import Warned
from understudy_runtime.execution import program
from understudy_runtime.storage.memory import MemoryStore

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


# --- what is raised


class Own(BaseException):
    pass


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class Broken(BaseException):
    def __init__(self) -> None:
        raise SystemExit("not even made")


class Secretive(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise Own(name)


def _unencodable() -> BaseException:
    error = ValueError(object(), b"\xff", "\udc80", {1: {2}})
    error.itself = error  # type: ignore[attr-defined]
    return error


RAISED: dict[str, Callable[[], Any]] = {
    "cancelled": lambda: asyncio.CancelledError("x"),
    "generator_exit": GeneratorExit,
    "interrupt": KeyboardInterrupt,
    "exit": lambda: SystemExit("usage"),
    "exit_class": lambda: SystemExit,
    "stop": StopIteration,
    "stop_async": StopAsyncIteration,
    "own": Own,
    "evicted": lambda: Evicted("x"),
    "stalled": lambda: Stalled("x"),
    "unspeakable": Unspeakable,
    "unspeakable_group": lambda: BaseExceptionGroup("g", [Unspeakable(), Own()]),
    "secretive": Secretive,
    "broken_class": lambda: Broken,
    "unencodable": _unencodable,
    "group": lambda: BaseExceptionGroup("g", [KeyboardInterrupt(), ExceptionGroup("h", [ValueError()])]),
    "assertion": lambda: AssertionError(),
    "memory": MemoryError,
}


def throw(how: str) -> Any:
    if how:
        raise RAISED[how]()


# --- where


class Odd(pydantic.BaseModel):
    """Valid until it is armed: then it raises when it is encoded (`out`) or decoded (`in`)."""

    out: str = ""
    into: str = ""

    @pydantic.field_validator("into")
    @classmethod
    def look(cls, value: str) -> str:
        throw(value)
        return value

    @pydantic.model_serializer
    def give(self) -> dict[str, str]:
        throw(self.out)
        return {"out": self.out, "into": self.into}


class Hostile:
    """Neither printed, compared nor hashed without harm."""

    def __init__(self, how: str) -> None:
        self._how = how

    def __call__(self, *args: Any) -> None:
        throw(self._how)

    def __repr__(self) -> str:
        return str(throw(self._how))

    def __eq__(self, other: object) -> bool:
        return bool(throw(self._how))

    def __hash__(self) -> int:
        return int(throw(self._how))

    def __bool__(self) -> bool:
        return bool(throw(self._how))

    def __del__(self) -> None:
        throw(self._how if self._how != "secretive" else "own")  # pytest itself fails of that one


class Foreign:
    """Awaited, it gives the loop something that cannot even be looked at."""

    def __init__(self, how: str) -> None:
        self._how = how

    @property
    def _asyncio_future_blocking(self) -> bool:
        return bool(throw(self._how))

    def __await__(self) -> Any:
        yield self


class LateAwait:
    def __init__(self, how: str) -> None:
        self._how = how

    def __await__(self) -> Any:
        throw(self._how)
        yield


app = App("hostile")


@app.task
def quick() -> str:
    return "quick"


@app.task
def armed(how: str) -> str:
    return how


@app.task(name="odd")
def odd(how: str) -> Odd:
    return Odd.model_construct(into=how)


@app.workflow
async def other() -> str:
    return await quick()


async def late(how: str) -> Any:
    await quick()
    throw(how)


@app.workflow
class Body:
    """Raises in the workflow's own code, or in code that this has begun, and fails of it."""

    def __init__(self) -> None:
        self.flag = False

    async def run(self, where: str, how: str) -> Any:
        return await getattr(self, where)(how)

    async def at_once(self, how: str) -> None:
        throw(how)

    async def after_a_task(self, how: str) -> None:
        await late(how)

    async def child(self, how: str) -> None:
        await asyncio.create_task(late(how))

    async def group(self, how: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(late(how))
            group.create_task(asyncio.sleep(1000))

    async def gathered(self, how: str) -> None:
        await asyncio.gather(late(how), asyncio.sleep(1))

    async def predicate(self, how: str) -> None:
        await wait_until(lambda: throw(how))

    async def predicate_again(self, how: str) -> None:
        asyncio.get_running_loop().call_later(1, setattr, self, "flag", True)
        await wait_until(lambda: self.flag and throw(how))

    async def foreign(self, how: str) -> None:
        await Foreign(how)

    async def awaited(self, how: str) -> None:
        await LateAwait(how)

    async def result(self, how: str) -> Odd:
        return Odd.model_construct(out=how)


@app.workflow
class Unborn:
    def __init__(self) -> None:
        throw(BORN_WITH[0])

    async def run(self) -> str:
        return "never"


BORN_WITH = [""]


@app.workflow
async def reads(given: Odd) -> str:
    return "never"


@app.workflow
class Mild:
    """Raises where the run itself does not depend on it."""

    def __init__(self) -> None:
        self.over = False

    async def run(self, where: str, how: str) -> str:
        await getattr(self, where)(how)
        return "fine"

    async def idle(self, how: str) -> None:
        await wait_until(lambda: self.over)

    async def repr_of_a_callback(self, how: str) -> None:
        asyncio.get_running_loop().call_soon(Hostile("own"), how)
        await asyncio.sleep(1)

    async def finalizer(self, how: str) -> None:
        Hostile(how)

    async def unseen_future(self, how: str) -> None:
        error = RAISED[how]()
        if how not in ("stop", "broken_class", "exit_class"):
            asyncio.get_running_loop().create_future().set_exception(error)

    async def left_task(self, how: str) -> None:
        async def stays() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                throw(how)

        asyncio.create_task(stays())
        await asyncio.sleep(1)

    async def left_task_that_calls(self, how: str) -> None:
        async def stays() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await late(how)

        asyncio.create_task(stays())
        await asyncio.sleep(1)

    async def left_generator(self, how: str) -> None:
        async def rows() -> AsyncGenerator[int, None]:
            try:
                yield 1
            finally:
                throw(how)

        async for _ in rows():
            break

    async def left_callback(self, how: str) -> None:
        left = asyncio.create_task(asyncio.sleep(1000))
        left.add_done_callback(Hostile(how))
        await asyncio.sleep(1)

    async def met_by_what_has_no_truth(self, how: str) -> None:
        await wait_until(lambda: Hostile(how))

    @handler
    def plain(self, how: str) -> None:
        throw(how)

    @handler
    async def coroutine(self, how: str) -> None:
        throw(how)

    @handler
    async def after_a_task(self, how: str) -> None:
        await late(how)

    @handler
    async def group(self, how: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(late("own" if how in EXITS else how))

    @handler
    async def predicate(self, how: str) -> None:
        flag: list[int] = []
        asyncio.get_running_loop().call_later(1, flag.append, 1)
        await wait_until(lambda: bool(flag) and throw(how))

    @handler
    def gives_awaitable(self, how: str) -> Any:
        return LateAwait(how)

    @handler
    def result(self, how: str) -> Odd:
        return Odd.model_construct(out=how)

    @handler
    def reads(self, how: Odd) -> None:
        pass

    @handler
    def end(self) -> None:
        self.over = True

    @readonly
    def question(self, how: str) -> None:
        throw(how)

    @readonly
    def answer(self, how: str) -> Odd:
        return Odd.model_construct(out=how)

    @readonly
    def reads_question(self, how: Odd) -> None:
        pass


@app.actor
class Counter(Actor):
    n: int = 0
    odd: Odd = Odd()

    @handler
    def plain(self, how: str) -> None:
        self.n = 99
        throw(how)

    @handler
    async def coroutine(self, how: str) -> None:
        self.n = 99
        throw(how)

    @handler
    async def after_a_task(self, how: str) -> None:
        self.n = 99
        await late(how)

    @handler
    async def child(self, how: str) -> None:
        self.n = 99
        await asyncio.create_task(late(how))

    @handler
    async def group(self, how: str) -> None:
        self.n = 99
        async with asyncio.TaskGroup() as group:
            group.create_task(late(how))

    @handler
    async def predicate(self, how: str) -> None:
        self.n = 99
        flag: list[int] = []
        asyncio.get_running_loop().call_later(1, flag.append, 1)
        await wait_until(lambda: bool(flag) and throw(how))

    @handler
    def gives_awaitable(self, how: str) -> Any:
        self.n = 99
        return LateAwait(how)

    @handler
    def result(self, how: str) -> Odd:
        self.n = 99
        return Odd.model_construct(out=how)

    @handler
    def state(self, how: str) -> None:
        self.n = 99
        self.odd = Odd.model_construct(out=how)

    @handler
    def state_read_again(self, how: str) -> None:
        self.n = 99
        self.odd = Odd.model_construct(into=how)

    @handler
    def reads(self, how: Odd) -> None:
        self.n = 99

    @handler
    def add(self) -> int:
        self.n += 1
        return self.n

    @readonly
    def question(self, how: str) -> None:
        throw(how)

    @readonly
    def answer(self, how: str) -> Odd:
        return Odd.model_construct(out=how)


UNNOTICED = ("group", "cancelled")
"""A TaskGroup takes no notice of a child that cancels itself."""
QUIET = ("cancelled", "generator_exit")
"""What a task or generator ends with when it is told to."""
EXITS = ("interrupt", "exit", "exit_class", "broken_class")
"""Of a task of a run that still goes on, these end the run, as they end any asyncio program."""
BODIES = [name for name, value in vars(Body).items() if inspect.iscoroutinefunction(value) and name != "run"]
ENDS = ("repr_of_a_callback", "finalizer", "unseen_future", "left_task", "left_task_that_calls", "left_generator",
"left_callback", "met_by_what_has_no_truth")  # fmt: skip
MESSAGES = ("plain", "coroutine", "after_a_task", "group", "predicate", "gives_awaitable", "result", "reads")
ACTOR = (*MESSAGES, "child", "state", "state_read_again")


NOTHING = Raw(b'{"args":[],"kwargs":{}}')


# --- what is to come of it


async def goes_on(world: World) -> None:
    world.deliver(run("another"), starting("other"))
    described = await world.result(run("another"))
    assert (described.status, described.result) == ("succeeded", Raw(b'"quick"'))
    assert world.failures == []


def arguments(handler_name: str, how: str) -> Raw:
    given = {"out": "", "into": how} if handler_name.startswith("reads") else how
    return Raw(msgspec.json.encode({"args": [given], "kwargs": {}}))


def is_told(answer: Any) -> Failure:
    assert isinstance(answer, Settled), answer
    assert answer.failure is not None
    return answer.failure


def named(failure: Failure, how: str) -> bool:
    """Whether the failure says what was raised."""
    raised = RAISED[how]()
    kind: type[BaseException] = raised if how.endswith("_class") or type(raised) is type else type(raised)
    name = "SystemExit" if how == "broken_class" else kind.__name__
    return name in f"{failure.type} {failure.message} {failure.traceback}"


def is_reworded(where: str, how: str) -> bool:
    """By Python where a coroutine raises it, by pydantic, or because no traceback can be made of its group."""
    reads = "read" in where and how in ("unencodable", "assertion")
    return how == "stop" or reads or (where, how) == ("group", "secretive")


@pytest.mark.parametrize(("where", "how"), [each for each in product(BODIES, RAISED) if each != UNNOTICED])
async def test_a_run_fails_of_what_its_own_code_raises(where: str, how: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Body", where, how))
        described = await world.result(run("it"))
        assert described.status == "failed", described
        assert described.failure is not None
        assert is_reworded(where, how) or named(described.failure, how), described.failure
        await goes_on(world)


@pytest.mark.parametrize("how", RAISED)
async def test_a_run_fails_of_what_its_class_raises_when_it_is_made(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "BORN_WITH", [how])
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Unborn"))
        described = await world.result(run("it"))
        assert described.status == "failed"
        assert described.failure is not None
        assert named(described.failure, how)
        await goes_on(world)


@pytest.mark.parametrize("how", RAISED)
async def test_a_run_fails_of_what_its_arguments_raise(how: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("reads", {"out": "", "into": how}))
        assert (await world.result(run("it"))).status == "failed"
        await goes_on(world)


@pytest.mark.parametrize("how", RAISED)
@pytest.mark.parametrize("where", ENDS)
async def test_a_run_that_has_returned_ends_whatever_it_left_behind_raises(where: str, how: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Mild", where, how))
        described = await world.result(run("it"))
        assert (described.status, described.result) == ("succeeded", Raw(b'"fine"')), described
        if where.startswith("left") and how not in QUIET:
            turns = await world.engine.history(run("it"))
            assert any(isinstance(record, Warned) for turn in turns for record in turn.records)
        await goes_on(world)


@pytest.mark.parametrize(("where", "how"), [each for each in product(MESSAGES, RAISED) if each != UNNOTICED])
async def test_whoever_asked_a_run_is_told_and_the_run_goes_on(where: str, how: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Mild", "idle", ""))
        failure = is_told(await world.ask(run("it"), Deliver(where, arguments(where, how), ask=True)))
        assert where == "group" or is_reworded(where, how) or named(failure, how)
        await goes_on(world)
        world.deliver(run("it"), Deliver("end", NOTHING))
        assert (await world.result(run("it"))).status == "succeeded"


@pytest.mark.parametrize("how", RAISED)
@pytest.mark.parametrize("where", ["question", "answer", "reads_question"])
async def test_whoever_asked_a_readonly_method_of_a_run_is_told(where: str, how: str) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Mild", "idle", ""))
        failure = is_told(await world.ask(run("it"), Query(where, arguments(where, how))))
        assert is_reworded(where, how) or named(failure, how)
        await goes_on(world)
        world.deliver(run("it"), Deliver("end", NOTHING))
        assert (await world.result(run("it"))).status == "succeeded"


@pytest.mark.parametrize(("where", "how"), [each for each in product(ACTOR, RAISED) if each != UNNOTICED])
async def test_whoever_asked_an_actor_is_told_and_its_state_is_as_before(where: str, how: str) -> None:
    key = actor_key("default", "Counter", "it")
    async with living([app], MemoryStore()) as world:
        assert (await world.ask(key, Deliver("add", NOTHING, ask=True))).result == Raw(b"1")
        failure = is_told(await world.ask(key, Deliver(where, arguments(where, how), ask=True)))
        assert is_reworded(where, how) or named(failure, how)
        await goes_on(world)
        assert (await world.ask(key, Deliver("add", NOTHING, ask=True))).result == Raw(b"2")


@pytest.mark.parametrize("how", RAISED)
@pytest.mark.parametrize("where", ["question", "answer"])
async def test_whoever_asked_a_readonly_method_of_an_actor_is_told(where: str, how: str) -> None:
    key = actor_key("default", "Counter", "it")
    async with living([app], MemoryStore()) as world:
        assert named(is_told(await world.ask(key, Query(where, arguments(where, how)))), how)
        assert (await world.ask(key, Deliver("add", NOTHING, ask=True))).result == Raw(b"1")
        await goes_on(world)


def versioned(version: int, how: str = "") -> App:
    migrating = App("hostile")
    migrating.task(quick.fn)

    @migrating.workflow(name="other")
    async def another() -> str:
        return "quick"

    @migrating.actor(version=version)
    class Old(Actor):
        n: int = 0

        @handler
        def add(self) -> int:
            self.n += 1
            return self.n

        @classmethod
        def migrate(cls, state: dict[str, Any], version: int) -> dict[str, Any]:
            throw(how)
            return state

    return migrating


@pytest.mark.parametrize("how", RAISED)
async def test_an_actor_whose_migration_raises_is_held_and_says_so(how: str) -> None:
    key, store = actor_key("default", "Old", "it"), MemoryStore()
    add = Deliver("add", NOTHING, ask=True)
    async with living([versioned(1)], store) as world:
        assert (await world.ask(key, add)).result == Raw(b"1")
    async with living([versioned(2, how)], store, now=T0 + 10) as world:
        told = await world.ask(key, add)
        assert isinstance(told, Refused)
        assert "migrated from version 1 to 2" in told.message
        await goes_on(world)
    async with living([versioned(2)], store, now=T0 + 20) as world:
        assert (await world.ask(key, add)).result == Raw(b"2")


# --- the second line: a fault of ours


@pytest.mark.parametrize("fault", [RuntimeError("ours"), Own("ours"), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_a_fault_of_ours_puts_one_actor_out_of_service_and_everybody_who_waits_is_told(
    fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living([app], MemoryStore()) as world:
        world.deliver(run("it"), starting("Mild", "idle", ""))
        await world.settle()
        watching, asking = world.watch(run("it")), world.deliver(run("it"), Query("question", arguments("", "")))
        await world.settle()
        assert (watching, len(asking)) == ([], 1)
        faulty = world.engine._cells[run("it")].program
        assert faulty is not None

        def fail(*args: Any) -> Any:
            raise fault

        monkeypatch.setattr(faulty, "activate", fail)
        monkeypatch.setattr(faulty, "evict", fail)
        told = await world.ask(run("it"), Deliver("plain", arguments("", ""), ask=True))
        assert isinstance(told, Bug)
        assert [type(each) for each in watching] == [Bug]
        assert isinstance(await world.ask(run("it"), Query("question", arguments("", ""))), Bug)
        await world.until(lambda: True)
        late = world.watch(run("it"))
        await world.settle()
        assert [type(each) for each in late] == [Bug]
        await goes_on(world)


def test_no_place_that_calls_user_code_lets_a_base_exception_pass() -> None:
    """Whoever adds one catches all there is, and leaves to `raising.py` what becomes of it."""
    assert program.__file__ is not None
    for file in Path(program.__file__).parent.glob("*.py"):
        assert "except Exception" not in file.read_text(), file.name
