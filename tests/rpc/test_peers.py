"""Envelopes between nodes over real streams: cut, silent, refused, and to nodes that come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import pytest
from structlog.testing import capture_logs

from tests.node.authority import Authority
from tests.rpc.conftest import Serve, soon, until
from tests.rpc.test_reconnecting import Cable
from understudy.options import TaskOptions
from understudy_proto.v1 import peers_pb2, peers_pb2_grpc
from understudy_runtime.core.membership import Member, Owner, View
from understudy_runtime.core.messages import Dispatch, Token
from understudy_runtime.core.needs import Offer
from understudy_runtime.core.peering import Bounds
from understudy_runtime.core.transport import (
    Adopt,
    Decline,
    Envelope,
    Keeping,
    Lend,
    Loan,
    Noted,
    Offers,
    Recall,
    Report,
    Standing,
    Stop,
    Taken,
    Unknown,
    Wake,
)
from understudy_runtime.rpc import peer_links
from understudy_runtime.rpc.access import AccessFile, new_token
from understudy_runtime.rpc.credentials import Certificates
from understudy_runtime.rpc.gate import Gate
from understudy_runtime.rpc.peer_access import PeerAccess, peer_channel
from understudy_runtime.rpc.peer_links import Peers
from understudy_runtime.rpc.peer_stream import Pace
from understudy_runtime.rpc.peer_wire import MAX_ENVELOPE_BYTES, Identity
from understudy_runtime.rpc.peers import peer_streams

pytestmark = pytest.mark.anyio

HASTY = Pace(ping_s=0.1, silence_s=0.6, first_pause_s=0.01, longest_pause_s=0.05, hopeless_pause_s=0.05)
TIGHT = Bounds(queue=50, window=20, batch=10)


class End:
    """One life of a node, as far as its peers can tell. Reached at `address`, by way of whatever a test puts there."""

    def __init__(self, peers: Peers, address: str) -> None:
        self.peers = peers
        self.address = address
        self.got: list[Envelope] = []
        self.broken: list[str] = []
        self.reached: dict[str, bool] = {}
        self.at_envelope: Callable[[Envelope], object] = lambda _: None
        peers.listen(self)

    @property
    def member(self) -> Member:
        return Member(self.peers.own.node, self.peers.own.incarnation, self.address)

    @property
    def name(self) -> str:
        return self.peers.own.node

    def on_envelope(self, from_node: str, envelope: Envelope) -> None:
        self.got.append(envelope)
        self.at_envelope(envelope)

    def on_broken(self, node: str) -> None:
        self.broken.append(node)

    def on_reach(self, node: str, reached: bool) -> None:
        self.reached[node] = reached


Begin = Callable[..., Any]


@pytest.fixture
async def begin(serve: Serve) -> AsyncGenerator[Begin]:
    """Begins a life of a node, with a server of its own."""
    async with AsyncExitStack() as stack:

        async def begin(name: str, life: str = "1", **options: Any) -> End:
            return await stack.enter_async_context(living(serve, name, life, **options))

        yield begin


@asynccontextmanager
async def living(
    serve: Serve,
    name: str,
    life: str = "1",
    *,
    cluster: str = "shop",
    bounds: Bounds | None = None,
    access: PeerAccess | None = None,
    pace: Pace = HASTY,
    **options: Any,
) -> AsyncGenerator[End]:
    peers = Peers(Identity(cluster, name, life), access=access, bounds=bounds, pace=pace)
    async with serve(streams=[peer_streams(peers)], **options) as server:
        try:
            yield End(peers, server.address)
        finally:
            await peers.close(0.0)


def view(*members: Member) -> View:
    return View(members={member.node: member for member in members})


def introduce(*ends: End) -> None:
    for end in ends:
        end.peers.members(view(*(other.member for other in ends)))


def numbered(first: int, after: int) -> list[Envelope]:
    return [Report(b"%d" % number) for number in range(first, after)]


async def test_envelopes_go_both_ways_in_order(begin: Begin) -> None:
    a, b, c = await begin("a"), await begin("b"), await begin("c")
    introduce(a, b, c)
    there, back = numbered(0, 3000), [Wake(("default/run/1", "default/run/é")), *numbered(0, 2000)]
    assert all(a.peers.send("b", envelope) for envelope in there)
    assert all(b.peers.send("a", envelope) for envelope in back)
    assert c.peers.send("b", Report(b"c"))
    await until(lambda: (len(a.got), len(b.got)) == (len(back), len(there) + 1))
    assert a.got == back
    assert [envelope for envelope in b.got if envelope != Report(b"c")] == there
    await until(lambda: not any(count for end in (a, b, c) for count in end.peers.unacknowledged.values()))
    assert (a.broken, b.broken, c.broken) == ([], [], [])


async def test_what_is_said_of_attempts_arrives_as_it_was_said(begin: Begin) -> None:
    a, b = await begin("a"), await begin("b")
    introduce(a, b)
    tokens = (Token("default/run/é", 1, 2, 3, 4), Token("default/counter/c", 5, 6, 7, 8))
    said: list[Envelope] = [
        Keeping(9, Owner("c", "c-1"), tokens), Noted(9), Adopt(tokens), Unknown(tokens), Unknown(()), Stop(tokens)
    ]  # fmt: skip
    assert all(a.peers.send("b", envelope) for envelope in said)
    await until(lambda: b.got == said)
    assert await a.peers.flush(5.0)


async def test_an_answer_may_be_sent_from_within(begin: Begin) -> None:
    a, b = await begin("a"), await begin("b")
    introduce(a, b)
    b.at_envelope = partial(b.peers.send, "a")
    a.peers.send("b", Report(b"ping"))
    await until(lambda: a.got == [Report(b"ping")])


async def test_what_the_engine_fails_to_take_does_not_hold_up_the_rest(begin: Begin) -> None:
    def fail(envelope: Envelope) -> None:
        if envelope == Report(b"1"):
            raise ValueError("boom")

    a, b = await begin("a"), await begin("b")
    b.at_envelope = fail
    introduce(a, b)
    for envelope in numbered(0, 5):
        a.peers.send("b", envelope)
    await until(lambda: b.got == numbered(0, 5))
    assert b.peers.connected == {"a"}


async def test_whatever_breaks_on_the_way_all_arrives_once_and_in_order(begin: Begin) -> None:
    a, b = await begin("a", bounds=TIGHT), await begin("b", bounds=TIGHT)
    async with Cable(b.address).laid() as cable:
        b.address = cable.address
        introduce(a, b)
        ways, sent = [(a, "b"), (b, "a")], {"a": 0, "b": 0}
        for step in range(400):
            for end, to in ways:
                while end.peers.send(to, Report(b"%d" % sent[to])):
                    sent[to] += 1
            if step % 20 == 19:
                cable.cut()
            await asyncio.sleep(0.001)
        await until(lambda: (len(a.got), len(b.got)) == (sent["a"], sent["b"]))
        assert a.got == numbered(0, sent["a"])
        assert b.got == numbered(0, sent["b"])
        assert min(sent.values()) > TIGHT.queue
        assert (a.broken, b.broken) == ([], [])


async def test_a_connection_that_is_only_half_there_is_found_and_made_anew(begin: Begin) -> None:
    a, b = await begin("a"), await begin("b")
    async with Cable(b.address).laid() as cable:
        b.address = cable.address
        introduce(a, b)
        await until(lambda: a.peers.connected == {"b"} and b.peers.connected == {"a"})
        cable.silent = True
        assert a.peers.send("b", Report(b"there"))
        assert b.peers.send("a", Report(b"back"))
        await until(lambda: not a.peers.connected and not b.peers.connected)
        cable.silent = False
        await until(lambda: (a.got, b.got) == ([Report(b"back")], [Report(b"there")]))


async def test_nothing_meant_for_one_life_reaches_the_next(begin: Begin, serve: Serve) -> None:
    a = await begin("a")
    async with living(serve, "b", "1") as b:
        introduce(a, b)
        a.peers.send("b", Report(b"early"))
        await until(lambda: b.got == [Report(b"early")] and a.peers.unacknowledged == {"b": 0})
    await until(lambda: not a.peers.connected)
    assert a.peers.send("b", Report(b"for the first life"))
    assert a.broken == []
    b2 = await begin("b", "2")
    introduce(a, b2)
    assert a.broken == ["b"]
    a.peers.send("b", Report(b"for the second"))
    await until(lambda: b2.got == [Report(b"for the second")])


async def test_a_life_that_ended_with_nothing_on_the_way_is_no_news(begin: Begin, serve: Serve) -> None:
    a = await begin("a")
    async with living(serve, "b", "1") as b:
        introduce(a, b)
        a.peers.send("b", Report(b"1"))
        await until(lambda: len(b.got) == 1 and a.peers.unacknowledged == {"b": 0})
    introduce(a, await begin("b", "2"))
    assert a.broken == []


class Stubborn:
    """A channel that is closed and complains of it, so that a cancellation on its way there is lost."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def close(self) -> None:
        await self._channel.close()
        raise OSError("it does not like that")


async def test_nobody_calls_any_longer_once_a_node_has_left_whatever_goes_wrong_in_that(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stubborn(address: str, access: PeerAccess) -> Stubborn:
        return Stubborn(peer_channel(address, access))

    monkeypatch.setattr(peer_links, "peer_channel", stubborn)
    a, b = await begin("a"), await begin("b")
    introduce(a, b)
    await until(lambda: a.reached.get("b") is True)
    await soon(a.peers.close(0.0))


async def test_to_who_is_no_member_nothing_is_sent(begin: Begin) -> None:
    a = await begin("a")
    assert not a.peers.send("b", Report(b""))
    introduce(a)
    assert not a.peers.send("a", Report(b""))
    assert not a.peers.send("b", Report(b""))
    assert a.peers.refused == 3


async def test_who_was_out_of_sight_for_a_while_still_gets_everything_once(begin: Begin) -> None:
    a, b = await begin("a"), await begin("b")
    async with Cable(b.address).laid() as cable:
        b.address = cable.address
        introduce(a, b)
        a.peers.send("b", Report(b"0"))
        await until(lambda: len(b.got) == 1)
        cable.swallow_answers = True
        for envelope in numbered(1, 4):
            a.peers.send("b", envelope)
        await until(lambda: len(b.got) == 4)
        cable.silent = True
        a.peers.send("b", Report(b"4"))
        introduce(a)
        introduce(b)
        assert a.broken == ["b"]
        assert not a.peers.send("b", Report(b"refused"))
        await until(lambda: not b.peers.connected)
        cable.silent = cable.swallow_answers = False
        introduce(a, b)
        assert a.peers.send("b", Report(b"5"))
        await until(lambda: a.peers.unacknowledged == {"b": 0})
        assert b.got == numbered(0, 6)


async def test_who_was_forgotten_is_told_and_gets_nothing_twice(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy_runtime.rpc.peer_links.MAX_ABSENT", 0)
    a, b = await begin("a"), await begin("b")
    async with Cable(b.address).laid() as cable:
        b.address = cable.address
        introduce(a, b)
        await until(lambda: a.peers.connected == {"b"})
        cable.swallow_answers = True
        a.peers.send("b", Report(b"0"))
        await until(lambda: len(b.got) == 1)
        introduce(b)  # and so b forgets a
        cable.swallow_answers = False
        cable.cut()
        introduce(a, b)
        await until(lambda: a.broken == ["b"])
        a.peers.send("b", Report(b"1"))
        await until(lambda: len(b.got) == 2)
        assert b.got == numbered(0, 2)


async def test_a_queue_has_its_bound_and_then_says_no(begin: Begin) -> None:
    a = await begin("a", bounds=TIGHT)
    async with Cable("127.0.0.1:1").laid() as nobody:
        introduce_to = view(a.member, Member("b", "1", nobody.address))
        a.peers.members(introduce_to)
        assert [a.peers.send("b", Report(b"")) for _ in range(TIGHT.queue + 2)].count(True) == TIGHT.queue
        assert a.peers.refused == 2


async def test_the_largest_envelope_arrives_and_a_larger_one_is_refused(begin: Begin) -> None:
    a, b = await begin("a"), await begin("b")
    introduce(a, b)
    body = b"x" * (MAX_ENVELOPE_BYTES - 16)
    for end, to in ((a, "b"), (b, "a")):
        assert not end.peers.send(to, Report(body + b"x" * 16))
        for _ in range(2):
            assert end.peers.send(to, Report(b"small"))
            assert end.peers.send(to, Report(body))
    await until(lambda: len(a.got) == len(b.got) == 4)
    assert a.got == b.got == [Report(b"small"), Report(body)] * 2


async def test_who_leaves_says_what_is_to_be_said(begin: Begin) -> None:
    a, b = await begin("a"), await begin("b")
    introduce(a, b)
    await until(lambda: a.peers.connected == {"b"} and b.peers.connected == {"a"})
    for end, to in ((a, "b"), (b, "a")):
        for envelope in numbered(0, 1000):
            end.peers.send(to, envelope)
    await soon(b.peers.close(20.0))
    assert a.got == numbered(0, 1000)
    assert not b.peers.send("a", Report(b""))


# --- a peer by hand


HELLO: dict[str, Any] = {
    "cluster": "shop",
    "node": "a",
    "incarnation": "1",
    "to_node": "b",
    "to_incarnation": "1",
    "proto_min": 1,
    "proto_max": 1,
    "memory": 1,
    "credit": 3,
}


@asynccontextmanager
async def calling(address: str) -> AsyncGenerator[grpc.aio.StreamStreamCall[Any, Any]]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = peers_pb2_grpc.PeerServiceStub(channel)
        call = stub.Exchange()
        try:
            yield call
        finally:
            call.cancel()


async def read_on(call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
    while await call.read():
        pass


def hello(**said: Any) -> peers_pb2.PeerFrame:
    return peers_pb2.PeerFrame(hello=peers_pb2.PeerHello(**(HELLO | said)))


async def test_no_more_is_sent_than_there_is_credit_for(begin: Begin) -> None:
    b = await begin("b", pace=Pace(ping_s=0.02))
    b.peers.members(view(b.member, Member("a", "1", "127.0.0.1:1")))
    async with calling(b.address) as call:
        await call.write(hello())
        assert (await soon(call.read())).hello.node == "b"
        for envelope in numbered(0, 10):
            assert b.peers.send("a", envelope)
        numbers: list[int] = []
        quiet = 0
        while quiet < 3:
            frame = await soon(call.read())
            numbers += range(frame.first, frame.first + len(frame.envelopes))
            quiet = 0 if frame.envelopes else quiet + 1
        assert numbers == [1, 2, 3]
        await call.write(peers_pb2.PeerFrame(acknowledged=2, credit=3))
        while len(numbers) < 5:
            frame = await soon(call.read())
            numbers += range(frame.first, frame.first + len(frame.envelopes))
        assert numbers == [1, 2, 3, 4, 5]
        assert b.peers.unacknowledged == {"a": 8}


@pytest.mark.parametrize(
    ("first", "code", "why"),
    [
        (hello(cluster="other"), "FAILED_PRECONDITION", "a is of cluster 'other', b of 'shop'"),
        (hello(proto_min=2, proto_max=3), "FAILED_PRECONDITION", "a speaks versions 2 to 3 .* upgrade the older one"),
        (hello(proto_min=0, proto_max=0), "FAILED_PRECONDITION", "speaks versions 0 to 0"),
        (hello(to_node="c"), "FAILED_PRECONDITION", "looks for c and has reached b; see what c advertises"),
        (hello(to_incarnation="0"), "FAILED_PRECONDITION", "looks for b in its life 0, not 1"),
        (hello(node="b"), "FAILED_PRECONDITION", "b has reached itself"),
        (hello(node="c"), "FAILED_PRECONDITION", "c is to be called by b"),
        (hello(memory=0), "FAILED_PRECONDITION", "a hello that cannot be"),
        (hello(of_memory=1, resume_after=5), "FAILED_PRECONDITION", "acknowledges envelope 5, and only 0 were sent"),
        (hello(node="x"), "UNAVAILABLE", "b sees no member x"),
        (hello(incarnation="2"), "UNAVAILABLE", "b sees no member a in its life 2"),
        (peers_pb2.PeerFrame(), "INVALID_ARGUMENT", "must be a hello"),
    ],
)
async def test_who_is_refused_is_told_why(begin: Begin, first: peers_pb2.PeerFrame, code: str, why: str) -> None:
    b = await begin("b")
    b.peers.members(view(b.member, Member("a", "1", "127.0.0.1:1"), Member("c", "1", "127.0.0.1:1")))
    async with calling(b.address) as call:
        await call.write(first)
        with pytest.raises(grpc.aio.AioRpcError, match=why) as refused:
            await soon(read_on(call))
        assert refused.value.code().name == code


async def test_who_breaks_the_rules_is_cut_off_and_may_come_back(begin: Begin) -> None:
    b = await begin("b")
    b.peers.members(view(b.member, Member("a", "1", "127.0.0.1:1")))
    for _ in range(2):
        async with calling(b.address) as call:
            await call.write(hello())
            await soon(call.read())
            await call.write(peers_pb2.PeerFrame(first=9, envelopes=[peers_pb2.PeerEnvelope()]))
            with pytest.raises(grpc.aio.AioRpcError, match="sends envelope 9 after 0"):
                await soon(read_on(call))


async def test_a_kind_of_a_later_release_is_acknowledged_and_left_alone(begin: Begin) -> None:
    b = await begin("b")
    b.peers.members(view(b.member, Member("a", "1", "127.0.0.1:1")))
    async with calling(b.address) as call:
        await call.write(hello())
        known = peers_pb2.PeerEnvelope(report=peers_pb2.PeerReport(body=b"1"))
        await call.write(peers_pb2.PeerFrame(first=1, envelopes=[peers_pb2.PeerEnvelope(), known]))
        while (await soon(call.read())).acknowledged < 2:
            pass
        assert b.got == [Report(b"1")]


@pytest.mark.parametrize("lends", [False, True])
async def test_a_node_that_does_not_know_of_lending_is_not_reached_for_it(begin: Begin, lends: bool) -> None:
    b = await begin("b")
    b.peers.members(view(b.member, Member("a", "1", "127.0.0.1:1")))
    async with calling(b.address) as call:
        await call.write(hello(lends=lends))
        assert (await soon(call.read())).hello.lends
        await until(lambda: b.peers.connected == {"a"})
        assert b.reached.get("a", False) is lends
    await until(lambda: not b.peers.connected)
    assert b.reached["a"] is False


async def test_what_is_lent_arrives_as_it_was_sent(begin: Begin) -> None:
    a, b = await begin("a"), await begin("b")
    for end in (a, b):
        end.peers.members(view(a.member, b.member))
    await until(lambda: a.reached.get("b", False) and b.reached.get("a", False))
    token = Token("default/run/r", 1, 2, 3, 4)
    options = TaskOptions(queue="gpu", slots=2, labels=("gpu",), timeout_s=5.0, priority=3)
    dispatch = Dispatch(token, "t", msgspec.Raw(b'{"args":[1]}'), options, "key", msgspec.Raw(b"7"))
    offer = Offer(frozenset({"t", "u"}), 4, frozenset({"gpu", "gpu=a100"}), frozenset({"gpu"}), "shop")
    said: list[Envelope] = [
        Offers(7, (Standing(1, offer, 2, 8, 3, 4), Standing(2, None, 1, 1, 0, 1))),
        Lend(3, (Loan(dispatch, 12.5, True),)),
        *(kind((token,)) for kind in (Decline, Recall, Taken)),
    ]
    for envelope in said:
        assert a.peers.send("b", envelope)
    await until(lambda: len(b.got) == len(said))
    assert b.got == said


# --- what the dialling node makes of it


class Counting(Cable):
    connections = 0

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await super()._connected(reader, writer)


async def test_a_node_of_another_cluster_is_logged_once_and_tried_again(begin: Begin) -> None:
    a, b = await begin("a", cluster="other"), await begin("b")
    cable = Counting(b.address)
    async with cable.laid():
        with capture_logs() as logged:
            found = msgspec.structs.replace(b.member, address=cable.address)
            a.peers.members(view(a.member, found))
            b.peers.members(view(a.member, b.member))
            await until(lambda: cable.connections >= 3)
    warnings = [line for line in logged if line["log_level"] == "warning"]
    assert sorted((line["node"], "a is of cluster 'other'" in line["why"]) for line in warnings) == [
        ("a", True),
        ("b", True),
    ]


async def test_an_address_that_leads_to_another_node_is_found_out(begin: Begin) -> None:
    a, b, c = await begin("a"), await begin("b"), await begin("c")
    wrong = msgspec.structs.replace(c.member, address=b.address)
    with capture_logs() as logged:
        a.peers.members(view(a.member, wrong))
        b.peers.members(view(a.member, b.member))
        await until(lambda: any("looks for c and has reached b" in line.get("why", "") for line in logged))
    assert a.peers.connected == frozenset()
    introduce(a, b, c)
    a.peers.send("c", Report(b"1"))
    await until(lambda: c.got == [Report(b"1")])


async def test_tokens_and_tls_of_a_real_door(begin: Begin, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("node", "localhost")
    tokens, token = tmp_path / "tokens.toml", tmp_path / "token"
    token.write_text(new_token(tokens, "worker", ["work"]))
    access = PeerAccess(tmp_path / "ca.pem", tmp_path / "node.pem", tmp_path / "node.key", token)

    async def begin_safely(name: str) -> End:
        certificates = Certificates(tmp_path / "node.pem", tmp_path / "node.key", tmp_path / "ca.pem")
        gate, credentials = Gate(AccessFile(tokens)), certificates.credentials()
        begun: End = await begin(
            name, listen="localhost:0", access=access, interceptors=[gate], credentials=credentials
        )
        return begun

    a, b = await begin_safely("a"), await begin_safely("b")
    with capture_logs() as logged:
        introduce(a, b)
        await until(lambda: any("lacks the role admin" in line.get("why", "") for line in logged))
    token.write_text(new_token(tokens, "nodes", ["admin"]) + "\n")
    a.peers.send("b", Report(b"there"))
    b.peers.send("a", Report(b"back"))
    await until(lambda: (a.got, b.got) == ([Report(b"back")], [Report(b"there")]))
