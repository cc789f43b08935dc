"""A process that is wedged is ended by its guard, with the stacks of its threads; one that is only stopped is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BOUND_S = 2.0
PATIENCE_S = 30.0
BEATS = """
import faulthandler, sys, threading, time
from understudy_runtime.node.guard import Guard

faulthandler.enable()
guard = Guard({bound_s})
print(guard.pid, flush=True)

def beat():
    while True:
        guard.beat()
        time.sleep(0.1)

threading.Thread(target=beat, daemon=True).start()
sys.stdin.readline()
{then}
"""
SPINS = """
import re
def spin():
    re.match("(a+)+$", "a" * 60 + "b")
spin()
"""


class Guarded:
    def __init__(self, then: str) -> None:
        program = BEATS.format(bound_s=BOUND_S, then=then)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.guard = int(self.process.stdout.readline())

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def begin() -> Iterator[Callable[[str], Guarded]]:
    made: list[Guarded] = []

    def begin(then: str) -> Guarded:
        made.append(Guarded(then))
        return made[-1]

    yield begin
    for each in made:
        each.process.kill()
        each.process.communicate()


def ends(pid: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)  # nobody tells of a process that is not ours
    return True


def test_who_is_wedged_in_c_code_is_ended_and_shows_where(begin: Callable[[str], Guarded]) -> None:
    guarded = begin(SPINS)
    guarded.go_on()
    began = time.monotonic()
    _, said = guarded.process.communicate(timeout=PATIENCE_S)
    assert guarded.process.returncode == -signal.SIGABRT
    assert time.monotonic() - began >= BOUND_S - 1
    assert f"process {guarded.process.pid} is ended: its engine has not come round for {BOUND_S:g} s" in said
    assert "in spin" in said
    assert ends(guarded.guard)


def test_who_was_stopped_for_longer_goes_on(begin: Callable[[str], Guarded]) -> None:
    guarded = begin("sys.stdin.readline(); sys.exit(7)")
    guarded.process.send_signal(signal.SIGSTOP)
    time.sleep(2 * BOUND_S)  # what matters is that time passes
    guarded.process.send_signal(signal.SIGCONT)
    time.sleep(2 * BOUND_S)
    guarded.go_on()
    _, said = guarded.process.communicate("\n", timeout=PATIENCE_S)
    assert guarded.process.returncode == 7, said


def test_time_in_which_the_guard_could_not_run_does_not_count(begin: Callable[[str], Guarded]) -> None:
    """As when the machine was asleep."""
    guarded = begin("sys.stdin.readline(); sys.exit(7)")
    for pid in (guarded.process.pid, guarded.guard):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2 * BOUND_S)
    os.kill(guarded.guard, signal.SIGCONT)
    time.sleep(0.1)
    os.kill(guarded.process.pid, signal.SIGCONT)
    guarded.go_on()
    _, said = guarded.process.communicate("\n", timeout=PATIENCE_S)
    assert guarded.process.returncode == 7, said


def test_a_guard_ends_with_its_node_however_that_ends(begin: Callable[[str], Guarded]) -> None:
    guarded = begin("")
    guarded.process.send_signal(signal.SIGKILL)
    guarded.process.wait(PATIENCE_S)
    assert ends(guarded.guard)


def test_who_has_lost_its_guard_goes_on(begin: Callable[[str], Guarded]) -> None:
    guarded = begin("time.sleep(0.5); sys.exit(7)")
    os.kill(guarded.guard, signal.SIGKILL)
    guarded.go_on()
    out, _ = guarded.process.communicate(timeout=PATIENCE_S)
    assert guarded.process.returncode == 7
    assert out.count("the guard of this node is gone") == 1
