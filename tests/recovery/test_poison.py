"""A run that kills whatever process takes its turn, or runs its task, is found and held; all others go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.node.nodes import PATIENCE_S, Client, NodeProcess, Yard
from understudy_proto.v1 import runs_pb2, runs_pb2_grpc

POISON = """
import asyncio, os, signal
from understudy import App

app = App("poison")

@app.task
async def add(a: int, b: int) -> int:
    return a + b

@app.task
async def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

@app.workflow
async def kills_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

@app.workflow
async def kills_in_a_turn() -> None:
    await add(1, 1)
    os.kill(os.getpid(), signal.SIGKILL)

@app.workflow
async def kills_in_a_task() -> None:
    await crash()

@app.workflow
async def patient(number: int) -> int:
    await asyncio.sleep(2)
    for step in range(10):
        number = await add(number, 1)
    return number
"""
RUN = "poison"
MOST_LIVES = 16
"""Many more than it takes; a crash loop would go on for ever."""


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    yard = Yard(tmp_path)
    (tmp_path / "poison.py").write_text(POISON)
    yield yard
    yard.close()


@pytest.mark.parametrize("workflow", ["kills_in_a_turn", pytest.param("kills_in_a_task", marks=pytest.mark.slow)])
def test_it_is_held_after_some_deaths_and_the_others_go_on(yard: Yard, workflow: str) -> None:
    node = yard.node(target="poison.py")
    others = [node.client().start("patient", f"[{number}]") for number in range(20)]
    with suppress(grpc.RpcError):  # it may die of it before it has answered
        start(node.client(), workflow)
    lives = 0
    while (held := how_it_ended(node)) is None:
        lives += 1
        assert lives < MOST_LIVES
        node = yard.node(target="poison.py")
    assert (held.status, held.held_why) == (runs_pb2.RUN_STATUS_HELD, "poisoned")
    assert "one node after the other died" in held.reason
    assert [node.client().result(run) for run in others] == [number + 10 for number in range(20)]
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    again = yard.node(target="poison.py").client()
    run = again.call("RunService/GetRun", runs_pb2.GetRunRequest(run_id=RUN), runs_pb2.GetRunResponse).run
    assert run.held_why == "poisoned", "a restart does not release it"


@pytest.mark.slow
def test_one_that_never_survives_its_first_turn_is_refused_in_the_end(yard: Yard) -> None:
    """Nothing is stored of it: it is whoever starts it, again and again, who would go through all nodes."""
    for _ in range(MOST_LIVES):
        node = yard.node(target="poison.py")
        with pytest.raises(grpc.RpcError) as failed:
            start(node.client(), "kills_at_once")
        if failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT:
            assert "one node after the other died" in str(failed.value.details())
            assert node.client().result(node.client().start("patient", "[1]")) == 11
            return
    raise AssertionError("it goes on for ever")


@pytest.mark.slow
def test_a_node_that_is_killed_again_and_again_holds_nobody(yard: Yard) -> None:
    node = yard.node(target="poison.py")
    runs = [node.client().start("patient", f"[{number}]") for number in range(20)]
    for _ in range(7):
        node.signal(signal.SIGKILL)
        node.ended()
        node = yard.node(target="poison.py")
        assert node.address
    assert [node.client().result(run) for run in runs] == [number + 10 for number in range(20)]


def start(client: Client, workflow: str) -> None:
    request = runs_pb2.StartRunRequest(workflow=workflow, run_id=RUN)
    client.call("RunService/StartRun", request, runs_pb2.StartRunResponse)


def how_it_ended(node: NodeProcess) -> runs_pb2.Outcome | None:
    """None if its node died first."""
    if not node.became_ready():
        assert node.ended() == -signal.SIGKILL
        return None
    stub: Any = runs_pb2_grpc.RunServiceStub(node.client().channel)
    try:
        # Not with Client, which would wait for a node that is gone.
        outcome: runs_pb2.Outcome = stub.WaitRun(runs_pb2.WaitRunRequest(run_id=RUN), timeout=PATIENCE_S).outcome
        return outcome
    except grpc.RpcError:
        assert node.ended() == -signal.SIGKILL
        return None
