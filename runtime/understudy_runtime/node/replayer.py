"""The process that replays: `python -m understudy_runtime.node.replayer TARGET...`.

Reads histories from standard input, one JSON line each, and answers each with a line on what was standard output; what
user code prints goes to standard error.
"""

from __future__ import annotations

import os
import sys

import msgspec

from understudy.door import HistoryTurn
from understudy.errors import UnderstudyError
from understudy.target import load_app
from understudy_runtime.node import logs
from understudy_runtime.node.replay_checks import Replayed
from understudy_runtime.node.testing import differences


class _ToReplay(msgspec.Struct, frozen=True):
    run: str
    turns: list[HistoryTurn]


def main(targets: list[str]) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logs.configure("auto", "warning", "replay")
    apps = list({id(app): app for app in map(load_app, targets)}.values())
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line, type=_ToReplay)
        try:
            replayed = Replayed(asked.run, differences(apps, asked.turns))
        except UnderstudyError as error:
            replayed = Replayed(asked.run, error=str(error))
        answers.write(msgspec.json.encode(replayed) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
