"""What the runtime must know of a type of resource: frozen data that the machine of resources goes by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from understudy.options import RetryPolicy

Health = Literal["starting", "healthy", "unhealthy", "gone"]
"""What `check` says: not yet to be used, fit for use, not fit for use, or no longer there."""


class OperationOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rules for one `@operation`: at most `rate` starts a second, `concurrency` at once.

    One that is `idempotent` is done again when its outcome is not known; of any other the caller is told so.
    """

    rate: float | None = None
    concurrency: int | None = None
    timeout_s: float | None = None
    idempotent: bool = False


class ResourceOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rules for one type of resource; times in seconds, None for never or unbounded.

    `driver` names the methods that the type has, of `create`, `find`, `check`, `destroy`, `list` and `scale`. A
    resource without `create` is static: it is there already, and never ended. `unhealthy_after` checks in a row that
    find it unfit (or fail) make it `failed`; then it is created anew "on_demand", or "never".
    """

    name: str
    driver: frozenset[str] = frozenset()
    capacity: int = 1
    idle_timeout_s: float | None = None
    max_age_s: float | None = None
    check_every_s: float | None = None
    unhealthy_after: int = 3
    create_timeout_s: float = 3600.0
    create_retry: RetryPolicy = RetryPolicy(attempts=3)
    destroy_timeout_s: float = 3600.0
    recreate: Literal["on_demand", "never"] = "on_demand"
    sweep_every_s: float | None = None
    operations: Mapping[str, OperationOptions] = {}
