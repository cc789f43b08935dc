"""What a resource decides: its life, who gets a lease and when, and what an answer that never came may mean.

Whatever was decided is recovered from every snapshot as it was.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.core.resources import EVERYTHING, OPERATIONS, PLAIN, STATIC, Bench, client, name, options, raw, run
from understudy.options import RetryPolicy
from understudy_runtime.core import resource
from understudy_runtime.core.messages import Accepted, Answer, Deliver, Later, Recovered, Refused, Start, TimerDue
from understudy_runtime.core.records.resources import (
    IntentNoted,
    LeaseOver,
    ResourceCommanded,
    ResourceMoved,
    WaitEnded,
    WaitRenewed,
)
from understudy_runtime.core.resource import state as states_of
from understudy_runtime.core.resource.machine import ResourceMachine
from understudy_runtime.core.resource.messages import (
    AcquireLease,
    DestroyResource,
    DrainResource,
    RenewLease,
    ResumeResource,
    SetCapacity,
    SettleResource,
)
from understudy_runtime.core.resource.states import TRANSITIONS, diagram


def run_(who: str, call: int) -> str:
    """The name by which that call of the run is answered."""
    return name(run(who, call))


# --- the table


def test_the_documented_diagram_is_that_of_the_table() -> None:
    lines = [line.strip() for line in (resource.__doc__ or "").splitlines()]
    drawn = [line.strip() for line in diagram().splitlines()]
    start = lines.index(drawn[0])
    assert lines[start : start + len(drawn)] == drawn
    assert diagram() in (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()


def test_every_state_can_be_left_and_reached() -> None:
    befores, afters = {each.before for each in TRANSITIONS}, {each.after for each in TRANSITIONS}
    assert befores == afters
    assert len({(each.before, each.after) for each in TRANSITIONS}) == len(TRANSITIONS)


# --- creation on demand


def test_the_first_request_has_it_created_and_gets_its_lease_when_it_is_ready() -> None:
    bench = Bench(options(capacity=8))
    spec = raw({"nodes": 3})
    decision = bench.acquire("a", 2, spec=spec, digest="d")
    assert bench.at == "creating"
    assert bench.granted() == []
    [dispatch] = decision.execute
    assert (dispatch.task, bytes(dispatch.args)) == (
        "Cluster.create",
        b'{"args":[{"nodes": 3}],"kwargs":{"fence":1}}',
    )
    assert dispatch.local
    assert (dispatch.token.key, dispatch.token.execution) == (bench.state.key, 1)
    assert bench.records(IntentNoted)[0].what == "create"
    bench.answer("create", "j-1")
    assert bench.moves() == ["creating", "ready"]
    grant = bench.grant("a")
    assert (grant.fence, grant.units, bytes(grant.handle or b"")) == (2, 2, b'"j-1"')


def test_what_can_be_checked_is_ready_when_its_check_says_so() -> None:
    bench = Bench(options(PLAIN | {"check"}, check_every_s=15.0, unhealthy_after=4))
    bench.acquire("a")
    bench.answer("create", "j-1")
    assert bench.at == "creating"
    watch = bench.dispatched("check").watch
    assert watch is not None
    assert (bytes(watch.known), watch.patience) == (b'"starting"', 1)
    assert (watch.first_s, watch.every_s, watch.factor, watch.cap_s) == (0.0, 0.5, 2.0, 15.0)
    errors_s = [min(15.0, 0.5 * 2.0**n) for n in range(watch.errors - 1)]
    assert sum(errors_s) >= 3 * 15.0, "it may fail for as long as it might if it was looked at by its own interval"
    bench.answer("check", "healthy")
    assert bench.at == "ready"
    watch = bench.dispatched("check").watch
    assert watch is not None
    assert (bytes(watch.known), watch.patience) == (b'"healthy"', 4)
    assert (watch.first_s, watch.every_s, watch.factor) == (None, 15.0, 1.0)
    assert bench.granted() == [name(run("a"))]


def test_without_an_interval_a_healthy_resource_is_not_looked_at_any_more() -> None:
    bench = Bench(options(PLAIN | {"check"})).ready()
    assert bench.calls == []


def test_what_is_created_and_does_not_become_healthy_in_time_is_given_up_and_destroyed() -> None:
    bench = Bench(options(PLAIN | {"check"}, create_timeout_s=100.0))
    bench.acquire("a")
    bench.answer("create", "j-1")
    bench.wait(99)
    assert bench.at == "creating"
    bench.wait(1)
    assert bench.moves() == ["creating", "failed", "destroying"]
    assert "within 100 s" in bench.failure("a").message
    assert [token.call for token in bench.abandoned] == [3]
    bench.answer("destroy")
    assert bench.at == "absent"


def test_a_create_that_raises_is_tried_again_after_its_delays_and_then_given_up() -> None:
    bench = Bench(options(create_retry=RetryPolicy(3, delays_s=(5.0, 60.0))))
    bench.acquire("a")
    bench.acquire("b")
    bench.fail("create")
    assert bench.calls == []
    bench.wait(5)
    assert b'"fence":1' in bytes(bench.dispatched("create").args)
    bench.fail("create")
    bench.wait(59)
    assert bench.calls == []
    bench.wait(1)
    bench.fail("create", "Quota")
    assert bench.at == "failed"
    for who in "ab":
        assert bench.failure(who).type == "ResourceFailed"
        assert "Quota" in bench.failure(who).message
        assert "resource.Cluster/analytics" in bench.failure(who).message
    assert bench.state.life.waiting == 0


def test_an_error_that_is_final_is_not_tried_again() -> None:
    bench = Bench(options(create_retry=RetryPolicy(9, final=("Forbidden",))))
    bench.acquire("a")
    bench.fail("create", "Forbidden")
    assert bench.at == "failed"
    bench.acquire("b")
    bench.fail("create", "OSError", final=True)
    assert bench.at == "failed"


def test_a_failed_creation_is_looked_for_first_if_it_can_be() -> None:
    bench = Bench(options(PLAIN | {"find"}))
    bench.acquire("a")
    bench.fail("create")
    assert bench.calls == ["find"]
    bench.answer("find", "j-9")
    assert bench.at == "ready"
    assert bytes(bench.grant("a").handle or b"") == b'"j-9"'


def test_after_a_failure_the_next_request_tries_again() -> None:
    bench = Bench(options(create_retry=RetryPolicy(1)))
    bench.acquire("a")
    bench.fail("create")
    assert bench.at == "failed"
    bench.acquire("b")
    assert bench.at == "creating"
    bench.answer("create", "j-1")
    assert bench.granted() == [name(run("b"))]


def test_what_is_never_recreated_refuses_until_it_is_resumed() -> None:
    bench = Bench(options(create_retry=RetryPolicy(1), recreate="never"))
    bench.acquire("a")
    bench.fail("create")
    bench.acquire("b")
    assert bench.failure("b").type == "BadRequest"
    assert "it could not be created" in bench.failure("b").message
    bench.tell(ResumeResource("ann"))
    bench.acquire("b")
    assert bench.at == "creating"


# --- ends


def test_it_is_destroyed_when_nobody_has_held_it_for_its_idle_timeout() -> None:
    bench = Bench().ready()
    bench.wait(10_000)
    assert bench.at == "ready"
    bench.release("a")
    bench.wait(599)
    assert bench.at == "ready"
    bench.wait(1)
    assert bench.moves()[-2:] == ["draining", "destroying"]
    moved = bench.records(ResourceMoved)[-1]
    assert (moved.cause, moved.node, moved.fence) == ("idle for 600 s", "n1", 3)
    assert bytes(bench.dispatched("destroy").args) == b'{"args":["j-1"],"kwargs":{"fence":3}}'
    bench.answer("destroy")
    assert bench.at == "absent"
    assert bench.state.life.handle is None


def test_a_request_in_the_last_moment_keeps_it_alive() -> None:
    bench = Bench().ready()
    bench.release("a")
    bench.wait(599.999)
    bench.now += 1  # the timer is late: the request comes first
    bench.acquire("b")
    assert bench.granted()[-1] == name(run("b"))
    bench.tell(TimerDue())
    assert bench.at == "ready"


def test_a_request_that_comes_after_the_decision_waits_for_the_next_one() -> None:
    bench = Bench().ready()
    bench.release("a")
    bench.wait(600)
    assert bench.at == "destroying"
    bench.acquire("b")
    assert bench.calls == ["destroy"]
    bench.answer("destroy")
    assert bench.moves()[-2:] == ["absent", "creating"]
    bench.answer("create", "j-2")
    grant = bench.grant("b")
    assert (bytes(grant.handle or b""), grant.fence) == (b'"j-2"', 5)


def test_one_that_is_too_old_is_drained_and_those_who_wait_get_the_next() -> None:
    bench = Bench(options(max_age_s=3600.0)).ready()
    bench.wait(3600)
    assert bench.at == "draining"
    bench.acquire("b")
    assert bench.granted() == [name(run("a"))]
    bench.release("a")
    assert bench.at == "destroying"
    bench.answer("destroy")
    assert bench.at == "creating"
    bench.answer("create", "j-2")
    assert bench.granted()[-1] == name(run("b"))


def test_a_destroy_that_fails_is_tried_until_it_succeeds_and_shows_why() -> None:
    bench = Bench(options(create_retry=RetryPolicy(2, delays_s=(5.0,)))).ready()
    bench.release("a")
    bench.wait(600)
    for _ in range(5):
        bench.fail("destroy", "Throttled")
        assert bench.at == "destroying"
        assert bench.described().failure_type == "Throttled"
        bench.wait(5)
    assert len(bench.out) == 1
    bench.answer("destroy")
    assert bench.at == "absent"


def test_an_idle_or_absent_resource_has_nothing_to_do_and_need_not_be_in_memory() -> None:
    bench = Bench().ready()
    assert not bench.machine.facts(bench.state).open
    bench.release("a")
    assert bench.machine.next_duty(bench.state) == bench.now + 600
    bench.wait(600)
    assert bench.machine.facts(bench.state).open
    bench.answer("destroy")
    facts = bench.machine.facts(bench.state)
    assert (facts.definition, facts.status, facts.open) == ("Cluster", "absent", False)
    assert bench.machine.next_duty(bench.state) is None


# --- health


def test_one_that_is_unfit_fails_and_is_made_anew_for_those_who_wait() -> None:
    bench = Bench(options(PLAIN | {"check"}, check_every_s=15.0)).ready()
    bench.acquire("b")
    bench.answer("check", "unhealthy")
    assert bench.at == "failed"
    assert bench.calls == []  # its lease lives: it is not destroyed under anybody
    bench.release("a")
    assert bench.at == "destroying"
    bench.answer("destroy")
    bench.answer("create", "j-2")
    bench.answer("check", "healthy")
    assert bench.granted()[-1] == name(run("b"))


def test_checks_that_fail_are_news_too() -> None:
    bench = Bench(options(PLAIN | {"check"}, check_every_s=15.0)).ready()
    bench.fail("check", "Timeout", kind="timeout")
    assert bench.at == "failed"
    assert bench.described().failure_type == "Timeout"


def test_one_that_is_gone_takes_its_leases_with_it_and_is_not_destroyed() -> None:
    bench = Bench(options(PLAIN | {"check"}, check_every_s=15.0, operations=OPERATIONS)).ready()
    fence = bench.grant("a").fence
    bench.acquire("b")
    bench.answer("check", "gone")
    assert bench.moves()[-2:] == ["failed", "creating"]
    assert bench.records(LeaseOver)[-1].why == "gone"
    bench.invoke("a", fence, "resize")
    assert bench.failure(run_("a", 7)).type == "LeaseLost"
    assert "itself is gone" in bench.failure(run_("a", 7)).message
    bench.release("a")
    bench.answer("create", "j-2")
    bench.answer("check", "healthy")
    assert bench.granted()[-1] == name(run("b"))


def test_a_static_resource_is_used_again_when_it_is_healthy_again() -> None:
    bench = Bench(options(frozenset({"check"}), check_every_s=15.0))
    bench.acquire("a", spec=raw("db://x"), digest="d")
    assert bench.moves() == ["ready"]
    assert bytes(bench.grant("a").handle or b"") == b'"db://x"'
    assert bytes(bench.dispatched("check").args) == b'{"args":["db://x"],"kwargs":{}}'
    bench.answer("check", "unhealthy")
    assert bench.at == "failed"
    bench.acquire("b")
    assert len(bench.granted()) == 1
    watch = bench.dispatched("check").watch
    assert watch is not None
    assert (bytes(watch.known), watch.patience) == (b'"unhealthy"', 1)
    bench.answer("check", "healthy")
    assert bench.at == "ready"
    bench.answer("check", "gone")
    assert bench.at == "failed"
    bench.release("a")
    assert bench.calls == ["check"]


# --- the queue


def lock() -> Bench:
    return Bench(STATIC, "default/lock/ledger")


def test_a_lock_is_one_unit_of_what_is_always_there() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire("b")
    assert bench.granted() == [name(run("a"))]
    assert bench.grant("a").handle is None
    bench.release("a")
    assert bench.granted() == [name(run("a")), name(run("b"))]
    bench.release("b")
    bench.wait(100_000)
    assert bench.moves() == ["ready"]


def test_it_is_first_in_first_out_within_a_priority() -> None:
    bench = lock()
    bench.acquire("holder")
    for who, priority in [("a", 0), ("b", 5), ("c", 0), ("d", 5), ("e", -5)]:
        bench.acquire(who, priority=priority)
    order: list[str] = []
    for _ in range(6):
        order.append(bench.granted()[-1].split("/")[2].split(":")[0])
        bench.release(order[-1])
    assert order == ["holder", "b", "d", "a", "c", "e"]


def test_a_point_of_priority_is_worth_ten_seconds_so_that_nobody_starves() -> None:
    bench = lock()
    bench.acquire("holder")
    bench.acquire("patient")
    bench.wait(49)
    bench.acquire("urgent", priority=5)
    bench.wait(2)
    bench.acquire("late", priority=5)
    for who in ("holder", "urgent", "patient"):
        bench.release(who)
    assert [who.split("/")[2] for who in bench.granted()] == ["holder:1:1", "urgent:1:1", "patient:1:1", "late:1:1"]


def test_the_first_in_the_queue_is_not_overtaken_by_those_who_want_less() -> None:
    bench = Bench(options(capacity=4)).ready()
    bench.acquire("big", 4)
    bench.acquire("small")
    assert len(bench.granted()) == 1
    bench.release("a")
    assert bench.granted()[-1] == name(run("big"))
    bench.release("big")
    assert bench.granted()[-1] == name(run("small"))


def test_one_of_higher_rank_that_fits_is_served_at_once() -> None:
    bench = Bench(options(capacity=4)).ready()
    bench.acquire("big", 4)
    bench.acquire("urgent", priority=1)
    assert bench.granted()[-1] == name(run("urgent"))


def test_exclusive_is_all_of_it_and_nobody_else() -> None:
    bench = Bench(options(capacity=4)).ready()
    bench.acquire("alone", exclusive=True)
    bench.acquire("b")
    assert len(bench.granted()) == 1
    bench.release("a")
    assert bench.grant("alone").units == 4
    bench.tell(SetCapacity(10))
    assert len(bench.granted()) == 2
    bench.release("alone")
    assert bench.granted()[-1] == name(run("b"))


def test_a_wait_has_an_end() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire("b", wait_s=30.0)
    bench.acquire("c", wait_s=20.0)
    bench.wait(20)
    assert bench.failure("c").kind == "timeout"
    assert "within 20 s" in bench.failure("c").message
    assert "1 leases hold 1 of 1 units" in bench.failure("c").message
    bench.wait(10)
    assert bench.failure("b").kind == "timeout"
    bench.release("a")
    assert len(bench.granted()) == 1
    assert bench.state.deadlines == []


def test_a_wait_that_is_taken_back_leaves_the_queue() -> None:
    bench = lock()
    for who in "abc":
        bench.acquire(who, wait_s=100.0)
    bench.release("b")
    bench.release("a")
    assert bench.granted() == [name(run("a")), name(run("c"))]


def test_a_request_sent_again_changes_nothing() -> None:
    bench = lock()
    for who in "aabb":
        bench.acquire(who)
    assert (bench.state.life.leases, bench.state.life.waiting, len(bench.answers)) == (1, 1, 1)


def test_a_late_release_of_another_lease_is_accepted_and_changes_nothing() -> None:
    bench = lock()
    bench.acquire("a")
    assert isinstance(bench.release("nobody").reply, Accepted)
    bench.release("a", fence=99)
    assert bench.state.life.leases == 1
    bench.release("a", bench.grant("a").fence)
    assert bench.state.life.leases == 0


def test_more_than_there_is_cannot_be_had() -> None:
    bench = Bench(options(capacity=4))
    for units in (0, -1, 5):
        bench.acquire("a", units)
        assert bench.failure("a").type == "BadRequest"
    assert bench.seq == 0
    assert isinstance(bench.acquire(client("c"), 5, ttl_s=10.0).reply, Refused)
    bench.acquire("a", priority=101)
    assert bench.failure("a").type == "BadRequest"


def test_another_spec_is_refused_while_it_is_used_and_taken_when_it_is_not() -> None:
    bench = Bench()
    bench.acquire("a", spec=raw(1), digest="one")
    bench.answer("create", "j-1")
    bench.acquire("b", spec=raw(2), digest="two")
    assert "another spec" in bench.failure("b").message
    bench.release("a")
    bench.wait(600)
    bench.acquire("b", spec=raw(2), digest="two")
    bench.acquire("c", spec=raw(1), digest="one")
    assert "another spec" in bench.failure("c").message
    bench.answer("destroy")
    assert bytes(bench.dispatched("create").args).startswith(b'{"args":[2]')


def test_a_semaphore_has_what_its_users_say() -> None:
    bench = Bench(msgspec.structs.replace(STATIC, name="semaphore"), "default/semaphore/licences")
    for who in "abc":
        bench.acquire(who, capacity=2)
    assert len(bench.granted()) == 2
    bench.acquire("d", capacity=4)
    assert len(bench.granted()) == 4
    bench.tell(SetCapacity(3, "ann"))
    bench.release("a")
    bench.acquire("e", capacity=9)
    assert len(bench.granted()) == 4  # what an operator says counts more
    bench.tell(SetCapacity(None, "ann"))
    assert len(bench.granted()) == 5


def test_more_capacity_is_for_the_first_in_the_queue_whoever_brings_it() -> None:
    bench = Bench(msgspec.structs.replace(STATIC, name="semaphore"), "default/semaphore/licences")
    bench.acquire("a", capacity=1)
    bench.acquire("b", capacity=1)
    bench.acquire("urgent", 3, capacity=3, priority=5)
    assert len(bench.granted()) == 1
    bench.release("a")
    assert bench.granted()[-1] == name(run("urgent"))


def test_a_request_that_no_longer_fits_does_not_stop_the_queue() -> None:
    bench = Bench(options(capacity=4)).ready()
    bench.acquire("big", 4)
    bench.acquire("small")
    bench.tell(SetCapacity(2, "ann"))
    assert "it has 2 now" in bench.failure("big").message
    assert bench.granted()[-1] == name(run("small"))


def test_so_many_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy_runtime.core.resource.leases.MAX_WAITERS", 3)
    bench = lock()
    for who in "abcd":
        bench.acquire(who)
    assert bench.state.life.waiting == 3
    bench.acquire("e")
    assert bench.failure("e").type == "Overloaded"


def test_so_many_may_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy_runtime.core.resource.leases.MAX_LEASES", 3)
    bench = Bench(options(capacity=10)).ready()
    for who in "bcd":
        bench.acquire(who)
    assert len(bench.granted()) == 3
    bench.release("a")
    assert len(bench.granted()) == 4


def test_a_thousand_wait_and_are_served_in_the_exact_order() -> None:
    bench = Bench(STATIC, "default/lock/ledger", keep_snapshots=False)
    bench.acquire("holder")
    for n in range(2_000):
        bench.acquire(f"w{n}", priority=n % 7, wait_s=10_000.0)
    expected = [f"w{n}" for n in sorted(range(2_000), key=lambda n: (-(n % 7), n))]
    holder = "holder"
    order: list[str] = []
    began = time.perf_counter()
    for _ in range(2_000):
        bench.release(holder)
        holder = bench.answers[-1][0].split("/")[2].split(":")[0]
        order.append(holder)
    took = time.perf_counter() - began
    assert order == expected
    assert took < 5.0  # some 0.1 s; a copy of the queue for each grant would take minutes


# --- clients that are no workflows


def test_a_client_hears_of_its_lease_when_it_is_granted() -> None:
    bench = lock()
    bench.acquire("a")
    decision = bench.acquire(client("c"), ttl_s=30.0)
    assert isinstance(decision.reply, Later)
    assert bench.acquire(client("c"), ttl_s=30.0).reply == decision.reply
    bench.release("a")
    grant = bench.grant_to(str(decision.reply.delivery))
    assert grant.fence == 2
    again = bench.acquire(client("c"), ttl_s=30.0)
    assert again.reply == decision.reply
    assert bench.grant_to(str(decision.reply.delivery)) == grant
    assert not again.append


def test_a_client_that_does_not_renew_loses_its_lease_and_is_told_so() -> None:
    bench = lock()
    first = bench.acquire(client("c"), ttl_s=30.0)
    assert isinstance(first.reply, Later)
    fence = bench.grant_to(str(first.reply.delivery)).fence
    bench.acquire("a")
    bench.wait(29)
    assert isinstance(bench.tell(RenewLease(client("c"), fence, 30.0)).reply, Accepted)
    bench.wait(29)
    assert len(bench.granted()) == 1
    bench.wait(1)
    assert bench.granted()[-1] == name(run("a"))
    assert bench.grant("a").fence > fence
    refused = bench.tell(RenewLease(client("c"), fence, 30.0)).reply
    assert isinstance(refused, Refused)
    assert refused.error == "LeaseLost"
    assert "not renewed in time and expired" in refused.message
    assert isinstance(bench.release(client("c"), fence).reply, Accepted)
    assert bench.state.life.leases == 1


def test_a_client_that_has_stopped_asking_is_passed_over() -> None:
    """It may have been killed while it waited: the next one must not wait for its lease to expire."""
    bench = lock()
    bench.acquire("a")
    for who in ("dead", "dead too"):
        bench.acquire(client(who), ttl_s=30.0)
    alive = bench.acquire(client("alive"), ttl_s=30.0)
    assert isinstance(alive.reply, Later)
    bench.acquire("b")
    bench.wait(20)
    assert isinstance(bench.acquire(client("alive"), ttl_s=30.0, still=True).reply, Accepted)
    bench.wait(20)
    assert set(silent(bench)) == {name(client("dead")), name(client("dead too"))}
    bench.release("a")
    assert bench.granted()[-1] == str(alive.reply.delivery)
    bench.release(client("alive"))
    assert bench.granted()[-1] == name(run("b")), "a run's request lives as long as the run"


def test_a_client_that_has_stopped_asking_is_passed_over_also_before_its_time_is_noticed() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire(client("dead"), ttl_s=30.0)
    bench.acquire("b")
    bench.now += 30.0  # and the timer is late
    bench.release("a")
    assert silent(bench) == [name(client("dead"))]
    assert bench.granted()[-1] == name(run("b"))


def test_who_has_stopped_asking_keeps_nobody_from_what_is_free() -> None:
    """It is the first in the queue, and wants more than there is; nothing else happens for hours."""
    bench = Bench(msgspec.structs.replace(STATIC, name="semaphore", capacity=2), "default/semaphore/s")
    bench.acquire("a")
    bench.acquire(client("dead"), 2, ttl_s=30.0)
    bench.acquire("b")
    assert bench.granted() == [name(run("a"))]
    bench.wait(30)
    assert bench.granted() == [name(run("a")), name(run("b"))]


def test_nothing_is_created_again_for_those_who_have_stopped_asking() -> None:
    bench = Bench(options()).ready()
    bench.tell(DrainResource("ann"))
    bench.acquire(client("dead"), ttl_s=30.0)
    bench.wait(30)
    bench.release("a")
    bench.answer("destroy")
    assert bench.moves() == ["creating", "ready", "draining", "destroying", "absent"]


def test_who_asks_again_too_late_is_there_all_the_same() -> None:
    """Its request had not been taken out yet; the very turn in which it speaks must not do that."""
    bench = lock()
    bench.acquire("a")
    first = bench.acquire(client("c"), ttl_s=30.0)
    bench.now += 40.0  # and the timer is late
    assert bench.acquire(client("c"), ttl_s=30.0).reply == first.reply
    assert silent(bench) == []
    bench.wait(20)
    assert isinstance(first.reply, Later)
    bench.release("a")
    assert bench.granted()[-1] == str(first.reply.delivery)


def test_the_time_in_which_no_node_could_be_asked_does_not_count() -> None:
    bench = lock()
    bench.acquire("a")
    alive = bench.acquire(client("alive"), ttl_s=30.0)
    bench.acquire(client("dead"), ttl_s=30.0)
    bench.acquire("b")
    bench.now += 3_600.0
    bench.crash()
    assert silent(bench) == []
    bench.wait(25)
    assert bench.acquire(client("alive"), ttl_s=30.0).reply == alive.reply
    bench.wait(10)
    assert silent(bench) == [name(client("dead"))]
    bench.release("a")
    assert isinstance(alive.reply, Later)
    assert bench.granted()[-1] == str(alive.reply.delivery)


def test_however_short_its_ttl_a_client_has_time_to_find_the_next_node() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire(client("c"), ttl_s=1.0)
    bench.crash()
    bench.wait(9)
    bench.acquire(client("c"), ttl_s=1.0)
    assert silent(bench) == []
    bench.wait(1)
    assert silent(bench) == [name(client("c"))], "from then on it is as ever"


def test_a_node_that_begins_again_and_again_does_not_keep_the_dead_in_the_queue() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire(client("dead"), ttl_s=30.0)
    bench.acquire(client("alive"), ttl_s=30.0)
    for _ in range(6):
        bench.crash()
        bench.acquire(client("alive"), ttl_s=30.0)
        bench.wait(10)
    assert silent(bench) == [name(client("dead"))]


def test_that_a_client_still_waits_is_noted_now_and_then() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire(client("c"), ttl_s=40.0)
    for _ in range(200):
        bench.wait(1)
        bench.acquire(client("c"), ttl_s=40.0, still=True)
    assert len(bench.records(WaitRenewed)) == 10, "once in half a ttl"
    assert silent(bench) == []
    assert not bench.acquire(client("nobody"), ttl_s=40.0, still=True).append, "it asks for nothing"


def test_a_wait_that_was_to_end_first_ends_as_it_was_to() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire(client("c"), ttl_s=30.0, wait_s=20.0)
    bench.acquire(client("d"), ttl_s=30.0, wait_s=40.0)
    bench.wait(50)
    assert [ended.why for ended in bench.records(WaitEnded)] == ["timeout", "silent"]
    assert bench.timer is None, "nothing is due any more"


def test_a_snapshot_from_when_clients_could_wait_for_ever_is_read() -> None:
    bench = lock()
    bench.acquire("a")
    bench.acquire(client("c"), ttl_s=30.0, wait_s=600.0)
    snapshot = msgspec.json.decode(bench.machine.encode(bench.state))
    assert snapshot["deadlines"] == [[bench.now + 30.0, name(client("c"))]]
    snapshot["deadlines"] = [[bench.now + 600.0, name(client("c"))]]
    bench.state = bench.machine.decode(msgspec.json.encode(snapshot))
    bench.tell(Recovered())
    bench.wait(1_000)
    assert silent(bench) == [name(client("c"))]


def silent(bench: Bench) -> list[str]:
    """Whose requests were taken out because they had stopped asking."""
    return [ended.holder for ended in bench.records(WaitEnded) if ended.why == "silent"]


def test_a_lease_of_a_run_does_not_expire() -> None:
    bench = lock()
    bench.acquire("a", ttl_s=30.0)
    bench.wait(10_000)
    assert bench.state.life.leases == 1
    assert isinstance(bench.tell(RenewLease(run("a"), 1, 5.0)).reply, Refused)


# --- operations


def with_operations() -> Bench:
    return Bench(options(capacity=8, operations=OPERATIONS)).ready()


def test_an_operation_runs_under_its_lease_and_is_answered() -> None:
    bench = with_operations()
    fence = bench.grant("a").fence
    bench.invoke("a", fence, "add_step", {"jar": 1})
    dispatch = bench.dispatched("add_step")
    assert bytes(dispatch.args) == b'{"args":["j-1",{"jar": 1}],"kwargs":{"fence":2}}'
    assert (dispatch.options.timeout_s, dispatch.local) == (30.0, True)
    bench.answer("add_step", "s-1")
    assert bytes(bench.answers[-1][1]) == b'"s-1"'
    assert bench.answers[-1][0] == run_("a", 7)
    bench.invoke("a", fence, "resize", 3)
    bench.fail("resize", "Refused")
    assert bench.failure(run_("a", 7)).type == "Refused"


def test_an_operation_without_a_live_lease_is_refused_with_what_became_of_it() -> None:
    bench = with_operations()
    fence = bench.grant("a").fence
    bench.release("a")
    bench.invoke("a", fence, "add_step")
    assert bench.failure(run_("a", 7)).type == "LeaseLost"
    assert "was released" in bench.failure(run_("a", 7)).message
    bench.invoke("b", 77, "add_step")
    assert "no lease of resource.Cluster/analytics was ever granted" in bench.failure(run_("b", 7)).message
    assert bench.calls == []


def test_an_operation_that_does_not_exist_is_refused() -> None:
    bench = with_operations()
    bench.invoke("a", bench.grant("a").fence, "dance")
    assert bench.failure(run_("a", 7)).type == "UnknownName"


def test_operations_keep_to_their_rate_and_concurrency() -> None:
    bench = with_operations()
    fence = bench.grant("a").fence
    for n in range(6):
        bench.invoke("a", fence, "add_step", call=n)
    assert len(bench.calls) == 2
    bench.wait(0.49)
    assert len(bench.calls) == 2
    bench.wait(0.01)
    assert len(bench.calls) == 3  # three at once, whatever the rate
    bench.wait(10)
    assert len(bench.calls) == 3
    for n in range(6):
        bench.wait(10)
        bench.answer("add_step", n)
    assert [bytes(said) for _, said in bench.answers[-6:]] == [b"%d" % n for n in range(6)]
    assert bench.state.life.operations == 0
    assert bench.state.lines["add_step"].running == 0


def test_it_is_not_destroyed_while_an_operation_is_under_way() -> None:
    bench = with_operations()
    bench.invoke("a", bench.grant("a").fence, "add_step")
    bench.release("a")
    bench.wait(10_000)
    assert bench.at == "ready"
    bench.answer("add_step")
    bench.wait(600)
    assert bench.at == "destroying"


def test_an_operation_that_has_not_begun_ends_with_its_lease() -> None:
    bench = with_operations()
    fence = bench.grant("a").fence
    for n in range(3):
        bench.invoke("a", fence, "add_step", call=10 + n)
    bench.release("a")
    assert bench.failure(run_("a", 12)).type == "LeaseLost"
    assert bench.calls == ["add_step", "add_step"]


def test_a_crash_leaves_the_outcome_of_an_operation_open_unless_it_can_be_done_again() -> None:
    bench = with_operations()
    fence = bench.grant("a").fence
    bench.invoke("a", fence, "add_step", call=8)
    bench.invoke("a", fence, "resize", 3, call=9)
    before = bench.dispatched("resize")
    bench.crash()
    assert bench.failure(run_("a", 8)).type == "OperationUncertain"
    assert "idempotent=True" in bench.failure(run_("a", 8)).message
    again = bench.dispatched("resize")
    assert again.idempotency_key == before.idempotency_key
    assert again.token.dispatch == 2
    bench.answer("resize", "done")
    assert bytes(bench.answers[-1][1]) == b'"done"'


def test_so_many_operations_may_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy_runtime.core.resource.operations.MAX_OPERATIONS", 3)
    bench = with_operations()
    for n in range(4):
        bench.invoke("a", bench.grant("a").fence, "add_step", call=10 + n)
    assert bench.failure(run_("a", 13)).type == "Overloaded"


def test_calls_go_on_while_the_resource_moves_to_another_node() -> None:
    bench = Bench(options(capacity=8, operations=OPERATIONS))
    bench.acquire("a")
    bench.move()
    assert bench.calls == ["create"], "neither looked for nor made again"
    bench.answer("create", "j-1")
    fence = bench.grant("a").fence
    bench.invoke("a", fence, "add_step", call=8)
    bench.move()
    bench.answer("add_step", "s-1")
    assert bytes(bench.answers[-1][1]) == b'"s-1"'


# --- answers that never came


def test_a_lost_create_that_took_effect_is_found_and_adopted() -> None:
    bench = Bench(options(PLAIN | {"find"}))
    bench.acquire("a")
    bench.crash()
    assert bench.calls == ["find"]
    assert b'"fence":1' in bytes(bench.dispatched("find").args)
    bench.answer("find", "j-1")
    assert bench.at == "ready"


def test_a_lost_create_without_effect_is_made_again_under_the_same_fence() -> None:
    bench = Bench(options(PLAIN | {"find"}))
    bench.acquire("a")
    first = bench.dispatched("create")
    bench.crash()
    bench.answer("find", None)
    again = bench.dispatched("create")
    assert bytes(again.args) == bytes(first.args)
    assert again.idempotency_key == first.idempotency_key
    assert again.token != first.token


def test_a_lost_create_that_cannot_be_found_is_uncertain_until_it_is_settled() -> None:
    bench = Bench()
    bench.acquire("a")
    bench.crash()
    assert bench.at == "uncertain"
    assert bench.calls == []
    bench.acquire("b")
    bench.wait(100_000)
    assert bench.at == "uncertain"
    assert bench.described().waiting == 2
    assert isinstance(bench.tell(DestroyResource(force=True)).reply, Refused)
    bench.tell(SettleResource("created", raw("j-7"), "ann", "seen in the console"))
    assert bench.at == "ready"
    assert bench.granted() == [name(run("a"))]
    assert bench.records(ResourceCommanded)[-1].note == "seen in the console"


def test_settled_as_not_created_it_is_created_for_those_who_wait() -> None:
    bench = Bench()
    bench.acquire("a")
    bench.crash()
    bench.tell(SettleResource("not_created", by="ann"))
    assert bench.calls == ["create"]
    assert bench.dispatched("create").token.attempt == 2
    bench.crash()
    bench.release("a")
    bench.tell(SettleResource("not_created", by="ann"))
    assert bench.at == "absent"
    assert isinstance(bench.tell(SettleResource("created")).reply, Refused)


def test_a_create_that_timed_out_is_of_unknown_outcome() -> None:
    bench = Bench()
    bench.acquire("a")
    bench.fail("create", "TimeoutError", kind="timeout")
    assert bench.at == "uncertain"
    bench = Bench(options(PLAIN | {"find"}))
    bench.acquire("a")
    bench.fail("create", "TimeoutError", kind="timeout")
    assert bench.calls == ["find"]


def test_find_is_repeated_after_a_crash_and_given_up_after_errors() -> None:
    bench = Bench(options(PLAIN | {"find"}))
    bench.acquire("a")
    bench.crash()
    bench.crash()
    assert bench.calls == ["find"]
    for _ in range(3):
        bench.wait(5)
        bench.fail("find", "Throttled")
    assert bench.at == "uncertain"
    bench.tell(ResumeResource("ann"))
    assert bench.calls == ["find"]


def test_a_lost_destroy_is_verified_if_it_can_be_and_repeated_otherwise() -> None:
    for driver, asked in ((PLAIN, "destroy"), (PLAIN | {"check"}, "check")):
        bench = Bench(options(driver)).ready()
        bench.release("a")
        bench.wait(600)
        bench.crash()
        assert bench.calls == [asked]
        if asked == "check":
            assert bench.dispatched("check").watch is None
            bench.answer("check", "healthy")
            assert bench.calls == ["destroy"]
            bench.crash()
            bench.answer("check", "gone")
        else:
            bench.answer("destroy")
        assert bench.at == "absent"


def test_a_late_answer_of_a_call_that_was_made_again_says_nothing() -> None:
    bench = Bench(options(PLAIN | {"find"}))
    bench.acquire("a")
    late = dict(bench.out)
    bench.crash()
    found = bench.out
    bench.out = late
    assert not bench.answer("create", "j-late").append
    bench.out = found
    bench.answer("find", None)
    bench.answer("create", "j-2")
    assert bytes(bench.state.life.handle or b"") == b'"j-2"'


def test_checks_go_on_after_a_crash_without_a_record() -> None:
    bench = Bench(options(PLAIN | {"check"}, check_every_s=15.0)).ready()
    seq = bench.seq
    bench.crash()
    assert bench.seq == seq
    assert bench.calls == ["check"]
    assert bench.machine.facts(bench.state).open


def test_what_comes_into_being_late_is_swept_away() -> None:
    bench = Bench(options(PLAIN | {"find", "list"}))
    bench.acquire("a")
    bench.crash()
    bench.answer("find", None)
    bench.answer("create", "j-2")
    assert bench.at == "ready"
    bench.answer("list", ["j-2"])
    assert bench.calls == []
    bench.wait(60)  # the first one may still come
    bench.answer("list", ["j-1", "j-2"])
    assert bytes(bench.dispatched("destroy").args).startswith(b'{"args":["j-1"]')
    bench.answer("destroy")
    assert bench.at == "ready"
    assert bytes(bench.state.life.handle or b"") == b'"j-2"'


def test_sweeps_go_on_until_nothing_can_come_late_any_more() -> None:
    bench = Bench(options(PLAIN | {"find", "list"}, create_timeout_s=300.0, idle_timeout_s=None))
    bench.acquire("a")
    bench.crash()
    bench.answer("find", None)
    bench.answer("create", "j-2")
    sweeps = 0
    while "list" in bench.calls:
        bench.answer("list", ["j-2"])
        sweeps += 1
        bench.wait(60)
    assert sweeps == 6
    assert bench.machine.next_duty(bench.state) is None


def test_nothing_is_created_while_a_sweep_is_under_way() -> None:
    bench = Bench(options(PLAIN | {"list"})).ready()
    bench.release("a")
    bench.wait(600)
    bench.answer("destroy")
    assert bench.calls == ["list"]
    bench.acquire("b")
    assert bench.calls == ["list"]
    bench.answer("list", ["j-0"])
    assert bench.calls == ["destroy"]
    bench.answer("destroy")
    assert bench.calls == ["create"]


# --- operators


def test_drained_it_waits_for_its_leases_and_is_made_anew_on_demand() -> None:
    bench = Bench(options(operations=OPERATIONS)).ready()
    fence = bench.grant("a").fence
    bench.tell(DrainResource("ann", "too expensive"))
    bench.acquire("b")
    assert bench.at == "draining"
    bench.invoke("a", fence, "add_step")  # whoever holds it may end what he has begun
    bench.release("a")
    assert bench.at == "draining"
    bench.answer("add_step")
    assert bench.at == "destroying"
    moved = bench.records(ResourceMoved)[-1]
    assert (moved.cause, moved.by) == ("drained by ann: too expensive", "ann")
    bench.answer("destroy")
    assert bench.at == "creating"
    causes = [each.cause for each in bench.records(ResourceMoved)]
    assert "destroyed: drained by ann: too expensive" in causes


def test_a_drain_can_be_taken_back() -> None:
    bench = Bench().ready()
    bench.tell(DrainResource("ann"))
    bench.acquire("b")
    bench.tell(ResumeResource("ann"))
    assert bench.at == "ready"
    bench.release("a")
    assert bench.granted()[-1] == name(run("b"))


def test_a_lock_that_is_drained_is_granted_no_more_until_it_is_resumed() -> None:
    bench = lock()
    bench.tell(DrainResource("ann"))
    bench.acquire("a")
    assert bench.granted() == []
    assert isinstance(bench.tell(DestroyResource(force=True)).reply, Refused)
    bench.tell(ResumeResource("ann"))
    assert bench.granted() == [name(run("a"))]


def test_destroyed_by_force_its_leases_are_revoked_and_its_operations_stopped_first() -> None:
    bench = Bench(options(operations=OPERATIONS)).ready()
    fence = bench.grant("a").fence
    bench.invoke("a", fence, "add_step")
    refused = bench.tell(DestroyResource(by="ann")).reply
    assert isinstance(refused, Refused)
    assert "1 leases" in refused.message
    bench.tell(DestroyResource(force=True, by="ann"))
    assert bench.at == "draining"
    assert [token.call for token in bench.abandoned] == [bench.dispatched("add_step").token.call]
    bench.fail("add_step", "CancelledError", kind="cancelled")
    assert bench.at == "destroying"
    bench.invoke("a", fence, "add_step")
    assert "revoked" in bench.failure(run_("a", 7)).message
    assert "ann" in bench.failure(run_("a", 7)).message


def test_destroyed_while_it_is_created_it_goes_as_soon_as_it_is_there() -> None:
    bench = Bench()
    bench.acquire("a")
    bench.tell(DestroyResource(by="ann"))
    assert bench.at == "creating"
    bench.answer("create", "j-1")
    assert bench.moves() == ["creating", "draining", "destroying"]
    assert bench.granted() == []


def test_a_destroy_that_never_succeeds_can_be_settled() -> None:
    bench = Bench().ready()
    bench.release("a")
    bench.wait(600)
    bench.fail("destroy", "NoSuchCluster")
    bench.tell(SettleResource("not_destroyed", by="ann"))
    assert bench.calls == ["destroy"]
    bench.tell(SettleResource("destroyed", by="ann"))
    assert bench.at == "absent"
    assert len(bench.abandoned) == 1


def test_what_can_be_scaled_has_its_new_capacity_when_that_is_done() -> None:
    bench = Bench(options(PLAIN | {"scale"}, capacity=2)).ready()
    bench.acquire("b", 1)
    bench.acquire("c", 2)
    bench.tell(SetCapacity(4, "ann"))
    assert bytes(bench.dispatched("scale").args) == b'{"args":["j-1",4],"kwargs":{}}'
    assert len(bench.granted()) == 2
    bench.answer("scale")
    assert bench.granted()[-1] == name(run("c"))
    assert bench.described().capacity == 4
    for who in "abc":
        bench.release(who)
    bench.wait(600)
    bench.answer("destroy")
    assert bench.described().capacity == 2


def test_a_command_sent_again_changes_nothing() -> None:
    bench = Bench().ready()
    bench.tell(DrainResource("ann", idempotency_key="k"))
    bench.tell(ResumeResource("ann"))
    assert isinstance(bench.tell(DrainResource("ann", idempotency_key="k")).reply, Accepted)
    assert bench.at == "ready"


def test_a_description_says_how_it_stands_and_why() -> None:
    bench = Bench(options(capacity=4)).ready()
    bench.acquire("big", 4, priority=2, wait_s=60.0)
    told = bench.described()
    assert (told.key, told.type, told.state) == (bench.state.key, "Cluster", "ready")
    assert (told.capacity, told.used, told.held, told.waiting) == (4, 1, 1, 1)
    assert (told.handle, told.cause, told.node) == (b'"j-1"', "created", "n1")
    assert [(each.holder, each.fence) for each in told.leases] == [(name(run("a")), 2)]
    assert [(each.holder, each.units, each.deadline) for each in told.queue] == [(name(run("big")), 4, bench.now + 60)]
    bench.tell(DrainResource("ann", "nightly"))
    assert (bench.described().cause, bench.described().by) == ("drained by ann: nightly", "ann")


# --- what is not for resources


def test_messages_for_runs_and_actors_are_refused_clearly() -> None:
    bench = lock()
    for message in (Start("checkout", raw({})), Deliver("add", raw([]), True)):
        refused = bench.tell(message).reply
        assert isinstance(refused, Refused)
        assert "a resource" in refused.message
    sent = bench.machine.decide(bench.state, Deliver("add", raw([]), True, run("asker", 3)), bench.now).send
    assert [
        each.message.failure.type for each in sent if isinstance(each.message, Answer) and each.message.failure
    ] == ["BadRequest"]


# --- recovery


def test_recovery_from_any_snapshot_gives_the_state_that_was(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(options(EVERYTHING, capacity=4, check_every_s=15.0, operations=OPERATIONS)).ready()
    for who in "bcdef":
        bench.acquire(who, 2, wait_s=50.0, priority=len(who))
    bench.invoke("a", bench.grant("a").fence, "add_step", 1)
    bench.tell(SetCapacity(6, "ann"))
    bench.answer("scale")
    bench.answer("add_step", "s")
    bench.wait(60)
    bench.tell(DestroyResource(force=True, by="ann", idempotency_key="k"))
    bench.acquire("g", spec=raw({"x": 1}), digest="d")
    bench.answer("destroy")
    bench.answer("list", [])
    bench.fail("create")
    bench.answer("find", None)
    assert len(bench.snapshots) > 15

    def decide(*_: object) -> object:
        raise AssertionError("recovery decides nothing")

    monkeypatch.setattr(ResourceMachine, "decide", decide)
    machine = bench.machine
    for seq, snapshot in enumerate([b"", *bench.snapshots]):
        state = machine.decode(snapshot) if snapshot else machine.initial(bench.state.key)
        for turn, at, record in bench.journal:
            if turn > seq:
                machine.apply(state, record, at, turn)
        assert machine.encode(state) == bench.snapshots[-1]


def test_only_so_many_ended_leases_are_remembered() -> None:
    bench = lock()
    for n in range(states_of.MAX_ENDED + 10):
        bench.acquire(f"r{n}")
        bench.release(f"r{n}")
    assert len(bench.state.ended) == states_of.MAX_ENDED
    assert 1 not in bench.state.ended


def test_deciding_changes_nothing() -> None:
    bench = Bench(options(EVERYTHING, capacity=4)).ready()
    for message in (AcquireLease(run("b"), 2), TimerDue(), Recovered(), DestroyResource(force=True), DrainResource()):
        before = bench.machine.encode(bench.state)
        bench.machine.decide(bench.state, message, bench.now + 10_000)
        assert bench.machine.encode(bench.state) == before


# --- an outside system that is away comes back


def away(**more: Any) -> Bench:
    driver = frozenset({"create", "destroy", "find"})
    bench = Bench(options(driver, create_retry=RetryPolicy(2, first_s=1.0, cap_s=60.0), **more))
    bench.acquire("a")
    bench.fail("create", "ConnectionError")
    return bench


def test_find_is_asked_again_in_growing_pauses_until_it_tells() -> None:
    bench = away()
    asked: list[float] = []
    for _ in range(9):
        while "find" not in bench.calls:
            bench.wait(0.5)
        asked.append(bench.now)
        bench.fail("find", "ConnectionError")
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert bench.at == "uncertain", "people are told of it meanwhile"
    bench.wait(60)
    bench.answer("find", "j-7")
    assert bench.at == "ready"
    assert bench.granted() == [name(run("a"))]


def test_what_find_tells_was_not_created_is_created_after_all() -> None:
    bench = away()
    for _ in range(4):
        bench.fail("find", "ConnectionError")
        bench.wait(60)
    assert bench.at == "uncertain"
    bench.answer("find", None)
    assert bench.at == "creating"
    bench.wait(60)
    bench.answer("create", "j-1")
    assert bench.granted() == [name(run("a"))]


def test_what_nobody_waits_for_any_more_is_absent_when_find_tells_that_it_is_not_there() -> None:
    bench = away()
    for _ in range(4):
        bench.fail("find", "ConnectionError")
        bench.wait(60)
    bench.release("a")
    bench.answer("find", None)
    assert bench.at == "absent"
    bench.wait(1000)
    assert bench.calls == []


@pytest.mark.parametrize("what", ["created", "not_created", "resumed"])
def test_a_person_may_know_before_find_can_be_asked_again(what: Any) -> None:
    bench = away()
    for _ in range(4):
        bench.fail("find", "ConnectionError")
        bench.wait(60)
    bench.fail("find", "ConnectionError")
    bench.tell(
        ResumeResource() if what == "resumed" else SettleResource(what, raw("j-9") if what == "created" else None)
    )
    assert bench.at == ("ready" if what == "created" else "creating")
    assert bench.calls == {"created": [], "not_created": ["create"], "resumed": ["find"]}[what]
    bench.wait(1000)
    assert len(bench.calls) <= 1, "what was asked before is not asked again"


def test_a_crash_while_find_waits_to_be_asked_again_loses_nothing() -> None:
    bench = away()
    for _ in range(4):
        bench.fail("find", "ConnectionError")
        bench.wait(60)
    bench.fail("find", "ConnectionError")
    bench.crash()
    bench.wait(60)
    bench.answer("find", "j-7")
    assert bench.at == "ready"


@pytest.mark.parametrize("recreate", ["on_demand", "never"])
def test_what_its_check_could_not_reach_for_a_while_is_fit_for_use_again(recreate: Any) -> None:
    driver = frozenset({"create", "destroy", "check"})
    bench = Bench(options(driver, check_every_s=15.0, recreate=recreate, capacity=8)).ready()
    bench.fail("check", "ConnectionError")
    assert bench.at == "failed"
    bench.answer("check", "healthy")
    assert bench.at == "ready"
    bench.acquire("b")
    assert bench.granted() == [name(run("a")), name(run("b"))]
