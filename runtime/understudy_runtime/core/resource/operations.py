"""Operations: what users do with the resource through its actor, under a live lease, its rate and concurrency.

They are taken while the lease lives, whatever state the resource is in: one that drains waits for leases, and their
holders may bring to an end what they have begun.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
from msgspec import Raw

from understudy.options import TaskOptions
from understudy_runtime.core import deliveries as delivering
from understudy_runtime.core.kinds import NULL, Failure, MaybeRaw
from understudy_runtime.core.messages import AttemptEnded, Dispatch, Token
from understudy_runtime.core.records.resources import OperationOver, OperationStarted, OperationTaken
from understudy_runtime.core.resource import duties
from understudy_runtime.core.resource.messages import InvokeOperation
from understudy_runtime.core.resource.plan import Plan
from understudy_runtime.core.resource.state import MAX_OPERATIONS, Operation, holder_name

UNCERTAIN: Final = "OperationUncertain"


class _Arguments(msgspec.Struct):
    args: list[Raw] = []
    kwargs: dict[str, Raw] = {}


_decode_arguments: Final = msgspec.json.Decoder(_Arguments).decode


def invoke(plan: Plan, message: InvokeOperation, why_ended: str) -> None:
    """Take the operation in and start it if its rules allow. `why_ended` is for a lease that is not live."""
    holder = holder_name(message.holder)
    lease = plan.state.leases.get(holder)
    refused: Failure | None = None
    if lease is None or lease.fence != message.fence:
        refused = Failure("LeaseLost", why_ended, final=True)
    elif message.operation not in plan.options.operations:
        refused = Failure("UnknownName", f"{plan.options.name} has no operation {message.operation}", final=True)
    elif plan.life.operations >= MAX_OPERATIONS:
        refused = Failure("Overloaded", f"{MAX_OPERATIONS} operations of {plan.name} are under way; try again later")
    if refused is not None:
        plan.decision.send.append(delivering.answer_to(message.sender, None, refused))
        return
    call, name, sender = plan.number(), message.operation, message.sender
    started = not plan.line(name).waiting and _may_start(plan, name)
    key = message.idempotency_key or f"{plan.state.key}:1:{call}"
    clear_at = _clear_at(plan, name) if started else 0.0
    plan.note(OperationTaken(call, sender, holder, message.fence, name, message.args, key, started, clear_at))
    if started:
        taken = Operation(sender, holder, message.fence, name, plan.now, message.args, key, 1)
        plan.execute(_dispatch_of(plan, call, taken))


def start_those_that_may(plan: Plan) -> None:
    if plan.life.operations == plan.life.running:
        return
    for name in plan.state.lines:
        while (line := plan.line(name)).waiting and _may_start(plan, name):
            _start(plan, line.waiting[0], 1)


def ended(plan: Plan, call: int, operation: Operation, message: AttemptEnded) -> None:
    """Answer the sender, unless nobody knows what became of it and it may be done again."""
    if message.failure is not None and message.failure.kind in ("lost", "returned"):
        _lost(plan, call, operation)
    else:
        _answer(plan, call, operation, message.result, message.failure)


def recovered(plan: Plan, under_way: Collection[Token]) -> None:
    """Those that had begun and are not under way any more went with the process that ran them."""
    for call, operation in plan.state.operations.items():
        if operation.dispatch and _token(plan, call, operation.dispatch) not in under_way:
            _lost(plan, call, operation)


def lease_ended(plan: Plan, fence: int, why: str, *, stop: bool) -> None:
    """What has not begun never will. What runs is told to `stop`, or left to end by itself."""
    if not plan.life.operations:
        return
    for call, operation in plan.state.operations.items():
        if operation.fence != fence:
            continue
        if not operation.dispatch:
            failure = Failure("LeaseLost", f"the lease of {plan.name} with fence {fence} {why}", final=True)
            plan.note(OperationOver(call, operation.operation, failure.type, waited=True))
            plan.decision.send.append(delivering.answer_to(operation.sender, None, failure))
        elif stop:
            plan.decision.abandon.append(_token(plan, call, operation.dispatch))


def _may_start(plan: Plan, name: str) -> bool:
    line, options = plan.line(name), plan.options.operations.get(name)
    if options is None:
        return True  # the code has no such operation any more, and the executor will say so
    if options.concurrency is not None and line.running >= options.concurrency:
        return False
    return duties.rate_allows_at(line, options) <= plan.now


def _clear_at(plan: Plan, name: str) -> float:
    return duties.clear_after_start(plan.line(name), plan.options.operations.get(name), plan.now)


def _start(plan: Plan, call: int, dispatch: int) -> None:
    operation = msgspec.structs.replace(plan.state.operations[call], dispatch=dispatch)
    plan.note(OperationStarted(call, operation.operation, dispatch, _clear_at(plan, operation.operation)))
    plan.execute(_dispatch_of(plan, call, operation))


def _lost(plan: Plan, call: int, operation: Operation) -> None:
    options = plan.options.operations.get(operation.operation)
    if options is not None and options.idempotent:
        _start(plan, call, operation.dispatch + 1)
        return
    text = (
        f"{operation.operation} of {plan.name} was under way when its node was lost: it was done, or it was not. Look"
    )
    text += " at the outside system, or declare it idempotent=True if it can be done again"
    _answer(plan, call, operation, NULL, Failure(UNCERTAIN, text, final=True))


def _answer(plan: Plan, call: int, operation: Operation, result: Raw, failure: Failure | None) -> None:
    plan.note(OperationOver(call, operation.operation, "" if failure is None else failure.type or "error"))
    answer: MaybeRaw = result if failure is None else None
    plan.decision.send.append(delivering.answer_to(operation.sender, answer, failure))


def _dispatch_of(plan: Plan, call: int, operation: Operation) -> Dispatch:
    options = plan.options.operations.get(operation.operation)
    given = _decode_arguments(operation.args or b"{}")
    arguments = _Arguments(
        [plan.handle or NULL, *given.args], {**given.kwargs, "fence": Raw(str(operation.fence).encode())}
    )
    return Dispatch(
        _token(plan, call, operation.dispatch),
        f"{plan.options.name}.{operation.operation}",
        Raw(msgspec.json.encode(arguments)),
        TaskOptions(timeout_s=None if options is None else options.timeout_s),
        operation.idempotency_key,
        local=True,
    )


def _token(plan: Plan, call: int, dispatch: int) -> Token:
    return Token(plan.state.key, 1, call, 1, dispatch)
