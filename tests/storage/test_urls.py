"""A store is named by one string."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.errors import BadRequest
from understudy_runtime.storage.memory import MemoryStore
from understudy_runtime.storage.postgres import PostgresStore
from understudy_runtime.storage.postgres.address import parse
from understudy_runtime.storage.sqlite import SqliteStore
from understudy_runtime.storage.urls import file_of, open_url


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///state.db", "state.db"),
        ("sqlite:///runs/state.db", "runs/state.db"),
        ("sqlite:////var/lib/state.db", "/var/lib/state.db"),
        ("runs/state.db", "runs/state.db"),
        ("/var/lib/state.db", "/var/lib/state.db"),
        ("./odd name?#%.db", "odd name?#%.db"),
        ("sqlite:///~/state.db", str(Path.home() / "state.db")),
    ],
)
def test_a_url_or_a_path_names_a_file(url: str, path: str) -> None:
    assert file_of(url) == Path(path)
    store = open_url(url)
    assert isinstance(store, SqliteStore)
    assert store.path == Path(path).resolve()


def test_memory_is_a_store_of_its_own() -> None:
    assert isinstance(open_url("memory://"), MemoryStore)


@pytest.mark.parametrize(
    "url",
    ["", "sqlite://state.db", "sqlite:///", "sqlite:state.db", ":memory:", "mysql://host/db", "a\0b"],
)
def test_anything_else_is_refused_with_what_would_do(url: str) -> None:
    with pytest.raises(BadRequest, match=r"not a store URL: .* use sqlite:///"):
        open_url(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann@db.example:5433/shop", "postgresql://ann@db.example:5433/shop"),
        ("postgres://ann:s3cret@a,b:5433/shop?sslmode=require", "postgresql://ann@a,b:5433/shop"),
        ("postgresql://ann:s3cr%40t@[::1]:5432/shop?password=s3cret", "postgresql://ann@[::1]:5432/shop"),
        ("postgresql:///shop?host=/run/postgresql", "postgresql:///shop"),
    ],
)
def test_a_database_is_shown_without_its_password(url: str, shown: str) -> None:
    assert isinstance(open_url(url), PostgresStore)
    assert parse(url).shown == shown
    with pytest.raises(BadRequest) as refused:
        file_of(url)
    assert "s3cr" not in str(refused.value)


def test_what_is_ours_in_a_databases_url_is_not_told_to_the_driver() -> None:
    address = parse("postgresql://ann@db/shop?schema=flows&shards=8&pooler=1&sslmode=require")
    assert (address.schema, address.shards, address.pooler) == ("flows", 8, True)
    assert address.dsn == "postgresql://ann@db/shop?sslmode=require"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://ann:s3cret@db:port/shop", "the port of 'db:port' is no number"),
        ("postgresql://ann:s3cret@db:99999/shop", "is no number from 1 to 65535"),
        ("postgresql://ann:s3cret@db/shop?schema=Robert'); DROP", "schema must be"),
        ("postgresql://ann:s3cret@db/shop?shards=0", "shards must be"),
        ("postgresql://ann:s3cret@db/shop?pooler=s3cret", "pooler must be"),
        ("postgresql:///shop", "it names no host"),
        ("postgresql://ann:s3cret@[::1/shop", "use postgresql://"),
        ("postgresql+asyncpg://ann:s3cret@db/shop", "not a store URL"),
    ],
)
def test_a_databases_url_that_is_wrong_is_refused_without_its_password(url: str, why: str) -> None:
    with pytest.raises(BadRequest, match="not a store URL") as refused:
        open_url(url)
    assert why in str(refused.value)
    assert "s3cr" not in str(refused.value)
