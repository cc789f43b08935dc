"""Which actor each call is for, and what makes it safe to repeat: what forwarding knows of requests.

Calls that are for no actor in particular (lists, histories, definitions, nodes) are in no table here: any node answers
them from the store, or for the whole cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf import duration_pb2

from understudy_runtime.core.completion import completed_attempt
from understudy_runtime.core.keys import run_key, schedule_key
from understudy_runtime.rpc import wire

NewId = Callable[[], str]


def _run(request: Any) -> str:
    return run_key(request.namespace, request.run_id)


def _started(request: Any) -> str:
    return run_key(request.namespace, request.run_id)


def _actor(request: Any) -> str:
    return f"{request.namespace}/{wire.address(request.address)}"


def _schedule(request: Any) -> str:
    return schedule_key(request.namespace, request.schedule_id)


def _resource(request: Any) -> str:
    return f"{request.namespace}/{request.address}"


KEY_OF: Final[Mapping[str, Callable[[Any], str]]] = {
    "start_run": _started,
    "start_and_wait": lambda request: _started(request.start),
    "get_run": _run,
    "wait_run": _run,
    "watch_run": _run,
    "cancel_run": _run,
    "terminate_run": _run,
    "release_run": _run,
    "retry_run": _run,
    "tell": _actor,
    "ask": _actor,
    "get_actor": _actor,
    "complete_job": lambda request: completed_attempt(request.token).key,
    "settle_job": _actor,
    "set_schedule": _schedule,
    "get_schedule": _schedule,
    "pause_schedule": _schedule,
    "resume_schedule": _schedule,
    "trigger_schedule": _schedule,
    "backfill_schedule": _schedule,
    "delete_schedule": _schedule,
    "acquire": _resource,
    "renew": _resource,
    "release": _resource,
    "get_resource": _resource,
    "operate_resource": _resource,
}
"""By the name of the method: the key of the actor that it is for. Of requests that are `ready`."""

ANYWHERE: Final = frozenset(
    {
        "list_runs",
        "list_turns",
        "list_actors",
        "list_jobs",
        "list_schedules",
        "list_resources",
        "list_resource_turns",
        "list_nodes",
        "list_shards",
        "drain_node",
        "list_definitions",
    }
)
"""All other methods: any node answers them."""

WAITS: Final = frozenset({"wait_run", "start_and_wait", "ask", "acquire"})
"""They may take as long as they like."""

_PATIENCE: Final[Mapping[str, str]] = {"wait_run": "timeout", "start_and_wait": "timeout", "acquire": "patience"}
"""The field that says how long a call may wait, of those that have one."""


def ready(method: str, request: Any, namespace: str, new_id: NewId) -> None:
    """Say in the request what was left to the node: the namespace, the run's id, and an idempotency key, so that it
    means the same wherever and however often it is carried out. BadInput if it names what cannot be."""
    asked = request.start if method == "start_and_wait" else request
    asked.namespace = wire.namespace(asked.namespace) or namespace
    repeatable = "idempotency_key" not in asked.DESCRIPTOR.fields_by_name or getattr(asked, "readonly", False)
    if not repeatable and not asked.idempotency_key:
        asked.idempotency_key = new_id()
    if method in ("start_run", "start_and_wait") and not asked.run_id:
        asked.run_id = wire.run_id(asked) or new_id()


def patience_s(method: str, request: Any) -> float | None:
    """How long it may wait, from now; None: for ever."""
    field = _PATIENCE.get(method)
    return wire.duration_s(getattr(request, field)) if field and request.HasField(field) else None


def set_patience(method: str, request: Any, left_s: float) -> None:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(int(max(0.0, left_s) * 1e9))
    getattr(request, _PATIENCE[method]).CopyFrom(duration)
