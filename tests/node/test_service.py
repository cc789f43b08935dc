"""A node as a service: how it serves, what it tells, and how it leaves."""

from __future__ import annotations

import signal

import grpc
import pytest
from google.protobuf import duration_pb2

from tests.node.nodes import Yard
from understudy_proto.v1 import nodes_pb2


def test_a_run_is_started_and_awaited_from_another_process(yard: Yard) -> None:
    client = yard.node().client()
    assert client.result(client.start("total", "[[1, 2, 3]]")) == 6


def test_a_module_is_a_target_as_well_as_a_file(yard: Yard) -> None:
    client = yard.node(target="shop:app").client()
    assert client.result(client.start("total", "[[4]]")) == 4


def test_asked_to_leave_it_lets_running_tasks_end_and_keeps_their_results(yard: Yard) -> None:
    first = yard.node()
    run = first.client().start("halting")
    yard.halted()
    first.signal(signal.SIGTERM)
    first.logged("asked to leave")
    yard.go_on("finished")
    assert first.ended() == 0
    assert yard.node().client().result(run) == "finished in attempt 1"


def test_what_does_not_end_in_time_is_handed_back_at_no_cost(yard: Yard) -> None:
    first = yard.node("--grace-s", "0")
    run = first.client().start("halting")
    yard.halted()
    first.signal(signal.SIGTERM)
    assert first.ended() == 0
    second = yard.node()
    yard.halted()
    yard.go_on("again")
    assert second.client().result(run) == "again in attempt 1"


def test_a_node_that_is_leaving_is_alive_but_not_ready(yard: Yard) -> None:
    node = yard.node()
    node.client().start("halting")
    yard.halted()
    assert node.get("/readyz") == (200, "ok\n")
    node.signal(signal.SIGTERM)
    node.logged("asked to leave")
    assert node.get("/readyz") == (503, "draining\n")
    assert node.get("/livez").status == 200
    yard.go_on("")
    assert node.ended() == 0


def test_a_node_that_is_leaving_takes_no_new_runs(yard: Yard) -> None:
    node = yard.node()
    client = node.client()
    client.start("halting")
    yard.halted()
    node.signal(signal.SIGTERM)
    node.logged("no new work is taken", running=1)
    (listed,) = client.call("NodeService/ListNodes", nodes_pb2.ListNodesRequest(), nodes_pb2.ListNodesResponse).nodes
    assert listed.status == nodes_pb2.NODE_STATUS_DRAINING
    with pytest.raises(grpc.RpcError) as refused:
        client.start("total", "[[1]]")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    yard.go_on("")
    assert node.ended() == 0


def test_a_second_signal_ends_it_at_once(yard: Yard) -> None:
    node = yard.node()
    run = node.client().start("halting")
    yard.halted()
    node.signal(signal.SIGTERM)
    node.logged("asked to leave")
    node.signal(signal.SIGTERM)
    assert node.ended() == 128 + signal.SIGTERM
    second = yard.node()
    yard.halted()
    yard.go_on("later")
    assert second.client().result(run) == "later in attempt 1"


def test_a_client_can_ask_it_to_leave(yard: Yard) -> None:
    node = yard.node()
    client = node.client()
    client.start("halting")
    yard.halted()
    request = nodes_pb2.DrainNodeRequest(grace=duration_pb2.Duration(seconds=0))
    client.call("NodeService/DrainNode", request, nodes_pb2.DrainNodeResponse)
    assert node.logged("asked to leave")["grace_s"] == 0
    assert node.ended() == 0


def test_two_nodes_cannot_have_one_store(yard: Yard) -> None:
    first = yard.node()
    assert first.address
    second = yard.node()
    assert second.ended() == 2
    (complaint,) = second.lines
    assert complaint.startswith("understudy: ")
    assert "state.db" in complaint


def test_an_address_that_is_taken_is_one_clear_line(yard: Yard) -> None:
    first = yard.node()
    second = yard.node("--store", "memory://", "--listen", first.address)
    assert second.ended() == 2
    assert f"understudy: cannot listen at {first.address}" in second.lines[-1]


def test_a_target_without_an_app_is_one_clear_line(yard: Yard) -> None:
    node = yard.node(target="nothing.py")
    assert node.ended() == 2
    assert node.lines == ["understudy: nothing.py: no such file"]
