"""`kill -9` at any instant: jobs in an outside system are adopted, never submitted twice, and ended when their run is.

A real process and a real executor against books in files that outlive them. What is deliberately not tested here: a
process that is only paused, and submits when another one has long taken over.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actors.sharing import wrong_leases
from tests.recovery import jobs_victim as victim
from tests.recovery.killing import kill_and_finish
from understudy_runtime.actors.journal import decode
from understudy_runtime.core.keys import run_key
from understudy_runtime.core.records import Turn
from understudy_runtime.core.records.jobs import JobSubmitted
from understudy_runtime.storage.reading import open_reader

KINDS = {"found": victim.RUNS, "blind": victim.RUNS, "late": victim.RUNS, "endless": victim.ENDLESS}


class Books:
    """What the outside system has seen, and what the journal says of it."""

    def __init__(self, folder: Path) -> None:
        def lines(file: str) -> list[Any]:
            return [json.loads(line) for line in (folder / file).read_text().splitlines()]

        self.submitted: list[tuple[str, str, float]] = lines("submitted")
        self.polled: list[tuple[str, float]] = lines("polled")
        self.cancelled: list[tuple[str, float]] = lines("cancelled")
        self.entered: list[tuple[int, str, str, float]] = lines("entered")
        self.results: list[Any] = lines("results")[-1]
        self.known_at = {handle: at for at, record in recorded(folder) for handle in [json.loads(bytes(record.handle))]}


def recorded(folder: Path) -> Iterator[tuple[float, JobSubmitted]]:
    with open_reader(folder / "state.db") as reader:
        for kind, count in KINDS.items():
            for number in range(count):
                turns: list[Turn] = [decode(row, {}) for row in reader.turns(run_key("default", f"{kind} {number}"))]
                for turn in turns:
                    yield from ((turn.at, record) for record in turn.records if isinstance(record, JobSubmitted))


def locks(folder: Path) -> dict[str, list[Turn]]:
    names = ["ledger", *(f"endless {number}" for number in range(victim.ENDLESS))]
    with open_reader(folder / "state.db") as reader:
        keys = [f"default/lock/{name}" for name in names]
        return {key: [decode(row, {}) for row in reader.turns(key)] for key in keys}


def test_killed_at_a_few_points(tmp_path: Path) -> None:
    kill_and_check(tmp_path, kills=5, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_many_points(tmp_path: Path, seed: int) -> None:
    kill_and_check(tmp_path, kills=25, seed=seed)


def kill_and_check(folder: Path, kills: int, seed: int) -> None:
    kill_and_finish(victim, folder, kills=kills, seed=seed, within_s=0.6)
    books = Books(folder)
    check_results(books)
    check_jobs(books)
    check_ends(books)
    check_fences(books)
    assert wrong_leases(locks(folder)) == []


def check_results(books: Books) -> None:
    for number in range(victim.RUNS):
        found, blind, late = books.results[3 * number : 3 * number + 3]
        assert found == [f"{number} a", f"{number} b", f"{number} c"]
        assert late == f"{number} late"
        assert blind in (f"{number} blind", "JobLost")


def check_jobs(books: Books) -> None:
    submits = Counter(key for key, _, _ in books.submitted)
    assert set(submits.values()) == {1}, "recovery submits nothing again"
    handles = {handle for _, handle, _ in books.submitted}
    assert books.known_at.keys() <= handles
    for handle, at in books.polled:
        assert books.known_at[handle] <= at, "the handle is durable before the first poll"
    lost = {handle for handle in handles - books.known_at.keys() if " endless/" not in handle}
    assert all(" blind/" in handle for handle in lost), "what can be found is adopted"
    assert len(lost) <= books.results.count("JobLost"), "what cannot is said to be lost"


def check_ends(books: Books) -> None:
    """Those whose run was ended, or that took too long, are cancelled; no other is."""
    cancelled = {handle for handle, _ in books.cancelled}
    for key, handle, _ in books.submitted:
        first_late = " late/" in handle and key.endswith(":1")
        assert (handle in cancelled) == (first_late or " endless/" in handle), handle
    cancelled_at: dict[str, float] = {}
    for handle, at in books.cancelled:
        cancelled_at.setdefault(handle.split("/")[0], at)
    for key, handle, at in books.submitted:
        if " late/" in handle and key.endswith(":2"):
            assert cancelled_at[handle.split("/")[0]] <= at, "a retry ends the old job first"


def check_fences(books: Books) -> None:
    """In the order in which they were really used, fences never fall, and one is out before the next is in."""
    fences = [fence for fence, *_ in books.entered]
    assert fences == sorted(fences)
    used_by: dict[int, str] = {}
    for fence, name, _, _ in books.entered:
        assert used_by.setdefault(fence, name) == name, "a fence is one holder's"
    assert len(used_by) == victim.RUNS
    last = {(fence, way): at for fence, _, way, at in books.entered}
    assert all((fence, "out") in last for fence in used_by), "whatever was cut short was done again"
