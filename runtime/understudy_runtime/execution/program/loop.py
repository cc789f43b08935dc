"""The event loop of one run: deterministic, stepped from outside, and without a clock of its own.

The owner is authoritative for time and input. It calls `turn(now, deliver)` from a callback of the
engine's loop; `deliver` starts tasks and resolves futures, due timers fire, and callbacks run in passes
until none is ready. Given the same turns, a run's code takes the same steps, in any process:

* callbacks run in order of creation, pass by pass; timers by deadline, ties by creation;
* tasks and futures hash by creation number, salted with the run (`tasks.py`, `ordering.py`);
* no garbage is collected within a turn, so that no finalizer of one run is called inside of another;
* a turn ends after `PASSES_MAX` passes at the latest: what is still ready waits for the next turn, which is due soon;
* whatever is not durable is refused (`refusals.py`), also calls from outside a turn or from other threads.

How a turn can fail: `Stalled` (the watchdog's, with the stack), `SystemExit` and `KeyboardInterrupt` leave
`turn`, with the engine's loop restored. After `Stalled` the run has taken half a turn: evict it. After the others it
goes on where it was with the next turn (`stepping.py`). All other exceptions stay in the run: in a task's result, or,
if nobody looks, in `warnings`.

A run ends by itself (`ending.py`), or it leaves memory: `evict` turns its loop into a `DeadLoop`, whose every
call raises `Evicted`, and throws the same into its coroutines, newest first.
"""

from __future__ import annotations

import asyncio
import gc
import math
import sys
from collections.abc import AsyncGenerator, Callable
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple, Unpack

from understudy.errors import Evicted, Stalled
from understudy_runtime.core.ports import Order
from understudy_runtime.execution.program.asyncio_internals import (
    EAGER_FACTORY_CODE,
    Suspended,
    has_unseen_failure,
    resume,
    running_loop,
    stepped_task,
    suspend,
)
from understudy_runtime.execution.program.ending import (
    EVICTED,
    cancel_rest,
    close_generator,
    close_generators,
    close_task,
)
from understudy_runtime.execution.program.raising import fail, shown
from understudy_runtime.execution.program.refusals import USE_EAGER_START, USE_THE_LOOP, Refusals, not_durable
from understudy_runtime.execution.program.tasks import (
    CoroutineLike,
    EagerRunTask,
    Held,
    RunFuture,
    RunTask,
    is_over,
    spread,
    task_is_over,
)
from understudy_runtime.execution.program.timers import Step, Timer, Timers
from understudy_runtime.execution.program.watchdog import Watchdog

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PASSES_MAX = 64
"""Passes over the ready queue in one turn, so that `while not done: await sleep(0)` ends its turn."""

UNSETTLED_TURNS_MAX = 64
"""So many turns in a row may end with work left and be followed by the next at once; after that each waits longer than
the one before, for a loop that waits by `sleep(0)` must not fill the journal."""

UNSETTLED_WAIT_MAX_S = 3600.0

WARNINGS_MAX = 100
"""Warnings kept per run; the last of them says that more were dropped."""

_Outer = tuple[Suspended, Any, bool]


class WorkflowLoop(Refusals):
    """One run's loop. `run_salt` is any number derived from the run's id; `now` is in seconds; for `order` see
    `asyncio_order.py`."""

    __slots__ = (
        "_ended",
        "_generators",
        "_main",
        "_next_hash",
        "_now",
        "_ready",
        "_task_count",
        "_tasks",
        "_timers",
        "_unsettled",
        "_watchdog",
        "context",
        "order",
        "stalled",
        "steps",
        "warnings",
    )

    def __init__(
        self,
        run_salt: int,
        now: float,
        context: Context | None = None,
        watchdog: Watchdog | None = None,
        order: Order = "3.13",
    ) -> None:
        self.context = Context() if context is None else context
        self.order: Order = order
        self.steps = 0
        self.stalled: str | None = None
        self.warnings: list[str] = []
        self._now = now
        self._next_hash = spread(run_salt)
        self._task_count = 0
        self._ready: list[Step | Timer] = []
        self._timers = Timers()
        self._tasks: Held[RunTask[Any]] = Held(task_is_over)
        self._generators: Held[AsyncGenerator[Any, Any]] = Held(is_over)
        self._watchdog = watchdog
        self._unsettled = 0
        self._main: asyncio.Task[Any] | None = None
        self._ended = False

    # The owner's side

    def start(self, main: CoroutineLike[T], name: str = "main") -> RunTask[T]:
        """Begin the run. When `main` is over, the rest is cancelled and awaited; then the run has `ended`."""
        task = self.spawn(main, name)
        task.add_done_callback(self._main_is_over, context=self.context)
        return task

    def spawn(self, coro: CoroutineLike[T], name: str = "") -> RunTask[T]:
        """Begin a further task in a copy of the run's context; it takes its first step in the next pass."""
        if running_loop() is self:
            return self._begin_task(coro, name, self.context.copy())
        outer = self._enter()
        try:
            return self._begin_task(coro, name, self.context.copy())
        finally:
            self._leave(outer)

    def turn(self, now: float, deliver: Callable[[], object] | None = None) -> None:
        """Run until nothing is ready. `deliver` runs first, as the run: it resolves futures and starts tasks."""
        if running_loop() is self:
            raise RuntimeError("a turn cannot begin inside a turn of the same run")
        if now > self._now:
            self._now = now
        outer = self._enter()
        try:
            if self._watchdog is None:
                self._run_passes(deliver)
            else:
                self._watchdog.guard(self, self._run_passes, deliver)
        finally:
            self._leave(outer)

    def next_deadline(self) -> float | None:
        """When the next turn is due if nothing comes in, in the seconds of `turn(now)`."""
        deadline = self._timers.earliest()
        if not self._unsettled:
            return deadline
        return min(self._now + self._patience_s(), math.inf if deadline is None else deadline)

    def leave_unsettled(self, turns: int) -> None:
        """There is more to do, which the next turn is to go on with. `turns`: so many in a row have ended like this."""
        self._unsettled = turns

    def _patience_s(self) -> float:
        over = max(0, self._unsettled - UNSETTLED_TURNS_MAX)
        return min(0.001 * over * over, UNSETTLED_WAIT_MAX_S)

    @property
    def tasks(self) -> list[RunTask[Any]]:
        """In order of creation: all that are not done, and some that are."""
        return self._tasks.items

    @property
    def ended(self) -> bool:
        """Whether `main` is over and nothing else of the run is left."""
        return self._ended

    def evict(self) -> None:
        """Leave memory: nothing of the run takes another step, and what its clean-up code does is discarded."""
        if running_loop() is self:
            raise RuntimeError("a run cannot be evicted inside its own turn")
        is_over = not self._is_anything_left()
        self.stalled = None
        object.__setattr__(self, "__class__", DeadLoop)
        if not is_over:
            self._close_under_watch()
        self._forget()

    def _close_under_watch(self) -> None:
        outer = self._enter()
        try:
            if self._watchdog is None:
                self._close_all(None)
            else:
                self._watchdog.guard(self, self._close_all, None)
        except Stalled:
            pass  # the watchdog interrupted clean-up code, whose outcome is discarded anyway
        finally:
            self._leave(outer)

    # The turn

    def _enter(self) -> _Outer:
        # What other runs have left behind is not to be finalized as this one: no garbage is collected within a turn.
        collects = gc.isenabled()
        gc.disable()
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._hold_generator, None)
        return suspend(self), hooks, collects

    def _leave(self, outer: _Outer) -> None:
        suspended, hooks, collects = outer
        resume(suspended)
        sys.set_asyncgen_hooks(*hooks)
        if collects:
            gc.enable()

    def _run_passes(self, deliver: Callable[[], object] | None) -> None:
        if deliver is not None:
            self.steps += 1
            self.context.run(deliver)
        timers = self._timers
        for _ in range(PASSES_MAX):
            if timers.heap:
                self._ready += timers.take_due(self._now)
            batch = self._ready
            if not batch or self.stalled is not None:
                self._unsettled = 0
                return
            self._ready = []
            self._run_batch(batch)
            if self._main is not None:
                self._begin_end(self._main)
        self._unsettled = self._unsettled + 1 if self._ready else 0

    def _run_batch(self, batch: list[Step | Timer]) -> None:
        steps = iter(batch)
        for step in steps:
            callback = step._callback
            if callback is None:
                continue
            self.steps += 1
            try:
                step._context.run(callback, *step._args)
            except BaseException as error:
                if self.stalled is not None:
                    raise
                self._take_raised(callback, error)
                if issubclass(type(error), (SystemExit, KeyboardInterrupt)):
                    self._ready[:0] = steps
                    raise
            if self.stalled is not None:
                return

    def _take_raised(self, callback: Callable[..., object], error: BaseException) -> None:
        """What left a callback. That of a task keeps its errors to itself, unless an exit left it, or what the task
        awaits failed in being awaited; then it would never be stepped again."""
        task = stepped_task(callback)
        if task is not None:
            fail(task, error)
        else:
            self.warn(f"exception in callback {shown(callback)}: {shown(error)}")

    def _refuse_outside(self, call: str) -> None:
        raise not_durable(f"loop.{call}() outside a turn of the run, or from another thread,")

    # Callbacks and timers, as asyncio defines them

    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> Step:
        if running_loop() is not self:
            self._refuse_outside("call_soon")
        step = Step(callback, args, copy_context() if context is None else context)
        self._ready.append(step)
        return step

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Step:
        if running_loop() is not self:
            self._refuse_outside("call_soon_threadsafe")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Timer:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Timer:
        if running_loop() is not self:
            self._refuse_outside("call_at")
        return self._timers.add(when, callback, args, copy_context() if context is None else context)

    def time(self) -> float:
        return self._now

    # Futures, tasks and async generators

    def next_hash(self) -> int:
        self._next_hash = number = self._next_hash + 1
        return number

    def create_future(self) -> RunFuture[Any]:
        self._next_hash = number = self._next_hash + 1
        future: RunFuture[Any] = RunFuture(loop=self)
        future.run_hash = number
        return future

    def create_task(
        self,
        coro: CoroutineLike[T],
        *,
        name: object = None,
        context: Context | None = None,
        eager_start: bool | None = None,
    ) -> RunTask[T]:
        if running_loop() is not self:
            self._refuse_outside("create_task")
        begin = self._begin_eagerly if eager_start else self._begin_task
        return begin(coro, "" if name is None else str(name), copy_context() if context is None else context)

    def _begin_task(self, coro: CoroutineLike[T], name: str, context: Context) -> RunTask[T]:
        self._task_count = number = self._task_count + 1
        # asyncio's own names count through the process and would differ in a replay
        task = RunTask(coro, self, self.next_hash(), name or f"Task-{number}", context)
        self._tasks.add(task)
        return task

    def _begin_eagerly(self, coro: CoroutineLike[T], name: str, context: Context) -> RunTask[T]:
        self._task_count = number = self._task_count + 1
        return EagerRunTask(coro, self, self.next_hash(), name or f"Task-{number}", context, self._tasks)

    def _hold_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators.add(generator)

    # The end

    def _main_is_over(self, main: asyncio.Task[Any]) -> None:
        self._main = main

    def _begin_end(self, main: asyncio.Task[Any]) -> None:
        self._main = None
        if self._ready or self._is_anything_left(besides=main):
            self._begin_task(self._end(main), "end", self.context.copy())
        else:
            self._ended = True

    def _is_anything_left(self, besides: asyncio.Task[Any] | None = None) -> bool:
        tasks = self._tasks.left()
        return tasks not in ([], [besides]) or bool(self._generators.left())

    async def _end(self, main: asyncio.Task[Any]) -> None:
        await cancel_rest(self)
        closed: list[AsyncGenerator[Any, Any]] = []
        while left := [generator for generator in self._generators.left() if generator not in closed]:
            await close_generators(self, left)
            await cancel_rest(self)
            closed += left
        for task in self.tasks:
            if task is not main and has_unseen_failure(task):
                self.warn(f"exception in {task.get_name()} was never retrieved: {shown(task.exception())}")
        self._ended = True

    def _close_all(self, _: None) -> None:
        for task in reversed(self._tasks.left()):
            self.steps += 1
            close_task(self, task)
        for generator in self._generators.left():
            self.steps += 1
            close_generator(generator)

    def _forget(self) -> None:
        self._tasks.items, self._generators.items, self._ready, self._timers = [], [], [], Timers()
        self.context = Context()  # the run's own leads back here, and circles are left to the collector

    # What asyncio asks of any loop

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A future or task says, when it is freed, that nobody retrieved its exception."""
        self.warn(f"{context.get('message')}: {shown(context.get('exception'))}")

    def warn(self, text: str) -> None:
        if len(self.warnings) < WARNINGS_MAX - 1:
            self.warnings.append(text)
        elif len(self.warnings) < WARNINGS_MAX:
            self.warnings.append("more warnings were dropped")

    def is_running(self) -> bool:
        if sys._getframe(1).f_code is EAGER_FACTORY_CODE:
            raise not_durable("asyncio.eager_task_factory()", USE_EAGER_START)
        return running_loop() is self

    def is_closed(self) -> bool:
        return False

    def get_debug(self) -> bool:
        """Asked by each future while it is made: the one moment at which a foreign one can be refused."""
        if sys._getframe(1).f_globals.get("__name__") not in _MAKERS:
            raise not_durable("a future or task made by hand", USE_THE_LOOP)
        return False


_MAKERS = frozenset(
    {
        __name__,
        "understudy_runtime.execution.program.tasks",
        "understudy_runtime.execution.program.calls",
        "asyncio.tasks",  # gather's future, whose hash `ordering.py` gives
    }
)
"""Modules that make futures which hash by creation number."""


_STILL_ANSWERED = frozenset({"call_exception_handler", "evict", "get_debug", "is_closed", "stalled", "steps"})


class DeadLoop(WorkflowLoop):
    """The loop of an evicted run. Every call of user code raises `Evicted`; what finalisers ask is answered."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name in _STILL_ANSWERED:
            return object.__getattribute__(self, name)
        raise Evicted(EVICTED)

    def _hold_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        raise Evicted(EVICTED)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nobody is left to be warned."""

    def is_closed(self) -> bool:
        return True

    def evict(self) -> None:
        """It has been."""
