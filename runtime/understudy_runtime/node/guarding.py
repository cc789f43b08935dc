"""What ends a node that is wedged: a process beside it, because by then nothing inside can be relied on to run.

The node writes to this one's input whenever its engine's loop comes round. When it has not for SECONDS, it is told to
abort, which shows the stack of each of its threads, and is killed if that does not help. Not every silence counts:

    the machine, or the container, was asleep     a step of this loop counts as STEP_S, however long it took
    the node was stopped (SIGSTOP, a debugger)    it is not at fault, and has all its time again when it goes on

Run as a program, with the standard library alone: `guarding.py SECONDS`. It ends with its parent, the node.
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

STEP_S: Final = 0.5
ABORTS_S: Final = 5.0
"""How long a process may take to show its stacks."""


def main(bound_s: float) -> None:
    node = os.getppid()
    silent_s = 0.0
    while silent_s < bound_s:
        ready, _, _ = select.select([0], [], [], STEP_S)
        if ready and not os.read(0, 4096):
            return
        silent_s = 0.0 if ready or _is_stopped(node) else silent_s + STEP_S
    why = f"its engine has not come round for {bound_s:g} s, so that others have taken its runs over"
    sys.stderr.write(f"understudy: process {node} is ended: {why}; what its threads do follows\n")
    _end(node)


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
    main(float(sys.argv[1]))
