"""What the disk and SQLite give without us: the floor of every durable step, to compare the other figures with.

`fsync` appends a page and waits for the disk; `commit-N` is a SQLite transaction of N small rows. Latency is of
one of these.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.measure import Figures, figures
from benchmarks.place import Place

PAGE = b"x" * 4096
ROW = b"x" * 200
"""About a journal row of a chain's step."""


async def measure(place: Place, *, fsyncs: int = 2_000, rows: int = 20_000, batch: int = 100) -> list[Figures]:
    synced_ms = append_and_sync(place.folder / "raw", fsyncs)
    single_ms = commit(place.folder / "single.db", fsyncs, 1)
    grouped_ms = commit(place.folder / "grouped.db", rows // batch, batch)
    return [
        _figures("fsync", fsyncs, "fsyncs/s", synced_ms),
        _figures("commit-1", fsyncs, "rows/s", single_ms),
        _figures(f"commit-{batch}", rows, "rows/s", grouped_ms),
    ]


def append_and_sync(path: Path, count: int) -> list[float]:
    """What each of `count` appends of a page took until the disk had it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return [_timed_ms(lambda: _append(file)) for _ in range(count)]
    finally:
        os.close(file)


def _append(file: int) -> None:
    os.write(file, PAGE)
    os.fsync(file)


def commit(path: Path, count: int, batch: int) -> list[float]:
    """What each of `count` transactions of `batch` small rows took."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE journal (lsn INTEGER PRIMARY KEY, records BLOB)")
        insert = f"INSERT INTO journal (records) VALUES {', '.join(['(?)'] * batch)}"
        rows = [ROW] * batch
        return [_timed_ms(lambda: db.execute(insert, rows)) for _ in range(count)]


def _timed_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _figures(variant: str, done: int, unit: str, took_ms: list[float]) -> Figures:
    return figures(variant, done=done, unit=unit, seconds=sum(took_ms) / 1000, latencies_ms=took_ms, runs=0)
