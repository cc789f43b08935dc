"""A start under a known id, where the journal of an earlier release does not say what the run was started with."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from understudy_runtime.core.messages import Start, Started
from understudy_runtime.core.records.runs import ExecutionStarted
from understudy_runtime.core.run import RunMachine


def test_what_was_continued_before_its_origin_was_noted_is_joined() -> None:
    machine = RunMachine()
    state = machine.initial("default/run/one")
    for execution in (1, 2):
        machine.apply(
            state,
            ExecutionStarted("w", Raw(b"%d" % execution), execution=execution, digest=f"{execution}"),
            0,
            execution,
        )
    older = msgspec.json.decode(machine.encode(state))
    del older["origin"]
    state = machine.decode(msgspec.json.encode(older))
    machine.apply(state, ExecutionStarted("w", Raw(b"3"), execution=3, digest="3"), 0, 3)
    assert machine.decide(state, Start("w", Raw(b"7"), "7"), 1).reply == Started(3, existed=True)
