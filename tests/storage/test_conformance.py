"""What every store promises, whatever it is made of. See `conftest.store` for the implementations."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.storage.conftest import Reopen
from tests.storage.writing import FOR_EVER, commit, message, row, rows_only, run, seqs, shard, turn
from understudy.errors import StoreError
from understudy_runtime.core.ports import Blob, CommitFailed, PartlyFailed, Store, TurnWrite

pytestmark = pytest.mark.anyio

A, B, C = run("a"), run("b"), run("c")


# --- the journal


async def test_committed_turns_are_read_back_in_order(store: Store) -> None:
    await commit(store, turn(A, 1, b'["one"]'), turn(B, 1), turn(A, 2, b'["two"]'))
    first, second = await store.turns(A, 0, 10)
    assert (first.key, first.seq, first.at, first.records) == (A, 1, 1001.0, b'["one"]')
    assert (second.seq, second.records) == (2, b'["two"]')


async def test_positions_have_no_gaps_across_commits_actors_and_terms(store: Store, reopen: Reopen) -> None:
    await commit(store, turn(A, 1), TurnWrite(C, 1, 1.0, row=row(C)), turn(B, 1))
    await commit(store, turn(A, 2))
    await store.close()
    await store.open("node-b", 2000.0)
    await commit(store, turn(B, 2))
    of_a, of_b = [[each.lsn for each in await store.turns(key, 0, 10)] for key in (A, B)]
    if shard(store, A) == shard(store, B):
        assert sorted([*of_a, *of_b]) == [1, 2, 3, 4]
    else:
        assert (of_a, of_b) == ([1, 2], [1, 2])


async def test_turns_are_paged_by_sequence_number(store: Store) -> None:
    await commit(store, *(turn(A, seq) for seq in range(1, 8)))
    page = await store.turns(A, after_seq=2, limit=3)
    assert [each.seq for each in page] == [3, 4, 5]
    assert await store.turns(A, after_seq=7, limit=3) == []


@pytest.mark.parametrize("count", [1, 63, 64, 65, 127, 512, 513, 1000, 2100])
async def test_a_batch_of_any_size_is_written_in_full(store: Store, count: int) -> None:
    await commit(store, *(turn(A, seq, b"[%d]" % seq) for seq in range(1, count + 1)))
    written = await store.turns(A, 0, count + 1)
    assert [(each.lsn, each.seq, each.records) for each in written] == [
        (seq, seq, b"[%d]" % seq) for seq in range(1, count + 1)
    ]


async def test_commits_are_made_and_told_in_the_order_they_were_handed_over(store: Store) -> None:
    told: list[int] = []
    all_told = asyncio.Event()

    def done(seq: int, error: BaseException | None) -> None:
        assert error is None
        told.append(seq)
        if seq == 50:
            all_told.set()

    for seq in range(1, 51):
        store.commit([turn(A, seq)], partial(done, seq))
    assert told == [], "done is never called from within commit"
    await all_told.wait()
    assert told == list(range(1, 51))
    assert await seqs(store, A) == told


async def test_an_empty_batch_is_durable_at_once(store: Store) -> None:
    await commit(store)


async def test_what_was_committed_is_there_after_a_restart(store: Store, reopen: Reopen) -> None:
    sent = message(B, A, 1, b"hello")
    await commit(
        store, TurnWrite(A, 1, 5.0, b"[1]", row=row(A), snapshot=b"state", blobs=[Blob("d", b"large")], sent=[sent])
    )
    await store.close()
    again = reopen()
    await again.open("node-b", 2000.0)
    a, b = await again.load([A, B])
    assert (a.row, a.snapshot, a.snapshot_seq) == (row(A), b"state", 1)
    assert list(b.inbox) == [sent]
    assert await again.blobs(A, ["d"]) == {"d": b"large"}
    assert await seqs(again, A) == [1]
    await again.close()


async def test_notes_are_kept_beside_the_journal(store: Store, reopen: Reopen) -> None:
    assert await store.notes([0]) == {}
    await store.note({0: b"first"})
    await store.note({0: b"second"})
    assert await store.notes([0, 5]) == {0: b"second"}
    await store.close()
    again = reopen()
    await again.open("node-b", 2000.0)
    assert await again.notes([0]) == {0: b"second"}
    await again.note({0: b""})
    assert await again.notes([0]) == {}
    await again.close()


# --- all or nothing


async def test_a_turn_that_exists_fails_its_whole_batch_or_its_actor_and_nothing_else(store: Store) -> None:
    await commit(store, turn(A, 1, b"[1]"))
    with pytest.raises(CommitFailed) as failed:
        await commit(
            store, TurnWrite(B, 1, 1.0, b"[2]", row=row(B), sent=[message(C, B, 1)], blobs=[Blob("d", b"")]),
            turn(A, 1, b"[3]"),
        )  # fmt: skip
    b, c = await store.load([B, C])
    of_b = (b.row, [each.records for each in b.turns], list(c.inbox), await store.blobs(B, ["d"]))
    if isinstance(failed.value, PartlyFailed):
        assert failed.value.rejected.keys() == {A}
        assert not failed.value.fenced
        assert of_b == (row(B), [b"[2]"], [message(C, B, 1)], {"d": b""})
    else:
        assert of_b == (None, [], [], {})
    await commit(store, turn(A, 2))
    assert [each.records for each in await store.turns(A, 0, 10)] == [b"[1]", b"[]"]
    assert [each.lsn for each in await store.turns(A, 0, 10)] == [1, 2], "the failed batch took no positions"


async def test_a_message_sent_twice_fails_its_batch(store: Store) -> None:
    await commit(store, TurnWrite(A, 1, 1.0, b"[]", sent=[message(B, A, 1)]))
    with pytest.raises(CommitFailed):
        await commit(store, TurnWrite(A, 2, 1.0, b"[]", sent=[message(B, A, 1)]))
    assert await seqs(store, A) == [1]


async def test_a_snapshot_needs_a_row(store: Store) -> None:
    with pytest.raises(CommitFailed, match="no row"):
        await commit(store, TurnWrite(A, 1, 1.0, b"[]", snapshot=b"state"))
    assert await seqs(store, A) == []


# --- rows and snapshots


async def test_a_row_is_made_then_changed_but_keeps_when_it_was_created(store: Store) -> None:
    await commit(store, *rows_only(row(A, created_at=1.0)))
    after = row(A, status="succeeded", definition="refund", created_at=9.0, closed_at=9.5, parked_until=FOR_EVER)
    await commit(store, *rows_only(after))
    [loaded] = await store.load([A])
    assert loaded.row is not None
    assert loaded.row.created_at == 1.0
    assert (loaded.row.status, loaded.row.definition, loaded.row.updated_at) == ("succeeded", "refund", 10.0)
    assert (loaded.row.closed_at, loaded.row.parked_until) == (9.5, FOR_EVER)


async def test_the_last_row_and_snapshot_of_a_batch_win(store: Store) -> None:
    await commit(
        store,
        TurnWrite(A, 1, 1.0, b"[]", row=row(A, created_at=1.0), snapshot=b"first"),
        TurnWrite(A, 2, 2.0, b"[]", row=row(A, created_at=2.0, status="held"), snapshot=b"second"),
        turn(A, 3),
    )
    [loaded] = await store.load([A])
    assert loaded.row is not None
    assert (loaded.row.status, loaded.row.created_at) == ("held", 1.0)
    assert (loaded.snapshot, loaded.snapshot_seq, [each.seq for each in loaded.turns]) == (b"second", 2, [3])


async def test_a_change_of_the_row_keeps_the_snapshot(store: Store) -> None:
    await commit(store, TurnWrite(A, 4, 1.0, row=row(A), snapshot=b"state"))
    await commit(store, *rows_only(row(A, status="held")))
    [loaded] = await store.load([A])
    assert (loaded.snapshot, loaded.snapshot_seq) == (b"state", 4)


async def test_a_snapshot_alone_keeps_the_row(store: Store) -> None:
    await commit(store, *rows_only(row(A)))
    await commit(store, TurnWrite(A, 7, 1.0, snapshot=b"state"))
    [loaded] = await store.load([A])
    assert (loaded.row, loaded.snapshot, loaded.snapshot_seq) == (row(A), b"state", 7)


@pytest.mark.parametrize("count", [3, 600])
async def test_load_answers_for_many_actors_in_the_order_asked_for(store: Store, count: int) -> None:
    keys = [run(f"{n:04}") for n in range(count)]
    await commit(
        store,
        *(TurnWrite(key, 1, 1.0, b"[1]", row=row(key)) for key in keys),
        *(TurnWrite(key, 2, 2.0, b"[2]", snapshot=b"s") for key in keys[::3]),
        *(turn(key, 3, b"[3]") for key in keys),
    )
    asked = [*reversed(keys), run("unknown")]
    loaded = await store.load(asked)
    assert [each.key for each in loaded] == asked
    by_key = {each.key: each for each in loaded}
    assert [each.seq for each in by_key[keys[0]].turns] == [3]
    assert [each.seq for each in by_key[keys[1]].turns] == [1, 3]
    assert (loaded[-1].row, loaded[-1].snapshot, loaded[-1].snapshot_seq, loaded[-1].turns) == (None, None, 0, [])


async def test_load_of_nothing_is_nothing(store: Store) -> None:
    assert await store.load([]) == []


# --- the inbox


async def test_messages_are_first_in_first_out_per_sender(store: Store) -> None:
    await commit(store, TurnWrite(A, 1, 1.0, b"[]", sent=[message(C, A, 1), message(C, A, 2), message(B, A, 3)]))
    await commit(store, TurnWrite(B, 1, 1.0, b"[]", sent=[message(C, B, 1)]))
    await commit(store, TurnWrite(A, 2, 1.0, b"[]", sent=[message(C, A, seq) for seq in range(4, 13)]))
    [loaded] = await store.load([C])
    assert [each.sender_seq for each in loaded.inbox if each.sender == A] == [1, 2, *range(4, 13)]
    assert [each.sender_seq for each in loaded.inbox if each.sender == B] == [1]


async def test_a_consumed_message_is_gone_with_the_turn_that_took_it_in(store: Store) -> None:
    await commit(store, TurnWrite(A, 1, 1.0, b"[]", sent=[message(C, A, seq, b"%d" % seq) for seq in range(1, 4)]))
    await commit(store, TurnWrite(C, 1, 1.0, b"[]", consumed=[(A, 1), (A, 2)]))
    [loaded] = await store.load([C])
    assert [(each.sender_seq, each.body) for each in loaded.inbox] == [(3, b"3")]


async def test_only_the_receiver_consumes(store: Store) -> None:
    await commit(store, TurnWrite(A, 1, 1.0, b"[]", sent=[message(C, A, 1)]))
    await commit(store, TurnWrite(B, 1, 1.0, b"[]", consumed=[(A, 1)]))
    [loaded] = await store.load([C])
    assert len(loaded.inbox) == 1


async def test_a_batch_may_send_and_consume_for_many_actors(store: Store) -> None:
    keys = [run(f"{n:03}") for n in range(300)]
    await commit(
        store, *(TurnWrite(A, seq, 1.0, b"[]", sent=[message(key, A, seq)]) for seq, key in enumerate(keys, 1))
    )
    await commit(store, *(TurnWrite(key, 1, 1.0, b"[]", consumed=[(A, seq)]) for seq, key in enumerate(keys[:299], 1)))
    assert [key for key, _ in await store.wakeful(0.0)] == [keys[299]]


# --- blobs


async def test_blobs_belong_to_their_actor_and_the_first_write_stands(store: Store) -> None:
    await commit(store, TurnWrite(A, 1, 1.0, b"[]", blobs=[Blob("x", b"ax"), Blob("y", b"ay"), Blob("x", b"ax")]))
    await commit(
        store, TurnWrite(B, 1, 1.0, b"[]", blobs=[Blob("x", b"bx")]), TurnWrite(A, 2, 1.0, blobs=[Blob("x", b"ax")])
    )
    assert await store.blobs(A, ["x", "y", "z"]) == {"x": b"ax", "y": b"ay"}
    assert await store.blobs(B, ["x", "y"]) == {"x": b"bx"}


async def test_large_values_come_back_whole(store: Store) -> None:
    body = bytes(range(256)) * 40_000
    await commit(store, TurnWrite(A, 1, 1.0, body, row=row(A), snapshot=body, blobs=[Blob("x", body)]))
    [loaded] = await store.load([A])
    assert (loaded.snapshot, (await store.turns(A, 0, 1))[0].records) == (body, body)
    assert (await store.blobs(A, ["x"]))["x"] == body


# --- what to wake, what to show


async def test_wakeful_are_the_due_the_unparked_and_those_with_messages(store: Store) -> None:
    await commit(
        store,
        *rows_only(
            row(run("unparked"), parked_until=None),
            row(run("due"), parked_until=10.0),
            row(run("later"), parked_until=10.1),
            row(run("closed"), parked_until=FOR_EVER),
            row(run("told"), parked_until=FOR_EVER),
        ),
        TurnWrite(
            A, 1, 1.0, b"[]", sent=[message(run("told"), A, 1), message(run("told"), A, 2), message(run("new"), A, 3)]
        ),
    )
    assert sorted(await store.wakeful(10.0)) == [
        (run("due"), 10.0), (run("new"), None), (run("told"), None), (run("unparked"), None),
    ]  # fmt: skip
    assert run("closed") not in dict(await store.wakeful(FOR_EVER))


async def test_parking_again_moves_the_wake(store: Store) -> None:
    await commit(store, *rows_only(row(A)))
    await commit(store, *rows_only(row(A, parked_until=50.0)))
    assert await store.wakeful(49.0) == []
    assert await store.wakeful(50.0) == [(A, 50.0)]
    await commit(store, *rows_only(row(A, parked_until=FOR_EVER)))
    assert await store.wakeful(1e12) == []


async def test_rows_are_listed_newest_first_and_filtered(store: Store) -> None:
    counter = "shop/actor.Counter/x"
    await commit(
        store,
        *rows_only(
            row(A, created_at=1.0), row(B, created_at=3.0, status="failed"),
            row(C, created_at=2.0, definition="refund"),
            row(counter, created_at=4.0, definition="Counter"), row(run("d", "other"), created_at=9.0),
        ),
    )  # fmt: skip

    async def keys(**filters: str) -> list[str]:
        return [each.key for each in await store.rows(namespace="shop", **filters)]  # type: ignore[arg-type]

    assert await keys() == [counter, B, C, A]
    assert await keys(kind="run") == [B, C, A]
    assert await keys(status="failed") == [B]
    assert await keys(kind="run", definition="checkout", status="running") == [A]
    assert [each.key for each in await store.rows(namespace="shop", kind="run", limit=2)] == [B, C]
    assert await store.rows(namespace="nobody") == []


async def test_rows_created_together_have_one_order(store: Store) -> None:
    await commit(store, *rows_only(row(B), row(C), row(A)))
    assert [each.key for each in await store.rows(namespace="shop")] == [C, B, A]


async def test_a_list_of_rows_goes_on_after_the_last_one_seen(store: Store) -> None:
    await commit(store, *rows_only(row(A, created_at=1.0), row(B, created_at=2.0), row(C, created_at=2.0)))
    seen: list[str] = []
    before = None
    while page := await store.rows(namespace="shop", limit=1, before=before):
        seen.append(page[0].key)
        before = (page[0].created_at, page[0].key)
    assert seen == [C, B, A]


@pytest.mark.parametrize("name", ["it's", 'a "quoted" id', "zażółć", "日本語", "a/b/c", "%_*", "\\", "🙂", "x" * 512])
async def test_ids_are_taken_as_they_are(store: Store, name: str) -> None:
    key = run(name)
    await commit(
        store, TurnWrite(key, 1, 1.0, b"[]", row=row(key), blobs=[Blob("d", b"x")], sent=[message(key, key, 1)])
    )
    [loaded] = await store.load([key])
    assert (loaded.row, len(loaded.turns), len(loaded.inbox)) == (row(key), 1, 1)
    assert await store.blobs(key, ["d"]) == {"d": b"x"}


# --- open and closed


@pytest.mark.parametrize("reopen", ["memory", "sqlite", "postgres"], indirect=True)
async def test_a_store_has_one_writer(store: Store, reopen: Reopen) -> None:
    """Not so behind a pooler, where the last one to come is the writer: see tests/storage/test_pgbouncer.py."""
    with pytest.raises(StoreError, match="already open"):
        await reopen().open("node-b", 2000.0)
    await commit(store, turn(A, 1))


async def test_a_store_that_is_not_open_refuses_everything(reopen: Reopen) -> None:
    closed = reopen()
    with pytest.raises(CommitFailed, match="not open"):
        await commit(closed, turn(A, 1))
    with pytest.raises(StoreError, match="not open"):
        await closed.load([A])
    with pytest.raises(StoreError, match="not open"):
        await closed.wakeful(0.0)


async def test_closing_waits_for_what_was_handed_over(store: Store, reopen: Reopen) -> None:
    told: list[BaseException | None] = []
    for seq in range(1, 21):
        store.commit([turn(A, seq)], told.append)
    await store.close()
    await asyncio.sleep(0)
    assert told == [None] * 20
    again = reopen()
    await again.open("node-b", 2000.0)
    assert await seqs(again, A) == list(range(1, 21))
    await again.close()


async def test_closing_twice_is_closing_once(store: Store) -> None:
    await store.close()
    await store.close()


# --- what is deleted


def over(key: str, closed_at: float = 5.0, parked_until: float = FOR_EVER, created_at: float = 1.0) -> TurnWrite:
    """The first turn of a run that ends with it."""
    closed = row(key, status="succeeded", created_at=created_at, closed_at=closed_at, parked_until=parked_until)
    return TurnWrite(key, 1, closed_at, b"[]", row=closed)


async def test_runs_that_ended_by_then_and_are_at_rest_are_found_the_oldest_first(store: Store) -> None:
    told, telling, elsewhere, later, stopping = map(run, ("told", "telling", "elsewhere", "later", "stopping"))
    counter = "shop/actor.Counter/x"
    await commit(
        store,
        over(B, 5.0, created_at=3.0), over(A, 6.0, created_at=2.0), over(run("d", "other"), 4.0), over(later, 6.1),
        over(told), over(telling), over(stopping, parked_until=20.0), over(counter), *rows_only(row(C)),
        TurnWrite(telling, 2, 1.0, b"[]", sent=[message(elsewhere, telling, 1)]),
        TurnWrite(C, 1, 1.0, b"[]", sent=[message(told, C, 1)]),
    )  # fmt: skip
    assert await store.closed_runs(6.0, 10) == [run("d", "other"), A, B]
    assert await store.closed_runs(6.0, 1) == [run("d", "other")]
    assert await store.closed_runs(3.9, 10) == []


async def test_nothing_is_left_of_what_is_deleted_and_its_id_may_be_used_again(store: Store) -> None:
    write = over(A)
    write.snapshot, write.blobs = b"state", [Blob("d", b"large")]
    await commit(store, write, turn(A, 2), over(B), turn(B, 2))
    assert await store.delete([A, C], 10.0) == 1
    a, b = await store.load([A, B])
    assert (a.row, a.snapshot, a.snapshot_seq, list(a.turns), list(a.inbox)) == (None, None, 0, [], [])
    assert (await seqs(store, A), await store.blobs(A, ["d"])) == ([], {})
    assert (b.row is not None, await seqs(store, B)) == (True, [1, 2])
    assert await store.closed_runs(10.0, 10) == [B]
    await commit(store, TurnWrite(A, 1, 9.0, b"[9]", row=row(A)))
    [a] = await store.load([A])
    assert (a.row, [each.records for each in a.turns]) == (row(A), [b"[9]"])


async def test_only_what_ended_by_then_and_is_at_rest_is_deleted(store: Store) -> None:
    await commit(store, TurnWrite(A, 1, 1.0, b"[]", row=row(A)), over(B, parked_until=20.0), over(C, 10.1))
    assert await store.delete([A, B, C], 10.0) == 0
    assert [await seqs(store, key) for key in (A, B, C)] == [[1], [1], [1]]
    assert await store.delete([], 10.0) == 0


async def test_positions_go_on_where_they_were_when_the_last_of_them_are_deleted(store: Store, reopen: Reopen) -> None:
    await commit(store, over(A), turn(A, 2))
    assert await store.delete([A], 10.0) == 1
    await commit(store, turn(A, 1))
    await store.close()
    again = reopen()
    await again.open("node-b", 2000.0)
    assert await again.delete([A], 10.0) == 0
    await commit(again, turn(A, 2))
    assert [each.lsn for each in await again.turns(A, 0, 10)] == [3, 4]
    await again.close()


@pytest.mark.parametrize("snapshot_at", [0, 1_150, 1_200])
async def test_a_long_journal_is_deleted_in_pieces(store: Store, snapshot_at: int) -> None:
    await commit(store, over(A), *(turn(A, seq) for seq in range(2, 1_201)), turn(B, 1))
    if snapshot_at:
        await commit(store, TurnWrite(A, snapshot_at, 1.0, snapshot=b"state"))
    keys = [run(f"{n:03}") for n in range(45)]
    await commit(store, *(over(key) for key in keys))
    assert await store.delete([A, *keys], 10.0) == 46
    assert (await seqs(store, A), await seqs(store, B)) == ([], [1])


async def test_commits_go_on_while_runs_are_deleted(store: Store) -> None:
    keys = [run(f"{n:03}") for n in range(200)]
    await commit(store, *(over(key) for key in keys))
    deleting = asyncio.create_task(store.delete(keys, 10.0))
    for seq in range(1, 41):
        await commit(store, turn(B, seq))
    assert await deleting == 200
    assert await seqs(store, B) == list(range(1, 41))
