"""From a node's configuration to its place in a cluster."""

from __future__ import annotations

from pathlib import Path

from understudy_runtime.core.membership import Coordinator
from understudy_runtime.node.config import NodeConfig
from understudy_runtime.node.seat import Alive, Clustering
from understudy_runtime.rpc.peer_access import PeerAccess


def clustering_of(config: NodeConfig) -> Clustering | None:
    """None if the node is to have its store for itself."""
    if not config.etcd:
        return None
    from understudy_runtime.cluster.etcd.coordinator import EtcdCoordinator, EtcdOptions
    from understudy_runtime.cluster.etcd.endpoints import Tls

    tls = Tls(config.etcd_ca or None, config.etcd_cert or None, config.etcd_key or None)

    def coordinator(alive: Alive, shards: int) -> Coordinator:
        return EtcdCoordinator(EtcdOptions(config.etcd_urls, config.cluster, tls, config.session_s, shards), alive)

    return Clustering(config.cluster, coordinator, _access(config))


def _access(config: NodeConfig) -> PeerAccess:
    return PeerAccess(
        ca=_path(config.peer_ca),
        cert=_path(config.tls_cert) if config.peer_ca else None,
        key=_path(config.tls_key) if config.peer_ca else None,
        token=_path(config.peer_token),
    )


def _path(name: str) -> Path | None:
    return Path(name) if name else None
