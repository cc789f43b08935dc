"""`understudy dev`: a node that follows its code, and says where that is not deterministic."""

from __future__ import annotations

import signal

import pytest

from tests.node.nodes import SHOP, Client, NodeProcess, Yard, free_address


def dev(yard: Yard) -> NodeProcess:
    return yard.command("dev", "shop.py", "--store", "state.db", "--listen", "127.0.0.1:0")


def test_a_finished_run_is_replayed_under_another_hash_seed(yard: Yard) -> None:
    node = dev(yard)
    client = node.client()
    steady, unsteady = client.start("total", "[[1]]"), client.start("unsteady")
    node.logged("replay agrees", run=steady)
    told = node.said("replay differs")
    assert unsteady in told
    assert "turn 1: the journal says (-), the code now does (+)" in told


def test_changed_code_is_used_and_open_runs_go_on_with_it(yard: Yard) -> None:
    node = dev(yard)
    run = node.client().start("halting")
    yard.halted()
    (yard.at / "shop.py").write_text(SHOP.replace("in attempt", "with new code in attempt"))
    node.said("shop.py changed; starting again")
    address = node.logged("the node is ready", count=2)["address"]
    yard.halted()
    yard.go_on("done")
    assert Client(address).result(run) == "done with new code in attempt 1"


def test_code_that_does_not_load_waits_for_the_next_change(yard: Yard) -> None:
    node = dev(yard)
    assert node.address
    (yard.at / "shop.py").write_text("syntax error(")
    node.said("SyntaxError")
    node.said("it is started again when a file changes")
    (yard.at / "shop.py").write_text(SHOP)
    assert node.logged("the node is ready", count=2)


def test_asked_to_leave_it_takes_its_node_with_it(yard: Yard) -> None:
    node = dev(yard)
    assert node.address
    node.signal(signal.SIGINT)
    assert node.ended() == 0
    assert node.logged("the node has left")


@pytest.mark.slow
def test_a_whole_cluster_is_one_command_and_leaves_nothing_behind(yard: Yard) -> None:
    trial = yard.command("dev", "shop.py", "--cluster", "2", "--listen", free_address())
    try:
        ready = [trial.logged("the node is ready", count=number) for number in (1, 2)]
        assert {entry["node"] for entry in ready} == {"dev-1", "dev-2"}
        first, second = (Client(entry["address"]) for entry in ready)
        runs = [first.start("total", f"[[{number}]]") for number in range(20)]
        assert [second.result(run) for run in runs] == list(range(20))
    finally:
        trial.signal(signal.SIGINT)
        assert trial.ended() == 0
    for said in ("PostgreSQL at", "etcd at"):
        trial.said(said)
    assert not (yard.at / ".understudy/cluster/postgres/postmaster.pid").exists()
