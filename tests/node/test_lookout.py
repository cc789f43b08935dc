"""A node whose engine is wedged is seen by its probe and its log, and leaves when it is told to, whatever it is at."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import grpc
import pytest
import structlog.testing

from tests.node.nodes import Yard
from understudy_runtime.node import monitor as monitors
from understudy_runtime.node.lookout import EVERY_S, LEAVING_S, SILENT_S, Lookout, stack
from understudy_runtime.node.monitor import Monitor

LOOKS = int(SILENT_S / EVERY_S)
WEDGED = """
import asyncio, ctypes, time
import pydantic
from understudy import Actor, App, handler

app = App("wedged")

@app.task
async def quick() -> int:
    return 1

@app.workflow
async def wedges() -> None:
    await quick()
    time.sleep(1_000_000)

@app.workflow
async def stops_the_interpreter() -> None:
    await quick()
    ctypes.PyDLL(None).sleep(1_000_000)

class Odd(pydantic.BaseModel):
    kind: str

    @pydantic.field_validator("kind")
    @classmethod
    def look(cls, kind: str) -> str:
        raise {"interrupt": KeyboardInterrupt, "exit": SystemExit, "cancelled": asyncio.CancelledError}[kind]

@app.workflow
async def reads(given: Odd) -> None: ...

@app.workflow
async def total() -> int:
    return await quick()

@app.workflow
async def raises(kind: str) -> None:
    await quick()
    raise {"interrupt": KeyboardInterrupt, "exit": SystemExit, "cancelled": asyncio.CancelledError}[kind]
"""


class Silence:
    silent_s = 0.0


class Standing:
    """An engine, and its executor."""

    slices = 0
    ready = 0

    def blocked(self, threshold_s: float) -> None:
        """Nothing is."""


class Ends:
    def __init__(self) -> None:
        self.monitored = Silence()
        self.why: list[str] = []
        self.lookout = Lookout(lambda: self.monitored, self.why.append)

    def look(self, times: int) -> None:
        for _ in range(times):
            self.lookout.look()


def test_a_silent_engine_is_told_of_once_until_it_has_answered() -> None:
    ends = Ends()
    with structlog.testing.capture_logs() as logged:
        ends.look(2 * LOOKS)
        assert (logged, ends.lookout.silent_s) == ([], 0.0)
        ends.monitored.silent_s = 60.0
        ends.look(LOOKS - 1)
        assert logged == []
        ends.look(LOOKS)
        assert [entry["event"] for entry in logged] == ["the engine's loop does not answer: no run goes on"]
        ends.monitored.silent_s = 0.0
        ends.look(1)
        ends.monitored.silent_s = 60.0
        ends.look(LOOKS)
    assert len(logged) == 2
    assert ends.why == []


def test_a_process_that_was_stopped_for_long_has_missed_one_look() -> None:
    ends = Ends()
    ends.monitored.silent_s = 3600.0
    ends.look(1)
    assert ends.lookout.silent_s == EVERY_S


def test_who_is_to_leave_and_is_wedged_is_ended() -> None:
    ends = Ends()
    ends.monitored.silent_s = 60.0
    ends.lookout.leaving(3600.0)
    ends.look(LOOKS - 1)
    assert ends.why == []
    ends.look(1)
    assert ends.why == ["its engine's loop does not answer"]


def test_who_is_to_leave_is_gone_in_bounded_time() -> None:
    ends = Ends()
    ends.lookout.leaving(10.0)
    ends.look(int((10.0 + LEAVING_S) / EVERY_S) - 1)
    assert ends.why == []
    ends.look(1)
    assert ends.why == ["it has not left in 70 s"]


def test_the_stack_of_a_thread_that_is_not_there_is_empty() -> None:
    assert stack("nobody") == ""


@pytest.mark.anyio
async def test_a_loop_that_answers_while_its_engine_takes_no_turns_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitors, "EVERY_S", 0.001)
    engine = Standing()
    monitor = Monitor(engine, engine)

    async def looks() -> None:
        for _ in range(20):
            await asyncio.sleep(0.001)

    await looks()
    engine.ready = 1
    await looks()
    stuck_at = monitor.seen_at
    await looks()
    assert monitor.seen_at == stuck_at
    engine.slices += 1
    await looks()
    assert monitor.seen_at > stuck_at
    monitor.close()
    assert monitor.silent_s == 0.0


@pytest.fixture
def wedged(yard: Yard) -> Any:
    (yard.at / "wedged.py").write_text(WEDGED)
    return yard.node(target="wedged.py")


@pytest.mark.slow
def test_a_node_that_is_alone_and_wedged_says_so_and_leaves_when_told(wedged: Any) -> None:
    assert wedged.get("/livez").status == 200
    wedged.client().start("wedges")
    told = wedged.logged("the engine's loop does not answer: no run goes on")
    assert "in wedges" in told["stack"]
    assert wedged.get("/livez").status == 503
    wedged.signal(signal.SIGTERM)
    wedged.logged("the node is ended, because it cannot leave")
    assert wedged.ended() == 1


@pytest.mark.slow
def test_one_that_no_thread_runs_in_any_more_says_so_through_its_guard_and_leaves_when_told(wedged: Any) -> None:
    wedged.client().start("stops_the_interpreter")
    wedged.said("no thread of it has run for 10 s, and no run goes on")
    wedged.signal(signal.SIGTERM)
    assert wedged.ended() == -signal.SIGABRT
    assert "it was asked to leave" in wedged.said("is ended")
    wedged.said("in stops_the_interpreter")


@pytest.mark.parametrize("kind", ["interrupt", "exit", "cancelled"])
def test_what_a_run_raises_is_no_affair_of_its_node(wedged: Any, kind: str) -> None:
    client = wedged.client()
    client.start("raises", f'["{kind}"]')
    with pytest.raises(grpc.RpcError) as refused:
        client.start("reads", f'[{{"kind": "{kind}"}}]')
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "the code that reads the arguments raised" in str(refused.value.details())
    assert client.result(client.start("total")) == 1
    assert wedged.get("/livez").status == 200
    wedged.signal(signal.SIGTERM)
    assert wedged.ended() == 0
