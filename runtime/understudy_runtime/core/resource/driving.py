"""What is asked of the driver, and what its answers mean, the lost ones above all.

    create ──lost, failed──► find ──found──► adopted
                              ├──not found──► create again, under the same fence; given up ──► failed
                              └──raises──► find again, in growing pauses; after some of them uncertain, and still asked
    create ──lost, and there is no `find`──► uncertain: a person settles it
    destroy ──lost──► verify (`check`) ──gone──► destroyed
                       └──there still──► destroy again, which a driver must allow

Each intent is journalled by the turn whose release makes the call. After a crash the call may have been made or not,
may have had its effect or not, and may have it later still: that of a creation is found by the sweeps.
"""

from __future__ import annotations

from collections.abc import Collection
from math import ceil, log2
from typing import Any, Final
from zlib import crc32

import msgspec
from msgspec import Raw

from understudy.options import TaskOptions
from understudy_runtime.core.kinds import NULL, Failure, MaybeRaw
from understudy_runtime.core.messages import AttemptEnded, Dispatch, Token, Watch
from understudy_runtime.core.records.resources import (
    CapacitySet,
    CheckBegun,
    CheckEnded,
    IntentEnded,
    IntentFailed,
    IntentNoted,
    IntentRepeated,
    ResourceCreated,
    What,
)
from understudy_runtime.core.resource import duties, living
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.core.resource.state import Intent

CALL_TIMEOUT_S: Final = 60.0
"""For whatever only looks: `find`, `check` and `list`."""
CHECK_EVERY_S: Final = 15.0
"""How often to look at a resource that is being created, where the type does not say."""
STARTING_EVERY_S: Final = 0.5
"""How soon to look again at one that was found starting; twice as long each time, up to the type's own interval."""
NEVER: Final = 1_000_000_000
_METHODS: Final[dict[What, str]] = {"verify": "check", "stray": "destroy"}
_UNKNOWN: Final = ("lost", "returned", "timeout", "cancelled")
_AT_NO_COST: Final = ("lost", "returned")
LOST: Final = Failure("NodeLost", "the node was lost while the call was under way", kind="lost")


def ask(plan: Plan, what: What, fence: int = 0, attempt: int = 1, retry_at: float | None = None, **more: Any) -> None:
    """Note the intent, and make the call when that is durable (or at `retry_at`)."""
    call = plan.number()
    plan.note(IntentNoted(call, what, fence, attempt, retry_at, **more))
    if retry_at is None:
        plan.execute(_dispatch_of(plan, call))


def repeat(plan: Plan, call: int) -> None:
    """Make the call once more: nobody has heard of the last one."""
    intent = plan.life.intents[call]
    plan.note(IntentRepeated(call, intent.attempt, intent.dispatch + 1))
    plan.execute(_dispatch_of(plan, call))


def retry_those_due(plan: Plan) -> None:
    for call, intent in list(plan.life.intents.items()):
        if intent.retry_at is not None and intent.retry_at <= plan.now:
            attempt = intent.attempt if intent.what == "create" else intent.attempt + 1
            plan.note(IntentRepeated(call, attempt, intent.dispatch + 1))
            plan.execute(_dispatch_of(plan, call))


def recovered(plan: Plan, under_way: Collection[Token]) -> None:
    """All calls that are not under way went with the process that made them; only what they were to do may have been
    done.
    """
    for call, intent in list(plan.life.intents.items()):
        if intent.out and token_of(plan, call, intent) not in under_way:
            ended(plan, call, intent, NULL, LOST)
    if plan.life.checks:
        _watch(plan, plan.life.checks, plan.life.checks_known)


# --- answers


def ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    """The call has come to an end, or nobody knows to which."""
    _ENDED[intent.what](plan, call, intent, result, failure)


def _create_ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    if failure is None:
        plan.note(IntentEnded(call))
        plan.note(ResourceCreated(result))
        living.created(plan, "created")
        return
    plan.note(IntentEnded(call, failure, costs=failure.kind not in _AT_NO_COST))
    if plan.can("find"):
        ask(plan, "find", intent.fence)
    elif failure.kind in _UNKNOWN:
        living.uncertain(plan, failure)
    else:
        _create_again(plan)


def _find_ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    if failure is None:
        plan.note(IntentEnded(call))
        if bytes(result).strip() == b"null":
            _not_created(plan)
        else:
            plan.note(ResourceCreated(result, "found"))
            living.created(plan, "found by the driver")
    elif failure.kind in _AT_NO_COST:
        repeat(plan, call)
    else:  # whoever could tell is away, and is asked until it is back; a person may know before that
        if intent.attempt >= plan.options.create_retry.attempts and plan.life.state == "creating":
            living.uncertain(plan, failure)
        _retry_later(plan, call, intent, failure)


def _not_created(plan: Plan) -> None:
    if plan.life.state == "uncertain":
        cause = "found not created"
        if not plan.life.waiting:
            plan.move("absent", cause, plan.life.by)
            return
        plan.move("creating", cause, plan.life.by)
    _create_again(plan)


def _create_again(plan: Plan) -> None:
    """Nothing was created; whether to try again is a matter of what came before.

    Under the same fence, so that an outside system that takes idempotency tokens makes one of both, and `find` knows
    either.
    """
    life, policy = plan.life, plan.options.create_retry
    failure = life.failure or LOST
    is_final = life.tries and (failure.final or failure.type in policy.final)
    out_of_time = plan.now >= life.creating_since + plan.options.create_timeout_s
    if life.tries >= policy.attempts or is_final or out_of_time or life.doomed:
        living.give_up(plan, "it could not be created", failure)
        return
    retry_at = plan.now + policy.delay_s(life.tries, _chance(plan, life.attempt)) if life.tries else None
    ask(plan, "create", life.create_fence, life.attempt + 1, retry_at)


def create_again_now(plan: Plan) -> None:
    """A person says that nothing was created."""
    ask(plan, "create", plan.life.create_fence, plan.life.attempt + 1)


def _destroy_ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    if failure is None:
        plan.note(IntentEnded(call))
        living.destroyed(plan)
    elif failure.kind not in _UNKNOWN:
        _retry_later(plan, call, intent, failure)
    elif plan.can("check"):
        plan.note(IntentEnded(call, failure))
        ask(plan, "verify", intent.fence, intent.attempt)
    else:
        repeat(plan, call)


def _verify_ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    if failure is not None and failure.kind in _AT_NO_COST:
        repeat(plan, call)
        return
    plan.note(IntentEnded(call))
    if failure is None and _text(result) == "gone":
        living.destroyed(plan)
    else:
        ask(plan, "destroy", intent.fence, intent.attempt + 1)


def _scale_ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    if failure is None:
        plan.note(IntentEnded(call))
        plan.note(CapacitySet(intent.units, "scaled"))
    elif failure.kind in _AT_NO_COST:
        repeat(plan, call)
    elif intent.attempt < plan.options.create_retry.attempts:
        _retry_later(plan, call, intent, failure)
    else:
        plan.note(IntentEnded(call, failure))


def _list_ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    if failure is not None and failure.kind in _AT_NO_COST:
        repeat(plan, call)
        return
    plan.note(IntentEnded(call))
    # While it is listed nothing is created or destroyed, so that what is not current now was not current then.
    if failure is None and duties.sweepable(plan.life):
        current = None if plan.life.handle is None else _canonical(plan.life.handle)
        for handle in _handles(result):
            if _canonical(handle) != current:
                ask(plan, "stray", plan.next_fence, handle=handle)


def _stray_ended(plan: Plan, call: int, intent: Intent, result: Raw, failure: Failure | None) -> None:
    """One that could not be ended is found again by the next sweep."""
    if failure is not None and failure.kind in _AT_NO_COST:
        repeat(plan, call)
    else:
        plan.note(IntentEnded(call, failure))


_ENDED: Final = {
    "create": _create_ended,
    "find": _find_ended,
    "destroy": _destroy_ended,
    "verify": _verify_ended,
    "scale": _scale_ended,
    "list": _list_ended,
    "stray": _stray_ended,
}


def _retry_later(plan: Plan, call: int, intent: Intent, failure: Failure) -> None:
    delay_s = plan.options.create_retry.delay_s(intent.attempt, _chance(plan, call))
    plan.note(IntentFailed(call, failure, plan.now + delay_s))


def _chance(plan: Plan, number: int) -> float:
    """Jitter is a hash, so that deciding stays pure."""
    return crc32(f"{plan.state.key}:{number}:{plan.life.numbers}".encode()) / 2**32


# --- checks


def begin_checks(plan: Plan, known: str) -> None:
    call = plan.number()
    plan.note(CheckBegun(call, known))
    _watch(plan, call, known)


def stop_checks(plan: Plan) -> None:
    if plan.life.checks:
        plan.decision.abandon.append(Token(plan.state.key, 1, plan.life.checks, 1, 1))
        plan.note(CheckEnded(plan.life.checks))


def checks_ended(plan: Plan, message: AttemptEnded) -> None:
    """The checks have news: something else than what was known, or that they fail."""
    life, failure = plan.life, message.failure
    if failure is not None and failure.kind in _AT_NO_COST:
        _watch(plan, life.checks, life.checks_known)
        return
    news = _text(message.result) if failure is None else "failing"
    plan.note(CheckEnded(life.checks, "gone" if news == "gone" and not plan.static else news))
    living.news(plan, news, failure)


def _watch(plan: Plan, call: int, known: str) -> None:
    every_s, patience = plan.options.check_every_s or CHECK_EVERY_S, plan.options.unhealthy_after
    known_as = Raw(msgspec.json.encode(known))
    match known:
        case "starting":  # what was just created may be ready at once, or may not answer yet
            first_s = min(STARTING_EVERY_S, every_s)
            errors = patience + ceil(log2(every_s / first_s))
            watch = Watch(first_s, known_as, 1, errors, factor=2.0, cap_s=every_s, first_s=0.0)
        case "healthy":
            watch = Watch(every_s, known_as, patience, patience, cap_s=every_s)
        case _:
            watch = Watch(every_s, known_as, 1, NEVER, cap_s=every_s)
    plan.execute(
        Dispatch(
            Token(plan.state.key, 1, call, 1, 1),
            f"{plan.options.name}.check",
            _arguments([plan.handle]),
            TaskOptions(timeout_s=CALL_TIMEOUT_S),
            f"{plan.state.key}:check:{call}",
            watch=watch,
            local=True,
        )
    )


# --- calls


def _dispatch_of(plan: Plan, call: int) -> Dispatch:
    intent, options = plan.life.intents[call], plan.options
    args: list[MaybeRaw]
    fence: int | None = intent.fence
    timeout_s = CALL_TIMEOUT_S
    match intent.what:
        case "create":
            args, timeout_s = [plan.life.spec], options.create_timeout_s
        case "find":
            args = [plan.life.spec]
        case "destroy":
            args, timeout_s = [plan.life.handle], options.destroy_timeout_s
        case "stray":
            args, timeout_s = [intent.handle], options.destroy_timeout_s
        case "verify":
            args, fence = [plan.life.handle], None
        case "scale":
            args, fence, timeout_s = [plan.life.handle, Raw(b"%d" % intent.units)], None, options.create_timeout_s
        case "list":
            args, fence = [plan.life.spec], None
    key, what = plan.state.key, intent.what
    return Dispatch(
        token_of(plan, call, intent),
        f"{options.name}.{_METHODS.get(what, what)}",
        _arguments(args, fence),
        TaskOptions(timeout_s=timeout_s),
        f"{key}:{what}:{intent.fence}" if fence is not None else f"{key}:{what}:{call}",
        local=True,
    )


def token_of(plan: Plan, call: int, intent: Intent) -> Token:
    return Token(plan.state.key, 1, call, intent.attempt, intent.dispatch)


def _arguments(args: list[MaybeRaw], fence: int | None = None) -> Raw:
    kwargs = {} if fence is None else {"fence": fence}
    given = [NULL if each is None else each for each in args]
    return Raw(msgspec.json.encode({"args": given, "kwargs": kwargs}))


def _handles(result: Raw) -> list[Raw]:
    try:
        return msgspec.json.decode(result, type=list[Raw])
    except msgspec.MsgspecError:
        return []


def _canonical(value: Raw) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(value), order="deterministic")


def _text(result: Raw) -> str:
    try:
        return msgspec.json.decode(result, type=str)
    except msgspec.MsgspecError:
        return "unknown"
