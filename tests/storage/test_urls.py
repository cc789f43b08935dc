"""A store is named by one string."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.errors import BadRequest
from understudy_runtime.storage.memory import MemoryStore
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
    ["", "sqlite://state.db", "sqlite:///", "sqlite:state.db", ":memory:", "postgresql://host/db", "a\0b"],
)
def test_anything_else_is_refused_with_what_would_do(url: str) -> None:
    with pytest.raises(BadRequest, match=r"not a store URL: .* use sqlite:///"):
        open_url(url)
