"""Which node should run which shard: one pure decision that every node computes alike.

Nobody is told what to do by it. A node claims the orphans that the plan gives it, and hands over, one after the other,
those of its own shards that the plan gives to somebody else; what it may write is decided by the store alone. So two
nodes that see different members for a moment can disagree without harm, and agree again once they see the same: a
plan that has been carried out is its own plan.

    balance     each node gets as many shards as any other, or one more
    moves       no plan that is balanced moves fewer
    spread      which shards move, and where to, goes by rendezvous hashing, so that two nodes that join do not want the
                same ones
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from xxhash import xxh64_intdigest

Owners = Mapping[int, str | None]
"""Of each shard, the node that runs it; None: nobody."""


def plan(nodes: Collection[str], owners: Owners) -> dict[int, str]:
    """The node for each shard. `nodes` are those that may run some; an owner that is not one of them loses its own.

    Empty if there are no nodes.
    """
    if not nodes:
        return {}
    held: dict[str, list[int]] = {node: [] for node in sorted(nodes)}
    free: list[int] = []
    for shard in sorted(owners):
        held.get(owners[shard] or "", free).append(shard)
    quota = _quotas(held, len(owners))
    for node, shards in held.items():
        shards.sort(key=lambda shard: _score(node, shard), reverse=True)
        free += shards[quota[node] :]
        del shards[quota[node] :]
    for shard in sorted(free):
        wanting = [node for node, shards in held.items() if len(shards) < quota[node]]
        held[max(wanting, key=lambda node: _score(node, shard))].append(shard)
    return {shard: node for node, shards in held.items() for shard in shards}


def _quotas(held: Mapping[str, Collection[int]], count: int) -> dict[str, int]:
    """How many shards each node is to have. The odd ones go to those that have the most, so that fewer move."""
    each, odd = divmod(count, len(held))
    by_load = sorted(held, key=lambda node: (-len(held[node]), node))
    return {node: each + (place < odd) for place, node in enumerate(by_load)}


def _score(node: str, shard: int) -> int:
    return xxh64_intdigest(f"{node}:{shard}".encode())
