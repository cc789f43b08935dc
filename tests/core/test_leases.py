"""When a run gives its leases back: told by the machine alone, with user code that asks for what the test says."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from msgspec import Raw

from understudy.options import JobOptions, RetryPolicy, TaskOptions
from understudy_runtime.core.kinds import Failure, Sender
from understudy_runtime.core.messages import (
    Activated,
    Answer,
    AnyMessage,
    AttemptEnded,
    Cancel,
    Decision,
    Hold,
    Recovered,
    RetryRun,
    Start,
    Terminate,
    TimerDue,
    Token,
)
from understudy_runtime.core.records import AnyRecord
from understudy_runtime.core.records.calls import CallCancelled, ChildScheduled, TaskScheduled
from understudy_runtime.core.records.leases import LeaseEnded, LeaseRequested, LeaseReturned, OperationScheduled
from understudy_runtime.core.records.runs import Completed, ContinuedAsNew, Failed
from understudy_runtime.core.resource.messages import AcquireLease, InvokeOperation, LeaseGrant, ReleaseLease
from understudy_runtime.core.run import RunMachine

KEY = "default/run/r"
NULL = Raw(b"null")
ARGS = Raw(b'{"args":[],"kwargs":{}}')
LOCK = LeaseRequested(1, "lock/l")


class Run:
    """A run and the messages that it has sent, taken as the engine takes its turns. It has begun, at time 0."""

    def __init__(self, *commands: AnyRecord) -> None:
        self.machine = RunMachine()
        self.state = self.machine.initial(KEY)
        self.seq = 0
        self.sent: list[tuple[str, AnyMessage]] = []
        self.records: list[AnyRecord] = []
        self.turn(Start("w", ARGS), *commands)

    def turn(self, message: AnyMessage, *commands: AnyRecord, now: float = 0.0) -> Decision:
        """One turn, in which user code asks for `commands` if it is activated."""
        self.seq += 1
        decision = self._decide(message, now)
        asked: Sequence[AnyRecord] = commands
        taken = decision
        while taken.activate:
            taken = self._decide(Activated(list(asked)), now)
            asked = ()
        return decision

    def _decide(self, message: AnyMessage, now: float) -> Decision:
        decision = self.machine.decide(self.state, message, now)
        for record in decision.append:
            self.machine.apply(self.state, record, now, self.seq)
        self.records += decision.append
        self.sent += [(send.to, send.message) for send in decision.send]
        return decision

    def granted(self, fence: int, *commands: AnyRecord, call: int = 1) -> None:
        grant = Raw(msgspec.json.encode(LeaseGrant(fence)))
        self.turn(Answer(self.state.execution, call, grant), *commands)

    def ended(self, call: int, *commands: AnyRecord, failed: bool = False, attempt: int = 1) -> None:
        failure = Failure("ValueError", "no") if failed else None
        self.turn(AttemptEnded(Token(KEY, 1, call, attempt, 1), NULL, failure, ended_at=1.0), *commands)

    @property
    def returned(self) -> list[tuple[str, int]]:
        """To which resource, and with which fence."""
        return [(to, message.fence) for to, message in self.sent if isinstance(message, ReleaseLease)]

    @property
    def open(self) -> bool:
        return self.machine.facts(self.state).open


def task(call: int, *leases: int, options: TaskOptions | None = None) -> TaskScheduled:
    return TaskScheduled(call, "t", ARGS, "", options or TaskOptions(), leases)


def test_a_lease_is_asked_for_by_the_call_that_awaits_it() -> None:
    run = Run(LeaseRequested(1, "lock/l", priority=3, wait_s=60.0))
    assert run.sent == [("default/lock/l", AcquireLease(Sender(KEY, 1, 1), priority=3, wait_s=60.0))]


def test_it_goes_back_when_its_block_ends() -> None:
    run = Run(LOCK)
    run.granted(7)
    assert run.returned == []
    run.turn(Cancel(), LeaseEnded(1))
    assert run.returned == [("default/lock/l", 7)]
    assert run.records[-1] == LeaseReturned(1)


def test_it_goes_back_once() -> None:
    run = Run(LOCK)
    run.granted(7, LeaseEnded(1), Completed(NULL))
    run.turn(Recovered())
    run.turn(Terminate())
    assert run.returned == [("default/lock/l", 7)]


def test_a_block_that_is_left_waits_for_its_attempts() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1))
    run.turn(Cancel(), CallCancelled(2), LeaseEnded(1))
    assert run.returned == []
    assert run.open
    run.ended(2)
    assert run.returned == [("default/lock/l", 7)]
    assert not run.open


def test_a_task_that_goes_on_after_the_block_keeps_the_lease() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1), LeaseEnded(1))
    assert run.returned == []
    run.ended(2)
    assert run.returned == [("default/lock/l", 7)]


def test_it_keeps_the_lease_between_two_attempts() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1, options=TaskOptions(retry=RetryPolicy(attempts=2))), LeaseEnded(1))
    run.ended(2, failed=True)
    assert run.returned == []
    run.turn(TimerDue(), now=10.0)
    run.ended(2, attempt=2)
    assert run.returned == [("default/lock/l", 7)]


def test_a_task_that_is_given_up_between_two_attempts_keeps_nothing() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1, options=TaskOptions(retry=RetryPolicy(attempts=2))))
    run.ended(2, failed=True)
    run.turn(Cancel(), CallCancelled(2), LeaseEnded(1))
    assert run.returned == [("default/lock/l", 7)]


def test_a_task_that_never_began_keeps_nothing() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1), CallCancelled(2), LeaseEnded(1))
    assert run.returned == [("default/lock/l", 7)]


def test_an_attempt_whose_deadline_has_passed_is_waited_for() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1, options=TaskOptions(deadline_s=5.0)))
    run.turn(TimerDue(), LeaseEnded(1), now=5.0)
    assert run.returned == []
    run.ended(2)
    assert run.returned == [("default/lock/l", 7)]


def test_a_wait_that_is_given_up_gives_its_place_back() -> None:
    run = Run(LOCK)
    run.turn(Cancel(), CallCancelled(1))
    assert run.returned == [("default/lock/l", 0)]


def test_a_wait_given_up_at_once_asks_and_takes_it_back_in_order() -> None:
    run = Run(LOCK, CallCancelled(1))
    assert [type(message) for _, message in run.sent] == [AcquireLease, ReleaseLease]


def test_a_grant_that_comes_too_late_is_dropped_because_it_went_back_already() -> None:
    run = Run(LOCK)
    run.turn(Terminate())
    assert run.returned == [("default/lock/l", 0)]
    run.granted(7)
    assert len(run.returned) == 1


def test_a_refusal_leaves_nothing_to_return() -> None:
    run = Run(LOCK)
    run.turn(
        Answer(1, 1, failure=Failure("TimeoutError", "too long", kind="timeout")), Failed(Failure("LeaseTimedOut"))
    )
    assert run.returned == []


def test_an_ended_run_stays_until_the_last_attempt_has_ended() -> None:
    for ending in (Terminate(), Cancel()):
        run = Run(LOCK)
        run.granted(7, task(2, 1))
        run.turn(ending, *([Failed(Failure("CancelledError"))] if type(ending) is Cancel else []))
        assert run.state.closed_at is not None
        assert (run.open, run.returned) == (True, [])
        run.ended(2)
        assert (run.open, run.returned) == (False, [("default/lock/l", 7)])


def test_a_retried_run_returns_what_the_execution_before_had() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1))
    run.turn(Terminate())
    run.turn(RetryRun(), LeaseRequested(1, "lock/l"))
    assert run.returned == []
    run.ended(2)
    assert run.returned == [("default/lock/l", 7)]
    assert [m.holder.execution for _, m in run.sent if isinstance(m, ReleaseLease)] == [1]
    run.granted(8, LeaseEnded(1), Completed(NULL))
    assert run.returned == [("default/lock/l", 7), ("default/lock/l", 8)]


def test_a_run_that_continues_as_new_returns_what_it_had() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1), ContinuedAsNew(ARGS, ""))
    assert run.state.execution == 2
    assert run.returned == [("default/lock/l", 7)], "the task never began"


def test_what_nobody_awaits_is_gone_with_its_node() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1), task(3))
    run.turn(Cancel(), CallCancelled(2), LeaseEnded(1))
    assert run.returned == []
    run.turn(Recovered())
    assert run.returned == [("default/lock/l", 7)]
    run.ended(2)
    assert len(run.returned) == 1


@pytest.mark.parametrize("awaited", [True, False])
def test_a_job_that_is_still_to_be_stopped_keeps_its_lease_when_the_node_is_lost(awaited: bool) -> None:
    """As of a run that has ended, and of one that goes on and no longer awaits it."""
    run = Run(LOCK)
    options = TaskOptions(job=JobOptions(poll=True, cancel=True))
    run.granted(7, TaskScheduled(2, "step", ARGS, options=options, digest="d", leases=(1,)))
    run.turn(AttemptEnded(Token(KEY, 1, 2, 1, 1), Raw(b'"job-1"')))
    run.turn(Terminate()) if awaited else run.turn(Cancel(), CallCancelled(2), LeaseEnded(1))
    run.turn(TimerDue())
    assert run.returned == []
    again = run.turn(Recovered())
    assert run.returned == [], "its job has not been cancelled yet"
    assert [dispatch.task for dispatch in again.execute] == ["step.cancel"]
    run.turn(AttemptEnded(again.execute[0].token, NULL))
    assert run.returned == [("default/lock/l", 7)]


def test_a_report_from_before_the_node_was_lost_ends_nothing() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1))
    run.turn(Recovered())
    run.turn(Terminate())
    run.ended(2)
    assert run.returned == [], "this was dispatch 1; dispatch 2 runs still"
    run.turn(AttemptEnded(Token(KEY, 1, 2, 1, 2), NULL))
    assert run.returned == [("default/lock/l", 7)]


def test_an_attempt_that_goes_on_elsewhere_is_not_dispatched_again_and_keeps_the_lease() -> None:
    run = Run(LOCK)
    run.granted(7, task(2, 1), task(3, 1))
    again = run.turn(Recovered(frozenset({Token(KEY, 1, 2, 1, 1)})))
    assert [dispatch.token for dispatch in again.execute] == [Token(KEY, 1, 3, 1, 2)]
    run.turn(Cancel(), CallCancelled(2), CallCancelled(3), LeaseEnded(1))
    run.turn(Recovered(frozenset({Token(KEY, 1, 2, 1, 1)})))
    assert run.returned == [], "one of the two runs still, though nobody awaits it"
    run.ended(2)
    assert run.returned == [("default/lock/l", 7)]


def test_a_submit_that_goes_on_elsewhere_is_not_looked_for() -> None:
    run = Run(LOCK)
    options = TaskOptions(job=JobOptions(poll=True, cancel=True, find=True))
    run.granted(7, TaskScheduled(2, "step", ARGS, options=options, digest="d", leases=(1,)))
    submit = Token(KEY, 1, 2, 1, 1)
    assert run.turn(Recovered(frozenset({submit}))).execute == []
    run.turn(Terminate())
    assert run.turn(Recovered(frozenset({submit}))).execute == [], "nor when its job is to be stopped"
    run.turn(AttemptEnded(submit, Raw(b'"job-1"')))
    cancel = run.turn(TimerDue()).execute[0]
    assert cancel.task == "step.cancel"
    assert run.turn(Recovered(frozenset({cancel.token}))).execute == []
    run.turn(AttemptEnded(cancel.token, NULL))
    assert run.returned == [("default/lock/l", 7)]


def test_a_held_run_keeps_its_leases() -> None:
    run = Run(LOCK)
    run.granted(7)
    run.turn(Hold("diverged", "the code is another"))
    run.turn(Recovered())
    assert run.returned == []
    run.turn(Terminate())
    assert run.returned == [("default/lock/l", 7)]


def test_an_operation_names_the_lease_that_it_is_under() -> None:
    run = Run(LeaseRequested(1, "resource.Emr/a"))
    run.granted(7, OperationScheduled(2, 1, "add_step", ARGS))
    assert run.sent[-1] == (
        "default/resource.Emr/a",
        InvokeOperation(Sender(KEY, 1, 2), Sender(KEY, 1, 1), 7, "add_step", ARGS, f"{KEY}:1:2"),
    )


def test_an_operation_under_way_keeps_the_lease_until_it_is_answered() -> None:
    run = Run(LeaseRequested(1, "resource.Emr/a"))
    run.granted(7, OperationScheduled(2, 1, "add_step", ARGS))
    run.turn(Cancel(), CallCancelled(2), LeaseEnded(1))
    run.turn(Recovered())
    assert (run.returned, run.open) == ([], False), "an answer wakes it; it need not stay in memory for that"
    run.turn(Answer(1, 2, NULL))
    assert run.returned == [("default/resource.Emr/a", 7)]


def test_a_child_run_that_was_awaited_keeps_the_lease_until_it_has_ended() -> None:
    for ending in (Terminate(), Cancel()):
        run = Run(LOCK)
        run.granted(7, ChildScheduled(2, "w", "c", ARGS, "", leases=(1,)))
        left: list[AnyRecord] = [CallCancelled(2), LeaseEnded(1)]
        run.turn(ending, *(left if type(ending) is Cancel else []))
        assert ("default/run/c", Cancel("its parent run no longer awaits it")) in run.sent
        run.turn(Recovered())
        assert run.returned == []
        run.turn(Answer(1, 2, failure=Failure("RunCancelled", kind="cancelled")))
        assert run.returned == [("default/lock/l", 7)]


def test_leases_survive_snapshots_at_every_turn() -> None:
    run = Run(LOCK, LeaseRequested(5, "semaphore/s"))
    for message, commands in (
        (Answer(1, 1, Raw(msgspec.json.encode(LeaseGrant(7)))), [task(2, 1)]),
        (Terminate(), []),
        (AttemptEnded(Token(KEY, 1, 2, 1, 1), NULL), []),
    ):
        run.state = run.machine.decode(run.machine.encode(run.state))
        run.turn(message, *commands)
    assert run.returned == [("default/semaphore/s", 0), ("default/lock/l", 7)]
    assert not run.state.leases.held
    assert not run.state.leases.under
