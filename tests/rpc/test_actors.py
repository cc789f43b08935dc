"""Looking at actors over gRPC: what the node says of them is what a caller of its own process is told."""

from __future__ import annotations

from typing import Any, cast

import grpc.aio
import pytest
from msgspec import Raw

from tests.rpc.shop import Counter
from understudy import BadInput, Client, UnknownName
from understudy.remote.door import RemoteDoor
from understudy_proto.v1 import actors_pb2, actors_pb2_grpc
from understudy_runtime.core.keys import actor_key
from understudy_runtime.core.messages import Hold
from understudy_runtime.node.doors import LocalDoor
from understudy_runtime.node.node import Node

pytestmark = pytest.mark.anyio


def door(client: Client) -> LocalDoor | RemoteDoor:
    return cast("LocalDoor | RemoteDoor", client.door)


async def test_an_actor_is_described_by_its_address(either: Client) -> None:
    await either.ask(Counter.at("a/b"), Counter.add, 3)
    described = await door(either).describe_actor("actor.Counter/a/b")
    assert (described.kind, described.id, described.status) == ("Counter", "a/b", "active")
    assert (described.state, described.version, described.turns) == (Raw(b'{"value":3}'), 1, 1)
    assert described.created_at > 1e9


async def test_actors_of_a_class_are_listed_and_the_held_ones_can_be_picked(either: Client, node: Node) -> None:
    for name in "abc":
        await either.ask(Counter.at(name), Counter.add, 1)
    node.engine.deliver(actor_key("default", "Counter", "b"), Hold("poisoned", "it killed its node"))
    held = await door(either).describe_actor("actor.Counter/b")
    assert (held.status, held.held_why, held.held_detail) == ("held", "poisoned", "it killed its node")
    listed = await door(either).list_actors("actor.Counter", status="", limit=10)
    assert sorted((each.id, each.status) for each in listed) == [("a", "active"), ("b", "held"), ("c", "active")]
    picked = await door(either).list_actors("actor.Counter", status="held", limit=10)
    assert [each.id for each in picked] == ["b"]
    assert len(await door(either).list_actors("actor.Counter", status="", limit=2)) == 2


async def test_what_is_no_actor_is_refused(either: Client) -> None:
    with pytest.raises(UnknownName, match="nothing has happened"):
        await door(either).describe_actor("actor.Counter/nobody")
    with pytest.raises(UnknownName, match="no actor named Elsewhere"):
        await door(either).describe_actor("actor.Elsewhere/x")
    with pytest.raises(BadInput, match="is no kind of actor"):
        await door(either).describe_actor("run/x")
    with pytest.raises(BadInput, match="is no kind of actor"):
        await door(either).list_actors("run", status="", limit=1)


async def test_any_grpc_client_reads_the_list_page_by_page(channel: grpc.aio.Channel, client: Client) -> None:
    for name in "abcde":
        await client.ask(Counter.at(name), Counter.add, 1)
    stub: Any = actors_pb2_grpc.ActorServiceStub(channel)
    seen: list[str] = []
    token = ""
    for _ in range(3):
        page = await stub.ListActors(actors_pb2.ListActorsRequest(kind="actor.Counter", page_size=2, page_token=token))
        seen += [actor.address.id for actor in page.actors]
        token = page.next_page_token
    assert (sorted(seen), token) == (list("abcde"), "")
