"""Defining: what a decorated thing is, what is refused when it is defined, and what calling it outside a run does."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial, wraps
from typing import Any, cast

import pytest

from understudy import Actor, ActorRef, App, BadDefinition, BadRequest, Retry, call, handler, readonly, start
from understudy.building import handler_definition
from understudy.workflows import workflow_of


@pytest.fixture
def app() -> App:
    return App("shop")


def test_options_of_a_task_become_seconds(app: App) -> None:
    @app.task(
        name="t", retry=Retry(delays=["5m"]), timeout="1m30s", deadline=timedelta(hours=1), heartbeat=5, version="2"
    )
    async def task() -> None: ...

    options = app.tasks["t"].options

    assert (options.timeout_s, options.deadline_s, options.heartbeat_s) == (90, 3600, 5)
    assert (options.retry.attempts, options.retry.delays_s, options.version) == (2, (300,), "2")


def test_a_task_knows_where_its_code_runs(app: App) -> None:
    @app.task
    async def awaits() -> None: ...

    @app.task
    def blocks() -> None: ...

    @app.task(isolate="process", memory_mb=100)
    def computes() -> None: ...

    assert {name: task.kind for name, task in app.tasks.items()} == {
        "awaits": "async",
        "blocks": "thread",
        "computes": "process",
    }


def test_a_task_knows_where_another_process_finds_it(app: App) -> None:
    @app.task(name="named")
    def task() -> None: ...

    assert task.definition.target == (__name__, "named")


def test_with_changes_the_options_of_one_call_and_not_of_the_task(app: App) -> None:
    @app.task(timeout="1m", retry=Retry(attempts=4))
    async def task() -> None: ...

    changed = task.with_(timeout="2m", optional=True)

    assert (changed.options.timeout_s, changed.options.optional, changed.options.retry.attempts) == (120, True, 4)
    assert (task.options.timeout_s, task.options.optional) == (60, False)
    assert changed.definition is task.definition


def test_an_optional_task_has_a_default(app: App) -> None:
    @app.task
    async def task() -> int:
        return 1

    lenient = task.optional("none")

    assert (lenient.options.optional, lenient.default) == (True, "none")


def test_outside_a_workflow_tasks_and_workflows_are_plain_calls_that_are_awaited(app: App) -> None:
    @app.task
    async def double(n: int) -> int:
        return 2 * n

    @app.task
    def negate(n: int) -> int:
        return -n

    @app.workflow
    async def both(n: int) -> int:
        return await double(n) + await negate(n)

    @app.workflow
    class Later:
        async def run(self, n: int) -> int:
            return await both(n)

    async def main() -> list[int]:
        return [await double(3), await negate(3), await both(3), await call(both, 3), await call(Later, 3)]

    assert asyncio.run(main()) == [6, -3, 3, 3, 3]
    assert double.fn is not double
    assert negate.fn(1) == -1


def test_starting_a_child_outside_a_workflow_says_what_to_do(app: App) -> None:
    @app.workflow
    async def workflow() -> None: ...

    with pytest.raises(BadRequest, match=r"workflow can be started .* use client\.start"):
        start(workflow)
    with pytest.raises(BadRequest, match=r"use client\.start"):
        workflow.start()


def test_a_class_workflow_stays_the_class_and_names_its_handlers(app: App) -> None:
    @app.workflow(name="approval", timeout="3d")
    class Approval:
        async def run(self) -> str:
            return ""

        @handler
        def decide(self, verdict: str) -> None: ...

        @readonly
        def current(self) -> str | None:
            return None

    owner, definition = workflow_of(Approval)

    assert isinstance(Approval(), Approval)
    assert owner is app
    assert (definition.name, definition.is_class, definition.deadline_s) == ("approval", True, 3 * 86400)
    assert {name: item.readonly for name, item in definition.handlers.items()} == {"decide": False, "current": True}
    assert handler_definition(Approval.decide) is definition.handlers["decide"]


def test_handlers_are_inherited(app: App) -> None:
    class Base:
        @handler
        def stop(self) -> None: ...

    @app.workflow
    class Derived(Base):
        async def run(self) -> None: ...

    assert set(workflow_of(Derived)[1].handlers) == {"stop"}


def test_an_actor_is_addressed_by_class_and_id(app: App) -> None:
    @app.actor
    class Counter(Actor):
        value: int = 0

        @handler
        async def add(self, n: int) -> int:
            return n

    assert Counter.at("hits") == ActorRef("Counter", "hits")
    assert app.actors["Counter"].cls is Counter
    assert set(app.actors["Counter"].handlers) == {"add"}


def test_an_actor_that_was_not_registered_has_no_address() -> None:
    class Stray(Actor): ...

    with pytest.raises(BadDefinition, match=r"Stray is not decorated with @app\.actor"):
        Stray.at("x")


def test_annotations_may_name_what_the_defining_function_or_the_module_defines(app: App) -> None:
    @dataclass
    class Local:
        n: int

    @app.task
    async def local(value: Local) -> Local:
        return value

    @app.task
    async def later(value: Later) -> Later:
        return value

    assert app.tasks["local"].call.decode(b'{"args":[{"n":1}],"kwargs":{}}')[0] == (Local(1),)
    assert app.tasks["later"].call.decode(b'{"args":[{"n":1}],"kwargs":{}}')[0] == (Later(1),)


def test_an_annotation_may_be_defined_after_the_task() -> None:
    assert early.tasks["uses_later"].call.decode(b'{"args":[{"n":1}],"kwargs":{}}')[0] == (Later(1),)


early = App("early")


@early.task
async def uses_later(value: Later) -> None: ...


@dataclass
class Later:
    n: int


def test_an_annotation_that_names_nothing_is_refused_when_the_app_starts(app: App) -> None:
    @app.task
    async def task(value: Nowhere) -> None: ...  # type: ignore[name-defined] # pyright: ignore # noqa: F821

    with pytest.raises(BadDefinition, match=r"task\(\): an annotation cannot be resolved.*Nowhere"):
        _ = app.tasks


def generator() -> Any:
    yield 1


class NotAnActor:
    @handler
    def touch(self) -> None: ...


class Silent(Actor):
    value: int = 0


class Built(Actor):
    def __init__(self) -> None: ...

    @handler
    def touch(self) -> None: ...


class WithoutRun:
    pass


class WithArguments:
    def __init__(self, n: int) -> None: ...

    async def run(self) -> None: ...


def plain() -> None: ...


def described(cls: Any) -> None: ...


async def unsupported(value: complex) -> None: ...


class Adder:
    def __call__(self, value: int) -> int:
        return value


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda app: app.task(generator), "task generator is a generator"),
    (lambda app: app.task(memory_mb=5)(plain), "memory limit"),
    (lambda app: app.task(unsupported), r"unsupported\(\): parameter 'value': complex has no JSON form"),
    (lambda app: app.task(timeout="soon"), "'soon' is not a duration"),
    (lambda app: app.task(raises=(int,))(plain), "is not a class of exceptions"),
    (lambda app: app.task(name="a/b")(plain), "is no name for task"),
    (lambda app: app.task(name="x" * 201)(plain), "is no name for task"),
    (lambda app: app.workflow(plain), "workflow plain must be an `async def`"),
    (lambda app: app.workflow(WithoutRun), "has no `async def run"),
    (lambda app: app.workflow(WithArguments), "__init__ must take no arguments"),
    (lambda app: app.actor(NotAnActor), r"must derive from understudy\.Actor"),
    (lambda app: app.actor(Silent), "nobody could talk to it"),
    (lambda app: app.actor(Built), "declare its state as annotated attributes"),
    (lambda app: App(""), "is no name for app"),
    (lambda app: app.task(partial(pow, 2)), "was given a functools.partial, .*: write a `def` that calls it"),
    (lambda app: app.workflow(partial(unsupported, 2)), "@app.workflow was given a functools.partial"),
    (lambda app: app.task(Adder()), "was given an object of Adder"),
    (lambda app: app.task(Adder), "class '.*Adder'>, which tells Python too little"),
    (lambda app: app.task(len), "built-in function len>, which tells Python too little"),
    (lambda app: app.task(str.upper), "method 'upper' of 'str' objects>, which"),
    (lambda app: app.task(staticmethod(plain)), "write @staticmethod above @app.task"),
    (lambda app: app.task(classmethod(described)), "was given a classmethod"),
    (lambda app: app.task("plain"), "was given 'plain', which is no function"),
    (lambda app: app.workflow(5), "was given 5, which is no function"),
    (lambda app: app.actor(5), "@app.actor was given 5; it goes above a class"),
    (lambda app: app.resource(plain), "@app.resource was given <function plain.*; it goes above a class"),
    (lambda app: app.job()(plain), "@app.job was given <function plain.*; it goes above a class"),
    (lambda app: app.task(name=5)(plain), "5 is no name for task"),
    (lambda app: app.task(raises=ValueError)(plain), r"write raises=\[ValueError\]"),
    (lambda app: app.task(raises=[5])(plain), "raises=5 is not a class of exceptions"),
    (lambda app: app.task(retries=3), "app.task has no option retries=; did you mean retry="),
    (
        lambda app: app.task(nonsense=3),
        r"app.task has no option nonsense=; nothing is called like it \(it takes deadline",
    ),
    (lambda app: app.task(plain).with_(timout=3), "with_ has no option timout=; did you mean timeout="),
    (lambda app: app.workflow(time_out=3), "app.workflow has no option time_out=; did you mean timeout="),
    (lambda app: app.job(poll_every=3), "app.job has no option poll_every=; did you mean"),
    (lambda app: app.schedule(crn="* * * * *"), "app.schedule has no option crn=; did you mean cron="),
    (lambda app: app.actor(versoin=2), "app.actor has no option versoin=; did you mean version="),
    (lambda app: app.resource(capcity=2), "app.resource has no option capcity=; did you mean capacity="),
    (lambda app: cast("Any", Retry)(attempt=2), "Retry has no option attempt=; did you mean attempts="),
]


@pytest.mark.parametrize(
    ("define", "complaint"),
    WRONG,
)
def test_what_could_not_be_served_is_refused_where_it_is_written(define: Any, complaint: str, app: App) -> None:
    with pytest.raises(BadDefinition, match=complaint):
        define(app)(lambda: None)


def test_whatever_is_like_a_function_is_taken(app: App) -> None:
    class Shop:
        async def sell(self, n: int) -> int:
            return n

    @wraps(Shop.sell)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return Shop.sell(*args, **kwargs)

    assert app.task(Shop().sell).definition.kind == "async"
    assert app.task(lambda: 1).definition.kind == "thread"
    assert app.task(cache(plain)).definition.kind == "thread"
    assert app.task(name="wrapped")(wrapped).definition.kind == "thread", "what wraps it may block"
    assert app.workflow(wrapped).definition.call.decode(b'{"args":[1,2],"kwargs":{}}') == ((1, 2), {})


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is of Python 3.12")
def test_a_wrapper_may_say_that_it_gives_a_coroutine(app: App) -> None:
    def wrapper(n: int) -> Any: ...

    cast("Any", inspect).markcoroutinefunction(wrapper)

    assert app.task(wrapper).definition.kind == "async"


def test_names_are_unique_within_an_app(app: App) -> None:
    app.task(plain)

    with pytest.raises(BadDefinition, match="app shop has two tasks called plain"):
        app.task(plain)


def test_a_readonly_method_may_not_wait() -> None:
    async def method(self: object) -> None: ...

    with pytest.raises(BadDefinition, match="must be a plain `def`"):
        readonly(method)


def test_two_errors_of_one_name_cannot_both_be_listed(app: App) -> None:
    def make() -> type[Exception]:
        class Error(Exception): ...

        return Error

    with pytest.raises(BadDefinition, match="have the same name"):
        app.task(raises=(make(), make()))(plain)
