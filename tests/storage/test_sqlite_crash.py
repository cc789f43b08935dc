"""`kill -9` at any moment: what was acknowledged is there, and no batch is there by half."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.storage.committing_program import ACTORS, TOLD
from tests.storage.writing import commit, run, seqs, turn
from understudy_runtime.storage.reading import Reader, open_reader
from understudy_runtime.storage.sqlite import SqliteStore

KILLS = 5


def killed_after(path: Path, acks: int) -> int:
    """Run the program until it has acknowledged so many batches, kill it, and return the last it acknowledged."""
    program = Path(__file__).with_name("committing_program.py")
    with subprocess.Popen([sys.executable, program, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(acks)]
        process.kill()
        said += process.stdout.readlines()
    return int([line for line in said if line.endswith("\n")][-1])


def log_bytes(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def batches_in(reader: Reader) -> int:
    """The number of batches in the file, each of which is there in full."""
    turns = Counter(each.seq for key in ACTORS for each in reader.turns(key))
    batches = len(turns)
    assert turns == {n: len(ACTORS) for n in range(1, batches + 1)}
    assert [each.records[: len(b"%d:" % each.seq)] for each in reader.turns(ACTORS[-1])] == [
        b"%d:" % n for n in range(1, batches + 1)
    ]
    with_row = [n for n in range(1, batches + 1) if n % 3]
    [actor, told] = reader.load([ACTORS[0], TOLD])
    assert actor.row is not None
    assert (actor.row.execution, actor.snapshot_seq, actor.snapshot) == (
        with_row[-1],
        with_row[-1],
        b"%d" % with_row[-1],
    )
    assert [message.sender_seq for message in told.inbox] == with_row
    assert len(reader.blobs(ACTORS[0], [f"digest-{n}" for n in range(1, batches + 1)])) == len(with_row)
    return batches


def test_every_acknowledged_batch_survives_and_none_is_there_by_half(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(KILLS):
        acknowledged = killed_after(path, chance.randint(1, 40))
        with open_reader(path) as reader:
            batches = batches_in(reader)
        assert acknowledged <= batches <= acknowledged + 1, "at most the batch in flight may be there unacknowledged"


@pytest.mark.anyio
async def test_a_store_goes_on_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    killed_after(path, 5)
    assert log_bytes(path) > 0, "the log was left over"
    store = SqliteStore(path)
    await store.open("node-b", 2000.0)
    await commit(store, turn(run("new"), 1))
    lsns = [each.lsn for key in [*ACTORS, run("new")] for each in await store.turns(key, 0, 10_000)]
    assert sorted(lsns) == list(range(1, len(lsns) + 1))
    assert await seqs(store, run("new")) == [1]
    await store.close()
