"""When a failed attempt is tried again, whatever kind of task it is of."""

from __future__ import annotations

from zlib import crc32

from understudy.options import TaskOptions
from understudy_runtime.core.kinds import Failure
from understudy_runtime.core.messages import Token


def retry_at(options: TaskOptions, since: float, failure: Failure, token: Token, now: float) -> float | None:
    """The time of the next attempt; None: there is none. `since` is when the task was called."""
    policy = options.retry
    if failure.final or token.attempt >= policy.attempts or failure.type in policy.final:
        return None
    # The jitter is a hash of the token: spread over the runs, and the same whenever it is asked for.
    chance = crc32(f"{token.key}:{token.execution}:{token.call}:{token.attempt}".encode()) / 2**32
    at = now + policy.delay_s(token.attempt, chance)
    deadline_s = options.deadline_s
    return None if deadline_s is not None and at >= since + deadline_s else at
