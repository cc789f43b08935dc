"""What ends a node that is wedged: a process beside it, because by then nothing inside can be relied on to run.

The node writes to this one's input whenever its engine's loop comes round. When it has not for SECONDS, it is told to
abort, which shows the stack of each of its threads, and is killed if that does not help. Not every silence counts:

    the machine, or the container, was asleep     a step of this loop counts as STEP_S, however long it took
    the node was stopped (SIGSTOP, a debugger)    it is not at fault, and has all its time again when it goes on

A node that is `alone` is not ended for its silence, for nobody has taken its runs over. Its guard says once that it is
silent, and ends it only if it has been asked to leave: the interpreter itself writes the numbers of signals to this
one's input (`signal.set_wakeup_fd`), also while no thread of the node can run.

Run as a program, with the standard library alone: `guarding.py SECONDS [alone]`. It ends with its parent, the node.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

BEAT: Final = b"."
LEAVE: Final = (signal.SIGTERM, signal.SIGINT)
STEP_S: Final = 0.5
ABORTS_S: Final = 5.0
"""How long a process may take to show its stacks."""


def main(bound_s: float, alone: bool = False) -> None:
    node = os.getppid()
    silent_s, asked = 0.0, False
    while silent_s < bound_s or (alone and not asked):
        ready, _, _ = select.select([0], [], [], STEP_S)
        said = os.read(0, 4096) if ready else b""
        if ready and not said:
            return
        asked = asked or any(number in said for number in LEAVE)
        is_silent = BEAT not in said and not _is_stopped(node)
        silent_s = silent_s + (0.0 if ready else STEP_S) if is_silent else 0.0
        if alone and silent_s == bound_s and not asked:
            say(f"process {node} does not answer: no thread of it has run for {bound_s:g} s, and no run goes on")
    others = f"its engine has not come round for {bound_s:g} s, so that others have taken its runs over"
    why = f"it was asked to leave, and no thread of it has run for {bound_s:g} s" if alone else others
    say(f"process {node} is ended: {why}; what its threads do follows")
    _end(node)


def say(text: str) -> None:
    sys.stderr.write(f"understudy: {text}\n")
    sys.stderr.flush()


def _is_stopped(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return state[:1] in ("T", "t")


def _end(pid: int) -> None:
    for number in (signal.SIGABRT, signal.SIGKILL):
        if os.getppid() == pid:
            os.kill(pid, number)
        until = time.monotonic() + ABORTS_S
        while os.getppid() == pid and time.monotonic() < until:
            time.sleep(0.05)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:] == ["alone"])
