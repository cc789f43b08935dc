"""etcd as the coordinator, through `etcd3gw`.

Of a node, etcd holds one key under one etcd lease (its session), and one key for each shard that it runs:

    /understudy/{cluster}/meta              {"shards": 256}; made by the first node, never changed
    /understudy/{cluster}/nodes/{node}      a Member, and the session it stands under
    /understudy/{cluster}/shards/{n}        an Owner; under the owner's session, or by hand-over under the next one's
    /understudy/{cluster}/drain/{node}      somebody wants the node rid of its shards

    thread understudy-session   renews the session every third of its time, while the node makes progress
    thread understudy-view      lists everything, then reads a watch until it ends; lists again every 30 s anyway
    thread understudy-etcd      the transactions, one at a time

What is known of the session counts from before a renewal was sent. When etcd is away, the view stays as it was
and the deadline passes: the node goes on with what it has and claims nothing. A session that was lost is replaced
by a new one as soon as etcd answers; then the shards that nobody took meanwhile are claimed again.
"""

from understudy_runtime.cluster.etcd.coordinator import EtcdCoordinator, EtcdOptions

__all__ = ["EtcdCoordinator", "EtcdOptions"]
