"""When a resource has something to do by itself. Only looks: at the life, the options, and the lines of operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from understudy.resourcing import OperationOptions, ResourceOptions
from understudy_runtime.core.resource.state import Life, Line

SWEEP_EVERY_S: Final = 60.0
"""How often to look for what may have come into being late, where the type does not say."""


def next_duty(life: Life, options: ResourceOptions, lines: Mapping[str, Line]) -> float | None:
    """The earliest of all that goes by time, but for waits and leases; 0.0 is at once, None is never."""
    times = [intent.retry_at for intent in life.intents.values()]
    times += [idle_at(life, options), too_old_at(life, options), creation_ends_at(life, options)]
    times.append(sweep_at(life, options))
    if life.operations > life.running:
        times += [starts_at(line, options.operations.get(name)) for name, line in lines.items()]
    return min((at for at in times if at is not None), default=None)


def idle_at(life: Life, options: ResourceOptions) -> float | None:
    """When it has been of no use for so long that it ends.

    The answer depends on leases and waiters (`idle_since`), which change only in turns of this actor, as does what
    becomes of it: so no request can come between the look and the end.
    """
    if options.idle_timeout_s is None or life.idle_since is None or life.intents or "create" not in options.driver:
        return None
    return life.idle_since + options.idle_timeout_s


def too_old_at(life: Life, options: ResourceOptions) -> float | None:
    if options.max_age_s is None or life.state != "ready" or life.intents or "create" not in options.driver:
        return None
    return life.ready_since + options.max_age_s


def creation_ends_at(life: Life, options: ResourceOptions) -> float | None:
    """The executor bounds `create` itself; this is for what was created and does not become healthy."""
    if life.state != "creating" or life.handle is None:
        return None
    return life.creating_since + options.create_timeout_s


def sweep_at(life: Life, options: ResourceOptions) -> float | None:
    """When to ask what there is of this resource, so that what nobody uses can be ended."""
    if not {"create", "list", "destroy"} <= options.driver or life.intents or not sweepable(life):
        return None
    if life.sweep_wanted:
        return 0.0
    every = options.sweep_every_s or SWEEP_EVERY_S
    if life.state == "ready" and options.sweep_every_s is not None:
        return life.swept_at + every
    # What was asked for and not heard of again may still come to be, for as long as a creation can take.
    if life.late_at is not None and life.swept_at < life.late_at + options.create_timeout_s:
        return life.swept_at + every
    return None


def sweepable(life: Life) -> bool:
    """Nothing is being created or destroyed: whatever there is but the current one is nobody's."""
    return life.state in ("ready", "absent") or (life.state == "failed" and life.handle is None)


def starts_at(line: Line, options: OperationOptions | None) -> float | None:
    """When the first call that waits may begin; None: not by time, or nothing waits."""
    if not line.waiting:
        return None
    if options is None:
        return 0.0
    if options.concurrency is not None and line.running >= options.concurrency:
        return None
    return rate_allows_at(line, options)


def rate_allows_at(line: Line, options: OperationOptions) -> float:
    """When one more may begin, so that in no window of any length there begin more than its share of the rate and
    `burst` more.

    Each start takes up `1 / rate` seconds after those before it; at most `burst` starts may be taken up so in advance.
    """
    if not options.rate:
        return 0.0
    return _clear_at(line, options, options.rate) - (options.at_once - 1) / options.rate


def clear_after_start(line: Line, options: OperationOptions | None, now: float) -> float:
    """Until when the rate is taken up once one more has begun; 0.0 where there is no rate."""
    if options is None or not options.rate:
        return 0.0
    return max(now, _clear_at(line, options, options.rate)) + 1 / options.rate


def _clear_at(line: Line, options: OperationOptions, rate: float) -> float:
    """Bounded by what today's rate could have been taken up for, whatever rate an earlier release of the code had."""
    if not line.starts:
        return 0.0
    at_most = line.starts[-1] + options.at_once / rate
    return min(line.clear_at or at_most, at_most)
