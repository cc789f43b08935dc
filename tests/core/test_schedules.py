"""What a schedule decides: when runs start, and what happens when they are late or in each other's way.

Whatever was decided is recovered from every snapshot as it was, without a calendar.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from understudy.scheduling import Overlap, ScheduleDescription, ScheduleSpec
from understudy_runtime.core import deliveries
from understudy_runtime.core.keys import run_key, schedule_key
from understudy_runtime.core.kinds import NULL, Failure, Sender
from understudy_runtime.core.messages import (
    Accepted,
    Answer,
    AnyMessage,
    BackfillBegun,
    BackfillSchedule,
    Cancel,
    Decision,
    Declared,
    DeleteSchedule,
    Deliver,
    Describe,
    PauseSchedule,
    Recovered,
    Refused,
    ResumeSchedule,
    SetSchedule,
    Start,
    Terminate,
    TimerDue,
    Triggered,
    TriggerSchedule,
)
from understudy_runtime.core.schedule import ScheduleMachine, decide, starting, state
from understudy_runtime.core.schedule.times import next_time, previous_time
from understudy_runtime.execution.calendar import ZoneCalendar

KEY = schedule_key("default", "s")
HOUR = 3_600.0
T0 = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def spec(every_s: float | None = HOUR, **options: Any) -> ScheduleSpec:
    return ScheduleSpec("report", Raw(b'{"args":[],"kwargs":{}}'), every_s=every_s, **options)


class NoCalendar:
    def next(self, cron: str, tz: str, after: float) -> float | None:
        raise AssertionError("recovery asks no calendar")

    def previous(self, cron: str, tz: str, before: float) -> float | None:
        raise AssertionError("recovery asks no calendar")


class Bench:
    """A schedule that takes turns as the engine takes them."""

    def __init__(self, given: ScheduleSpec | None = None) -> None:
        self.machine = ScheduleMachine(ZoneCalendar())
        self.state = self.machine.initial(KEY)
        self.now = T0 + 1
        self.seq = 0
        self.journal: list[tuple[int, float, Any]] = []
        self.snapshots: list[bytes] = []
        self.starts: list[str] = []
        self.sent: list[Any] = []
        if given is not None:
            self.tell(SetSchedule(given))

    def tell(self, message: AnyMessage) -> Decision:
        decision = self.machine.decide(self.state, message, self.now)
        self.seq += bool(decision.append)
        for record in decision.append:
            self.machine.apply(self.state, record, self.now, self.seq)
            self.journal.append((self.seq, self.now, record))
        if decision.append:
            self.snapshots.append(self.machine.encode(self.state))
        for send in decision.send:
            if isinstance(send.message, Start):
                self.starts.append(send.to.removeprefix(run_key("default", "s/")))
            self.sent.append(send.message)
        return decision

    def at(self, now: float) -> list[str]:
        """The nominal times whose runs start when the engine wakes the schedule then, and as often as it is due."""
        self.now, before = now, len(self.starts)
        for _ in range(1_000):
            self.tell(TimerDue())
            duty = self.machine.next_duty(self.state)
            if duty is None or duty > now:
                return self.starts[before:]
        raise AssertionError("it never rests")

    def end(self, number: int = 0, failure: Failure | None = None) -> list[str]:
        """What starts when the `number`-th of the running runs has ended."""
        before = len(self.starts)
        self.tell(Answer(1, list(self.state.running)[number], None if failure else NULL, failure))
        duty = self.machine.next_duty(self.state)
        if duty is not None and duty <= self.now:
            self.at(self.now)
        return self.starts[before:]

    def described(self) -> ScheduleDescription:
        reply = self.machine.decide(self.state, Describe(), self.now).reply
        assert isinstance(reply, ScheduleDescription), reply
        return reply

    def check_recovery(self) -> None:
        machine = ScheduleMachine(NoCalendar())
        for seq, snapshot in enumerate([b"", *self.snapshots]):
            recovered = machine.decode(snapshot) if snapshot else machine.initial(KEY)
            for each, at, record in self.journal:
                if each > seq:
                    machine.apply(recovered, record, at, each)
            assert machine.encode(recovered) == self.snapshots[-1]


def hours(*numbers: int) -> list[str]:
    return [f"2026-01-01T{number:02}:00:00Z" for number in numbers]


# --- nominal times


def test_a_run_starts_at_each_nominal_time_and_its_id_says_which() -> None:
    bench = Bench(spec())
    assert bench.machine.next_duty(bench.state) == T0 + HOUR
    assert bench.at(T0 + HOUR) == hours(1)
    bench.end()
    assert bench.at(T0 + 2 * HOUR) == hours(2)
    start = bench.sent[-1]
    assert (start.workflow, start.parent) == ("report", Sender(KEY, 1, 2))
    bench.check_recovery()


def test_a_wakeup_too_early_starts_nothing_and_records_nothing() -> None:
    bench = Bench(spec())
    seq = bench.seq
    assert bench.at(T0 + HOUR - 1) == []
    assert bench.seq == seq


def test_intervals_count_from_the_start_and_nothing_lies_outside_of_start_and_end() -> None:
    bench = Bench(spec(starts_at=T0 + 100.5, ends_at=T0 + 100.5 + HOUR))
    assert bench.at(T0 + 100.5) == ["2026-01-01T00:01:40.500Z"]
    bench.end()
    assert bench.at(T0 + 101 + HOUR) == ["2026-01-01T01:01:40.500Z"]
    assert bench.machine.next_duty(bench.state) is None
    assert bench.described().next_at is None
    bench.check_recovery()


def test_intervals_that_are_no_binary_fractions_do_not_drift() -> None:
    at, calendar, odd = T0, NoCalendar(), spec(every_s=1.1)
    for _ in range(10_000):
        after = next_time(calendar, odd, at)
        assert after is not None
        assert previous_time(calendar, odd, after + 0.5) == after
        at = after
    assert at == pytest.approx(T0 + 11_000, abs=1.1)


def test_several_expressions_are_any_of_them() -> None:
    bench = Bench(spec(every_s=None, cron=("0 3 * * *", "30 2 * * *"), overlap="allow"))
    assert bench.at(T0 + 2.5 * HOUR) == ["2026-01-01T02:30:00Z"]
    assert bench.at(T0 + 3 * HOUR) == hours(3)
    assert bench.state.next == T0 + 26.5 * HOUR


def test_jitter_delays_a_run_by_always_the_same_and_its_nominal_time_stays() -> None:
    benches = [Bench(spec(jitter_s=600.0)) for _ in range(2)]
    due = {bench.machine.next_duty(bench.state) for bench in benches}
    (at,) = due
    assert at is not None
    assert T0 + HOUR < at < T0 + HOUR + 600
    assert benches[0].at(at - 0.01) == []
    assert benches[0].at(at) == hours(1)
    assert benches[0].described().next_due_at != at + HOUR


# --- overlap


def overlapping(overlap: Overlap) -> Bench:
    """Three nominal times, while the first run goes on."""
    bench = Bench(spec(overlap=overlap))
    for hour in (1, 2, 3):
        bench.at(T0 + hour * HOUR)
    return bench


def test_skip_starts_nothing_while_a_run_goes_on() -> None:
    bench = overlapping("skip")
    assert bench.starts == hours(1)
    assert bench.end() == []
    assert bench.at(T0 + 4 * HOUR) == hours(4)
    assert bench.described().passed_over == 2
    bench.check_recovery()


def test_buffer_one_keeps_the_first_that_was_in_the_way() -> None:
    bench = overlapping("buffer_one")
    assert bench.starts == hours(1)
    assert bench.end() == hours(2)
    assert bench.end() == []
    assert bench.described().passed_over == 1
    bench.check_recovery()


def test_buffer_keeps_all_and_starts_them_one_after_the_other() -> None:
    bench = overlapping("buffer")
    assert bench.described().buffered == 2
    assert [bench.end(), bench.end(), bench.end()] == [hours(2), hours(3), []]
    bench.check_recovery()


def test_allow_lets_them_run_side_by_side() -> None:
    bench = overlapping("allow")
    assert bench.starts == hours(1, 2, 3)
    assert bench.end(1) == []
    assert [run.run_id for run in bench.described().running] == [f"s/{each}" for each in hours(1, 3)]
    bench.check_recovery()


@pytest.mark.parametrize(("overlap", "message"), [("cancel", Cancel), ("terminate", Terminate)])
def test_the_old_run_is_ended_and_the_newest_starts_after_it(overlap: Overlap, message: type) -> None:
    bench = overlapping(overlap)
    assert bench.starts == hours(1)
    assert [type(sent) for sent in bench.sent] == [Start, message, message]
    assert bench.end(failure=Failure("RunCancelled")) == hours(3)
    assert bench.end() == []
    assert bench.described().passed_over == 1
    bench.check_recovery()


# --- catching up


@pytest.mark.parametrize(("catch_up", "starts"), [("skip", []), ("one", hours(5)), ("all", hours(1, 2, 3, 4, 5))])
def test_missed_times_are_made_up_for_as_the_policy_says(catch_up: Any, starts: list[str]) -> None:
    bench = Bench(spec(catch_up=catch_up, overlap="allow"))
    assert bench.at(T0 + 5.5 * HOUR) == starts
    described = bench.described()
    assert (described.missed_from, described.missed_to) == (T0 + HOUR, T0 + 5 * HOUR)
    assert described.next_at == T0 + 6 * HOUR
    bench.check_recovery()


def test_one_that_is_on_time_stands_in_for_those_that_were_missed() -> None:
    bench = Bench(spec(catch_up="one", overlap="allow"))
    assert bench.at(T0 + 5 * HOUR + 30) == hours(5)


def test_missed_times_go_one_after_the_other_if_runs_must_not_overlap() -> None:
    bench = Bench(spec(catch_up="all", overlap="buffer"))
    assert bench.at(T0 + 3.5 * HOUR) == hours(1)
    assert bench.end() == hours(2)
    assert bench.at(T0 + 4 * HOUR) == []
    assert [bench.end(), bench.end(), bench.end()] == [hours(3), hours(4), []]
    bench.check_recovery()


def test_a_minute_late_is_on_time() -> None:
    bench = Bench(spec(catch_up="skip"))
    assert bench.at(T0 + HOUR + decide.ON_TIME_S) == hours(1)
    bench.end()
    assert bench.at(T0 + 2 * HOUR + decide.ON_TIME_S + 0.1) == []


def test_what_was_missed_after_the_end_is_not_made_up_for() -> None:
    bench = Bench(spec(catch_up="one", ends_at=T0 + 2 * HOUR))
    assert bench.at(T0 + 100 * HOUR) == hours(2)
    assert bench.machine.next_duty(bench.state) is None


def test_an_outage_of_years_is_made_up_for_up_to_the_bound_and_by_the_newest() -> None:
    bench = Bench(spec(every_s=1.0, catch_up="all", overlap="allow"))
    now = T0 + 10 * 365 * 24 * HOUR + 0.5
    starts = bench.at(now)
    assert bench.described().passed_over > 0  # no more than MAX_RUNNING at once
    begun = [record for _, _, record in bench.journal if type(record).__name__ == "RangeBegun"]
    assert begun[0].until - begun[0].next == decide.MAX_CATCH_UP - 1
    assert len(starts) == state.MAX_RUNNING


def test_one_turn_decides_on_so_many_times_and_the_rest_is_due_at_once() -> None:
    bench = Bench(spec(catch_up="all", overlap="allow"))
    bench.now = T0 + 200.5 * HOUR
    decision = bench.tell(TimerDue())
    assert len(decision.send) == starting.MAX_PER_TURN
    assert bench.machine.next_duty(bench.state) == 0.0
    bench.at(bench.now)
    assert len(bench.starts) == 200
    bench.check_recovery()


# --- pausing, triggering, backfilling


def test_a_paused_schedule_lets_times_pass_and_goes_on_with_the_next() -> None:
    bench = Bench(spec(overlap="buffer"))
    bench.at(T0 + HOUR)
    bench.at(T0 + 2 * HOUR)
    bench.tell(PauseSchedule("holiday"))
    assert (bench.described().status, bench.described().note, bench.described().next_at) == ("paused", "holiday", None)
    assert bench.end() == []  # what was buffered is given up
    assert bench.at(T0 + 5 * HOUR) == []
    decision = bench.tell(ResumeSchedule("back"))
    assert decision.timer == T0 + 6 * HOUR
    assert bench.at(T0 + 6 * HOUR) == hours(6)
    bench.check_recovery()


def test_pausing_and_resuming_again_records_nothing() -> None:
    bench = Bench(spec())
    bench.tell(PauseSchedule("x"))
    assert not bench.tell(PauseSchedule("x")).append
    bench.tell(ResumeSchedule())
    assert not bench.tell(ResumeSchedule()).append


@pytest.mark.parametrize(
    ("command", "undone"),
    [
        (SetSchedule(spec(2 * HOUR), "update", idempotency_key="k"), SetSchedule(spec(), "update")),
        (SetSchedule(spec(), idempotency_key="k"), SetSchedule(spec(2 * HOUR), "update")),
        (PauseSchedule("x", "k"), ResumeSchedule()),
        (ResumeSchedule("", "k"), PauseSchedule()),
        (DeleteSchedule("k"), SetSchedule(spec())),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_command_sent_again_does_not_undo_what_others_have_changed(command: AnyMessage, undone: AnyMessage) -> None:
    bench = Bench(spec())
    bench.tell(command)
    bench.tell(undone)
    before = bench.described()
    decision = bench.tell(command)
    assert (decision.append, decision.reply) == ([], Accepted())
    assert bench.described() == before
    bench.check_recovery()


def test_a_key_of_one_kind_of_request_is_refused_for_another() -> None:
    bench = Bench(spec())
    bench.tell(TriggerSchedule("k"))
    reply = bench.tell(BackfillSchedule(T0, T0, idempotency_key="k")).reply
    assert isinstance(reply, Refused)
    assert "another kind of request" in reply.message


def test_a_note_stays_until_there_is_another() -> None:
    bench = Bench()
    bench.tell(SetSchedule(spec(), note="a"))
    bench.tell(SetSchedule(spec(2 * HOUR), "update"))
    assert bench.described().note == "a"
    bench.tell(SetSchedule(spec(), "update", note="b"))
    assert bench.described().note == "b"
    bench.check_recovery()


def test_a_schedule_may_be_paused_from_the_beginning() -> None:
    bench = Bench()
    bench.tell(SetSchedule(spec(), paused=True, note="not yet"))
    assert bench.machine.next_duty(bench.state) is None
    assert bench.machine.facts(bench.state).status == "paused"


def test_a_triggered_run_starts_at_once_whatever_runs() -> None:
    bench = Bench(spec())
    bench.at(T0 + HOUR)
    bench.tell(PauseSchedule())
    reply = bench.tell(TriggerSchedule("k")).reply
    assert reply == Triggered("s/2026-01-01T01:00:00Z+2")
    assert bench.tell(TriggerSchedule("k")).reply == reply
    assert bench.tell(TriggerSchedule("l")).reply == Triggered("s/2026-01-01T01:00:00Z+3")
    assert len(bench.starts) == 3
    bench.check_recovery()


def test_a_backfill_starts_a_run_for_each_time_of_the_range_one_by_one() -> None:
    bench = Bench(spec(starts_at=T0 + 10 * HOUR))
    message = BackfillSchedule(T0 + HOUR, T0 + 3 * HOUR, idempotency_key="k")
    decision = bench.tell(message)
    assert (decision.reply, decision.timer) == (BackfillBegun(3), bench.now)
    assert bench.tell(message).reply == BackfillBegun(3)
    assert bench.at(bench.now) == hours(1)
    assert [bench.end(), bench.end(), bench.end()] == [hours(2), hours(3), []]
    assert bench.described().ranges == 0
    bench.check_recovery()


def test_a_backfill_may_run_side_by_side_and_while_paused() -> None:
    bench = Bench(spec())
    bench.tell(PauseSchedule())
    bench.tell(BackfillSchedule(T0 + HOUR, T0 + 3.5 * HOUR, "allow"))
    assert bench.at(bench.now) == hours(1, 2, 3)


def test_a_time_that_has_its_run_already_counts_neither_way() -> None:
    bench = Bench(spec())
    bench.tell(BackfillSchedule(T0 + HOUR, T0 + HOUR))
    bench.at(bench.now)
    bench.end(failure=Failure("AlreadyExists", final=True))
    described = bench.described()
    assert (described.succeeded, described.failed, described.recent[0].ended) == (0, 0, "existed")


@pytest.mark.parametrize(("extra", "reply"), [(0, BackfillBegun), (1, Refused)])
def test_a_backfill_has_a_bound(extra: int, reply: type) -> None:
    bench = Bench(spec())
    until = T0 + (decide.MAX_BACKFILL - 1 + extra) * HOUR
    assert type(bench.tell(BackfillSchedule(T0, until)).reply) is reply


def test_a_backfill_of_an_empty_range_is_nothing() -> None:
    bench = Bench(spec())
    assert bench.tell(BackfillSchedule(T0 + 1, T0 + 2)).reply == BackfillBegun(0)
    assert bench.tell(BackfillSchedule(T0 + 2, T0 + 1)).reply == BackfillBegun(0)


def test_so_many_backfills_may_be_under_way() -> None:
    bench = Bench(spec())
    for _ in range(state.MAX_RANGES):
        assert bench.tell(BackfillSchedule(T0, T0)).reply == BackfillBegun(1)
    reply = bench.tell(BackfillSchedule(T0, T0)).reply
    assert isinstance(reply, Refused)
    assert reply.error == "Overloaded"


# --- bounds


def test_so_many_runs_may_be_open() -> None:
    bench = Bench(spec(overlap="allow"))
    for hour in range(1, state.MAX_RUNNING + 2):
        bench.at(T0 + hour * HOUR)
    assert len(bench.starts) == len(bench.state.running) == state.MAX_RUNNING
    assert bench.described().passed_over == 1
    reply = bench.tell(TriggerSchedule()).reply
    assert isinstance(reply, Refused)


def test_so_many_starts_are_kept() -> None:
    bench = Bench(spec(overlap="buffer"))
    for hour in range(1, state.MAX_BUFFERED + 3):
        bench.at(T0 + hour * HOUR)
    assert bench.described().buffered == state.MAX_BUFFERED
    assert bench.described().passed_over == 1


def test_commands_are_remembered_for_so_long() -> None:
    bench = Bench(spec())
    first = bench.tell(TriggerSchedule("k")).reply
    bench.now += deliveries.REMEMBERED_S + 1
    bench.tell(TriggerSchedule("l"))
    assert bench.tell(TriggerSchedule("k")).reply != first


# --- being made, changed and deleted


def test_setting_the_same_again_changes_nothing() -> None:
    bench = Bench(spec())
    decision = bench.tell(SetSchedule(spec()))
    assert (decision.append, decision.reply) == ([], Accepted())


def test_another_schedule_of_the_same_id_is_refused_unless_it_is_an_update() -> None:
    bench = Bench(spec())
    refused = bench.tell(SetSchedule(spec(60.0))).reply
    assert isinstance(refused, Refused)
    assert refused.error == "AlreadyExists"
    decision = bench.tell(SetSchedule(spec(60.0), "update"))
    assert decision.timer == T0 + 60
    bench.check_recovery()


def test_a_change_of_something_else_does_not_lose_the_time_that_is_due() -> None:
    bench = Bench(spec())
    bench.now = T0 + 1.5 * HOUR
    bench.tell(SetSchedule(spec(overlap="allow"), "update"))
    assert bench.at(bench.now) == hours(1)


def test_an_update_leaves_a_paused_schedule_paused() -> None:
    bench = Bench(spec())
    bench.tell(PauseSchedule("x"))
    assert bench.tell(SetSchedule(spec(60.0), "update")).timer is None
    assert bench.described().note == "x"


def test_a_deleted_schedule_is_gone_and_its_runs_are_not_its_affair() -> None:
    bench = Bench(spec())
    bench.at(T0 + HOUR)
    call = next(iter(bench.state.running))
    bench.tell(DeleteSchedule())
    assert bench.machine.next_duty(bench.state) is None
    assert bench.machine.facts(bench.state).closed_at == bench.now
    assert not bench.tell(Answer(1, call, NULL)).append
    bench.tell(SetSchedule(spec()))
    assert not bench.tell(Answer(1, call, NULL)).append
    assert bench.at(T0 + 2 * HOUR) == hours(2)
    assert list(bench.state.running) == [call + 1]
    bench.check_recovery()


@pytest.mark.parametrize(
    "message",
    [
        Describe(),
        PauseSchedule(),
        ResumeSchedule(),
        TriggerSchedule(),
        BackfillSchedule(T0, T0),
        DeleteSchedule(),
    ],
)
def test_nobody_can_mind_a_schedule_that_there_is_not(message: AnyMessage) -> None:
    reply = Bench().tell(message).reply
    assert isinstance(reply, Refused)
    assert reply.error == "UnknownName"


def test_what_is_meant_for_others_is_refused() -> None:
    bench = Bench(spec())
    assert isinstance(bench.tell(Cancel()).reply, Refused)
    assert isinstance(bench.tell(Deliver("note", NULL)).reply, Refused)
    answered = bench.tell(Deliver("note", NULL, ask=True, sender=Sender("default/run/r", 1, 7)))
    assert [send.to for send in answered.send] == ["default/run/r"]
    assert bench.tell(Recovered()) == Decision()


def test_a_late_or_repeated_answer_is_nothing() -> None:
    bench = Bench(spec())
    bench.at(T0 + HOUR)
    bench.tell(Answer(1, 1, NULL))
    assert not bench.tell(Answer(1, 1, NULL)).append


def test_the_last_runs_are_shown_newest_first() -> None:
    bench = Bench(spec())
    for hour in range(1, state.RECENT + 3):
        bench.at(T0 + hour * HOUR)
        bench.end(failure=Failure("ValueError") if hour % 2 else None)
    described = bench.described()
    assert len(described.recent) == state.RECENT
    assert [run.ended for run in described.recent[:2]] == ["succeeded", "ValueError"]
    assert (described.started, described.succeeded, described.failed) == (12, 6, 6)


def test_a_state_survives_its_encoding() -> None:
    bench = overlapping("buffer")
    data = bench.machine.encode(bench.state)
    assert bench.machine.encode(bench.machine.decode(data)) == data
    assert msgspec.json.decode(data)["spec"]["workflow"] == "report"


# --- declared by nodes of a cluster, whose code may differ


def declared(every_s: float, since: float, *living: float) -> SetSchedule:
    return SetSchedule(spec(every_s), "update", declared=Declared(since, frozenset({since, *living})))


def test_of_the_nodes_that_live_the_one_that_began_last_has_the_say() -> None:
    bench = Bench()
    bench.tell(declared(HOUR, 10.0))
    bench.tell(declared(2 * HOUR, 20.0, 10.0))
    bench.tell(declared(HOUR, 10.0, 20.0))
    assert bench.described().spec == spec(2 * HOUR)
    bench.tell(declared(3 * HOUR, 30.0, 10.0, 20.0))
    assert bench.described().spec == spec(3 * HOUR)
    bench.check_recovery()


def test_when_that_one_is_gone_any_other_has_it() -> None:
    bench = Bench()
    bench.tell(declared(2 * HOUR, 20.0, 10.0))
    bench.tell(declared(HOUR, 10.0))
    assert bench.described().spec == spec(HOUR)
    bench.tell(declared(2 * HOUR, 5.0, 10.0))
    assert bench.described().spec == spec(HOUR)


def test_a_node_that_says_what_was_so_already_has_the_say_from_then_on() -> None:
    """Otherwise one of old code could put back what only a dead one is known to have declared."""
    bench = Bench()
    bench.tell(declared(2 * HOUR, 10.0))
    bench.tell(declared(2 * HOUR, 30.0))
    bench.tell(declared(HOUR, 20.0, 30.0))
    assert bench.described().spec == spec(2 * HOUR)


def test_a_node_says_what_it_says_once_and_then_clients_may_change_it() -> None:
    bench = Bench()
    bench.tell(declared(HOUR, 10.0))
    bench.tell(SetSchedule(spec(5 * HOUR), "update"))
    assert not bench.tell(declared(HOUR, 10.0)).append
    assert bench.described().spec == spec(5 * HOUR)
    bench.tell(DeleteSchedule())
    assert not bench.tell(declared(HOUR, 10.0)).append
    bench.tell(declared(HOUR, 20.0, 10.0))
    assert bench.described().spec == spec(HOUR)
    bench.check_recovery()


def test_to_be_declared_again_by_another_node_loses_no_time_that_is_due_and_leaves_it_paused() -> None:
    bench = Bench()
    bench.tell(declared(HOUR, 10.0))
    bench.now = T0 + 1.5 * HOUR
    bench.tell(declared(HOUR, 20.0))
    assert bench.at(bench.now) == hours(1)
    bench.tell(PauseSchedule("x"))
    assert bench.tell(declared(HOUR, 30.0)).timer is None
    assert bench.described().note == "x"
