"""What users set on tasks and calls: durations, retries, timeouts.

All of it is frozen, validated once where it is written, and encoded into the run's journal with the
call it belongs to, so that a later change of code does not change calls already made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from typing import Final, Literal, ParamSpec, TypeVar

import msgspec

from understudy.errors import BadDefinition

P = ParamSpec("P")
R = TypeVar("R")

Duration = float | int | str | timedelta
"""Seconds, a timedelta, or text such as "90s", "5m", "1h30m", "3d"."""

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_FOREVER_S: Final = 100 * 365 * 86400.0

MAX_ATTEMPTS: Final = 1_000_000
MAX_PRIORITY: Final = 100
"""The most urgent; the least urgent is as far below 0."""
MAX_TASK_SLOTS: Final = 10_000
MAX_LABELS: Final = 32
MAX_LABEL_CHARS: Final = 100


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """BadDefinition for an option that is none, with the nearest one that is."""
    names = sorted(known)
    for name in given:
        if name not in names:
            nearest = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}=?" if nearest else "nothing is called like it"
            raise BadDefinition(f"{what} has no option {name}=; {hint} (it takes {', '.join(names)})")


def takes_options(fn: Callable[P, R]) -> Callable[P, R]:
    """For a decorator or another function of the user's: unknown options are refused by name."""
    parameters = signature(fn).parameters.values()
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != "self"]

    @wraps(fn)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse_unknown(fn.__qualname__.replace("App.", "app."), kwargs, known)
        return fn(*args, **kwargs)

    return checked


def seconds(duration: Duration) -> float:
    """`duration` in seconds; BadDefinition if it is not a duration of 0 to 100 years."""
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, str):
        value = _parse(duration)
    else:
        value = float(duration)
    if not 0 <= value <= _FOREVER_S:
        raise BadDefinition(f"{duration!r} is not a duration between 0 seconds and 100 years")
    return value


def _parse(text: str) -> float:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise BadDefinition(f'{text!r} is not a duration; write seconds, a timedelta, or text such as "90s" or "1h30m"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)?(ms|s|m|h|d)")

Rate = float | int | str
"""So many a second, or text such as "20/s", "100/m" or "5/10s"."""


def per_second(rate: Rate) -> float:
    """`rate` in starts a second; BadDefinition if it is none."""
    if isinstance(rate, str):
        found = _RATE.fullmatch(rate.replace(" ", ""))
        if found is None or not float(found[2] or 1):
            raise BadDefinition(f'{rate!r} is not a rate; write a number a second, or text such as "20/s" or "5/10s"')
        value = float(found[1]) / (float(found[2] or 1) * _UNITS[found[3]])
    else:
        value = float(rate)
    if not 0 < value < 1e9:
        raise BadDefinition(f"{rate!r} is not a rate above 0")
    return value


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a failed attempt is tried again, as journalled. All times in seconds.

    The delay before attempt n+1 is `delays_s[n-1]` (the last one repeats), or `first_s * factor**(n-1)`
    up to `cap_s`; `jitter` spreads it by up to that share of itself, either way.
    """

    attempts: int = 1
    first_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 300.0
    jitter: float = 0.0
    delays_s: tuple[float, ...] = ()
    final: tuple[str, ...] = ()

    def delay_s(self, failed_attempt: int, chance: float) -> float:
        """Seconds to wait after attempt `failed_attempt` (from 1); `chance` in [0, 1) drives the jitter."""
        if self.delays_s:
            base = self.delays_s[min(failed_attempt, len(self.delays_s)) - 1]
        else:
            # The exponent is bounded because a float overflows long before a run gives up.
            base = min(self.cap_s, self.first_s * self.factor ** min(failed_attempt - 1, 64))
        return base * (1 + self.jitter * (2 * chance - 1))


@takes_options
def Retry(  # noqa: N802 - reads as the value it makes
    attempts: int | None = None,
    *,
    first: Duration = 1,
    factor: float = 2.0,
    cap: Duration = "5m",
    jitter: float = 0.1,
    delays: Sequence[Duration] = (),
    final: Sequence[type[BaseException] | str] = (),
) -> RetryPolicy:
    """How often and when a failed attempt is tried again.

    `attempts` counts the first one; it defaults to one more than `delays` has entries, else to 3. Errors
    listed in `final`, by class or by name, are not tried again.
    """
    tries = attempts if attempts is not None else (len(delays) + 1 if delays else 3)
    if not 1 <= tries <= MAX_ATTEMPTS:
        raise BadDefinition(f"Retry(attempts={tries}): give a number from 1 to {MAX_ATTEMPTS}")
    if not 0 <= jitter <= 1:
        raise BadDefinition(f"Retry(jitter={jitter}): give a share from 0 to 1")
    if factor < 1:
        raise BadDefinition(f"Retry(factor={factor}): delays must not shrink; give 1 or more")
    names = tuple(error if isinstance(error, str) else error.__qualname__ for error in final)
    return RetryPolicy(
        tries, seconds(first), factor, seconds(cap), jitter, tuple(seconds(delay) for delay in delays), names
    )


def checked_priority(priority: int) -> int:
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise BadDefinition(f"priority={priority}: give a number from -{MAX_PRIORITY} to {MAX_PRIORITY}")
    return priority


def checked_slots(slots: int) -> int:
    if not 1 <= slots <= MAX_TASK_SLOTS:
        raise BadDefinition(f"slots={slots}: give a number from 1 to {MAX_TASK_SLOTS}")
    return slots


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Sorted and each once. A queue's name is checked as a label is."""
    if isinstance(labels, str):
        raise BadDefinition(f"labels={labels!r}: give a list of labels, as in labels=[{labels!r}]")
    if len(labels) > MAX_LABELS:
        raise BadDefinition(f"{len(labels)} labels: at most {MAX_LABELS} will do")
    return tuple(sorted({checked_label(label) for label in labels}))


def checked_label(label: str) -> str:
    if not 0 < len(label) <= MAX_LABEL_CHARS or not label.isprintable():
        raise BadDefinition(
            f"{label[:40]!r} is no name for a label or queue: 1 to {MAX_LABEL_CHARS} printable characters"
        )
    return label


Isolation = Literal["", "process"]

UnknownSubmit = Literal["fail", "resubmit", "hold"]
"""What becomes of a job whose submit may or may not have reached the outside system, where `find` cannot tell."""


class JobOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is particular to a task whose work happens in an outside system; journalled with the call.

    `poll`, `cancel` and `find` say whether there are such methods. Polls come every `every_s`, growing by `factor` to
    `cap_s`, and `poll_errors` in a row that fail are a failure of the attempt. One call of any of the methods may take
    `call_timeout_s`.
    """

    poll: bool = True
    cancel: bool = True
    find: bool = False
    every_s: float = 10.0
    factor: float = 1.0
    cap_s: float = 60.0
    poll_errors: int = 10
    call_timeout_s: float = 60.0
    unknown: UnknownSubmit = "fail"


class TaskOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything the runtime must know to run one call of a task; journalled with the call.

    `timeout_s` bounds one attempt from start to finish, `deadline_s` all attempts and delays together,
    `heartbeat_s` the silence of an attempt that has called `heartbeat()` or must, `queue_timeout_s` how long an attempt
    may wait for somebody to begin with it. None means unbounded.
    `version` takes part in the decision whether a retried run may reuse a finished task.

    It waits in `queue`, the more urgently the higher its `priority`, for a worker that takes from this queue,
    has all of its `labels` and has `slots` slots free.
    """

    retry: RetryPolicy = RetryPolicy()
    timeout_s: float | None = None
    deadline_s: float | None = None
    heartbeat_s: float | None = None
    optional: bool = False
    isolate: Isolation = ""
    memory_mb: int | None = None
    version: str = ""
    queue: str = "default"
    priority: int = 0
    slots: int = 1
    labels: tuple[str, ...] = ()
    queue_timeout_s: float | None = None
    job: JobOptions | None = None
