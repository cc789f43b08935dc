"""Actor keys: `namespace/kind/id`, the address of every actor.

The kind of a run is `run`, that of a schedule `schedule`; that of a user-defined actor is `actor.` and the name of its
class, and that of a resource `resource.` and its type, so that no class can pass for either. Only the id may
contain slashes.
"""

from __future__ import annotations

from typing import Final

import xxhash

RUN: Final = "run"
SCHEDULE: Final = "schedule"
ACTOR_PREFIX: Final = "actor."
RESOURCE_PREFIX: Final = "resource."
LOCK: Final = "lock"
SEMAPHORE: Final = "semaphore"
CLIENT: Final = "client"
"""The kind of holders of leases that are no actors."""
MAX_ID_CHARS: Final = 512


def run_key(namespace: str, run_id: str) -> str:
    return f"{namespace}/{RUN}/{run_id}"


def schedule_key(namespace: str, schedule_id: str) -> str:
    return f"{namespace}/{SCHEDULE}/{schedule_id}"


def actor_key(namespace: str, actor: str, actor_id: str) -> str:
    return f"{namespace}/{ACTOR_PREFIX}{actor}/{actor_id}"


def kind_of(key: str) -> str:
    return key.split("/", 2)[1]


def id_of(key: str) -> str:
    return key.split("/", 2)[2]


def name_of(key: str) -> str:
    """What tells the actor from all others of its namespace: a run's id, or kind and id."""
    return id_of(key) if kind_of(key) == RUN else key.split("/", 1)[1]


def namespace_of(key: str) -> str:
    return key.split("/", 1)[0]


def shard_of(key: str, shards: int) -> int:
    """The shard that the actor is in, from 0, of so many. The same for ever, on every node."""
    return xxhash.xxh64_intdigest(key.encode(errors="surrogatepass")) % shards
