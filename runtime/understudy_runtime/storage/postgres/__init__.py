"""The store of a cluster: a PostgreSQL database that many nodes share.

The `shard` rows are authoritative. Each says who may write one part of the actors (term, incarnation) and how far its
log has come (head, commits); every commit compares and advances them in the same statement that writes (`statements`,
`committer`), and whoever wants a shard raises its term (`claims`). What follows from that:

* a node that lost a shard, knowing or not, cannot write to it, while its other shards go on;
* a commit whose answer was lost is sent again, and takes effect once;
* any node may read anything, at any time (`reader`).

A server that restarts, fails over or has no connection to spare costs time, up to a bound; nothing is acknowledged that
is not durable, which is as durable as the server is told to be: `synchronous_commit` and the like are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy_runtime.storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]


def __getattr__(name: str) -> Any:
    # The driver takes as long to load as all the rest of a short command, which mostly has no use for it.
    if name == "PostgresStore":
        from understudy_runtime.storage.postgres.store import PostgresStore

        return PostgresStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
