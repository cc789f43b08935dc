"""What nobody expects etcd to say, or to have stored, ends no thread of a node: it goes on once there is sense."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator

import anyio
import pytest

from tests.cluster.liar import LIST, Liar, liar
from tests.cluster.servers import EtcdServer
from tests.cluster.test_coordinators import TTL_S, Places, Seat
from understudy_runtime.cluster.etcd import coordinator
from understudy_runtime.core.membership import Owner

pytestmark = pytest.mark.anyio

NONSENSE = ("{}", "[]", "7", "<html>", '{"header": {"revision": "x"}}', '{"header": 1}')
NOT_RENEWED = (
    "{}",
    "[]",
    "7",
    "<html>",
    '{"result": 7}',
    '{"result": {"TTL": "soon"}}',
    '{"error": {"message": "no"}}',
)


class Liars(Places):
    """Places of which some talk to etcd through the liar."""

    def __init__(self, etcd: EtcdServer, name: str, between: Liar) -> None:
        super().__init__(etcd, name)
        self.direct = etcd.url
        self.name = name
        self.between = between

    def put(self, key: str, value: bytes) -> None:
        """Not as a node would."""
        assert self.etcd is not None
        key = f"/understudy/{self.name}/{key}"
        self.etcd.post(
            "/kv/put", {"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value).decode()}
        )

    async def join_through_liar(self, node: str) -> Seat:
        assert self.etcd is not None
        self.etcd.url = self.between.url
        try:
            return await self.join(node)
        finally:
            self.etcd.url = self.direct


@pytest.fixture
async def places(shared_etcd: EtcdServer, request: pytest.FixtureRequest) -> AsyncGenerator[Liars]:
    with liar(shared_etcd.url) as between:
        made = Liars(shared_etcd, request.node.name.replace("[", "-").replace("]", ""), between)
        yield made
        between.be_honest()
        await made.close()


async def test_a_list_that_makes_no_sense_is_asked_for_again(places: Liars) -> None:
    places.between.lie(LIST, *NONSENSE, times=len(NONSENSE))
    a = await places.join_through_liar("a")
    await places.join("b")
    await a.sees(lambda view: sorted(view.members) == ["a", "b"])
    assert places.between.told == len(NONSENSE)


async def test_what_a_node_has_done_is_not_shown_before_it_has_seen_who_is_there(places: Liars) -> None:
    places.between.lie(LIST, "{}")
    a = await places.join_through_liar("a")
    assert await a.coordinator.claim({1})
    assert (a.coordinator.view.members, a.coordinator.view.owners) == ({}, {}), "it would be a cluster without members"
    places.between.be_honest()
    view = await a.sees(lambda view: len(view.members) == 1)
    assert view.owners == {1: Owner("a", a.member.incarnation)}


async def test_a_watch_that_makes_no_sense_is_begun_again(places: Liars) -> None:
    lies = ("7\n", "[]\n", '{"result": 7}\n', '{"result": {"events": [{}]}}\n', "{}\n")
    places.between.lie("/watch", *lies, times=len(lies))
    a = await places.join_through_liar("a")
    with anyio.fail_after(30):
        while places.between.told < len(lies):  # noqa: ASYNC110 - nobody says when the cluster is watched
            await anyio.sleep(0.01)
    await places.join("b")
    await a.sees(lambda view: sorted(view.members) == ["a", "b"])


@pytest.mark.parametrize("answer", NOT_RENEWED)
async def test_a_session_survives_an_answer_that_makes_no_sense(places: Liars, answer: str) -> None:
    a, b = await places.join_through_liar("a"), await places.join("b")
    assert await a.coordinator.claim({1})
    await b.sees(lambda view: 1 in view.owners)
    places.between.lie("/lease/keepalive", answer, times=1)
    with anyio.fail_after(30):
        while not places.between.told:  # noqa: ASYNC110 - nobody says when the session is renewed
            await anyio.sleep(0.01)
    until = anyio.current_time() + 2 * TTL_S
    while anyio.current_time() < until:
        assert a.coordinator.session_left_s > 0
        assert b.coordinator.view.owners == {1: Owner("a", "a-1")}
        await anyio.sleep(0.05)


@pytest.mark.parametrize("question", ["/lease/grant", "/kv/txn"])
async def test_a_seat_that_was_lost_is_taken_again_until_it_is_had(places: Liars, question: str) -> None:
    a, b = await places.join_through_liar("a"), await places.join("b")
    a.lives = False
    await b.sees(lambda view: list(view.members) == ["b"])
    places.between.lie(question, "[]", "{}", "<html>", times=3)
    a.lives = True
    await b.sees(lambda view: sorted(view.members) == ["a", "b"])
    assert places.between.told == 3
    assert await a.coordinator.claim({2})


async def test_what_somebody_else_has_stored_there_is_passed_over(places: Liars) -> None:
    for key in ("nodes/x", "shards/3", "shards/x", "else"):
        places.put(key, b"nonsense")
    a = await places.join("a")
    await a.sees(lambda view: list(view.members) == ["a"])
    places.put("nodes/y", b"\xff")
    assert await a.coordinator.claim({1})
    view = await a.sees(lambda view: 1 in view.owners)
    assert (list(view.members), list(view.owners)) == (["a"], [1])


async def test_a_node_that_no_longer_sees_the_cluster_leaves_its_seat_to_others(
    places: Liars, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "BLIND_S", 2 * TTL_S)
    monkeypatch.setattr(coordinator, "RELIST_S", 0.5)
    a, b = await places.join_through_liar("a"), await places.join("b")
    assert await a.coordinator.claim({1})
    await b.sees(lambda view: 1 in view.owners)
    places.between.lie(LIST, "[]")
    places.between.lie("/watch", "[]\n")
    await b.sees(lambda view: list(view.members) == ["b"] and not view.owners)
    assert a.coordinator.session_left_s <= 0
    places.between.be_honest()
    await b.sees(lambda view: sorted(view.members) == ["a", "b"])
    await a.sees(lambda view: sorted(view.members) == ["a", "b"])


async def test_a_node_that_finds_its_name_taken_claims_nothing_until_it_is_free(places: Liars) -> None:
    a, b = await places.join("a"), await places.join("b")
    a.lives = False
    await b.sees(lambda view: list(view.members) == ["b"])
    twin = await places.join("a", "2")
    a.lives = True
    until = anyio.current_time() + TTL_S
    while anyio.current_time() < until:
        assert a.coordinator.session_left_s <= 0
        await anyio.sleep(0.05)
    await twin.coordinator.leave()
    await b.sees(lambda view: "a" in view.members and view.members["a"] == a.member)
    assert await a.coordinator.claim({2})
