"""`understudy dev`: a node that follows its code, and says where that is not deterministic."""

from __future__ import annotations

import signal

from tests.node.nodes import SHOP, Client, NodeProcess, Yard


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
