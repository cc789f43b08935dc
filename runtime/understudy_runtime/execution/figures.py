"""What an executor counts, task by task: how attempts ended, and how long they took."""

from __future__ import annotations

from typing import Final

from understudy_runtime.core.figures import Histogram
from understudy_runtime.core.kinds import Failure

SECONDS_BOUNDS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200)
SUCCEEDED: Final = "succeeded"


class TaskFigures:
    """Of one task. `ended` counts attempts by outcome: succeeded, error, timeout, cancelled or lost."""

    __slots__ = ("ended", "seconds")

    def __init__(self) -> None:
        self.ended: dict[str, int] = {}
        self.seconds = Histogram(SECONDS_BOUNDS)

    def note(self, failure: Failure | None, seconds: float) -> None:
        outcome = SUCCEEDED if failure is None else failure.kind
        self.ended[outcome] = self.ended.get(outcome, 0) + 1
        self.seconds.observe(seconds)
