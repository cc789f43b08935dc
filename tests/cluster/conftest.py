from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.servers import EtcdServer


@pytest.fixture(autouse=True)
def on_one_loop(one_loop: None) -> None:
    """Most of these tests use grpc.aio."""


@pytest.fixture(scope="session")
def shared_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One for all tests that leave it running; each uses a cluster of its own in it."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    """One to do harm to."""
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    yield server
    server.stop()
