"""`EtcdCoordinator`: a node's seat in a cluster that meets in etcd. See the package's docstring."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec
import structlog

from understudy_runtime.cluster.etcd import layout
from understudy_runtime.cluster.etcd.endpoints import Endpoints, Tls, is_safe
from understudy_runtime.cluster.etcd.layout import Layout, Meta, Picture, Seat
from understudy_runtime.cluster.etcd.session import Session
from understudy_runtime.core.membership import CoordinatorError, Member, Owner, View

T = TypeVar("T")
Condition = dict[str, Any]
Written = dict[int, int]
"""Shards, each with the revision at which it was written; 0 if that is not known."""

RELIST_S: Final = 30.0
"""A watch that says nothing for so long may have died: everything is listed again."""
AT_ONCE: Final = 64
"""Shards in one transaction; etcd takes 128 conditions."""
BLIND_S: Final = 90.0
"""A node that has not been able to list the cluster for so long lets its session end, although etcd would renew it."""
PAUSE_S: Final = 0.5
"""Before etcd is asked again when it could not be reached, or ends a watch at once."""

log = structlog.get_logger("understudy.cluster")


class EtcdOptions(msgspec.Struct, frozen=True):
    """`ttl_s`: seconds after which a node that does not renew its session is taken for dead.

    `shards` is what a new cluster is made with; one that is there keeps its own.
    """

    endpoints: tuple[str, ...]
    cluster: str
    tls: Tls = Tls()
    ttl_s: float = 10.0
    shards: int = 256


class EtcdCoordinator:
    """Implements `Coordinator`. `alive` says, to any thread, whether the node makes progress."""

    def __init__(self, options: EtcdOptions, alive: Callable[[], bool]) -> None:
        self._options = options
        self._layout = Layout(options.cluster)
        self._etcd = self._endpoints()
        self._thread = ThreadPoolExecutor(1, "understudy-etcd")
        self._session = Session(self._endpoints(), options.ttl_s, lambda: alive() and self._sees(), self._join_again)
        self._seen_at = 0.0
        """When all of the cluster was last listed, by the monotonic clock."""
        self._viewer = threading.Thread(target=self._look, name="understudy-view", daemon=True)
        self._closed = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: Callable[[View], None] = lambda view: None
        self._view = View()
        self._own: dict[int, tuple[int, Owner | None]] = {}
        """What this node has done itself, and etcd may not have shown yet: by shard, its revision and the owner."""
        self._me: Member | None = None

    # --- the seat

    async def join(self, member: Member, changed: Callable[[View], None]) -> int:
        self._loop, self._changed, self._me = asyncio.get_running_loop(), changed, member
        shards = await self._run(lambda: self._take_seat(member))
        self._seen_at = time.monotonic()
        self._session.keep()
        self._viewer.start()
        return shards

    async def announce(self, member: Member) -> None:
        self._me = member
        await self._run(lambda: self._sit(member, self._session.id))

    async def leave(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        await self._run(self._session.end)
        self._thread.shutdown(wait=False)

    @property
    def view(self) -> View:
        return self._view

    @property
    def session_left_s(self) -> float:
        return self._session.left_s

    # --- shards

    async def claim(self, shards: Collection[int]) -> set[int]:
        mine, session = self._mine(), self._session.id
        written = await self._run(lambda: self._write(shards, layout.absent, mine, session))
        return self._done(written, layout.decode_owner(mine))

    async def hand_over(self, shards: Collection[int], to: Member) -> set[int]:
        written = await self._run(lambda: self._hand_over(shards, to))
        return self._done(written, Owner(to.node, to.incarnation))

    async def give_up(self, shards: Collection[int]) -> None:
        mine = self._mine()
        self._done(await self._run(lambda: self._write(shards, lambda key: layout.equals(key, mine))), None)

    async def drain(self, node: str, wanted: bool) -> None:
        key = self._layout.drain(node)
        await self._run(lambda: self._transact([], [layout.put(key, b"{}") if wanted else layout.delete(key)]))

    # --- on the thread for transactions

    def _take_seat(self, member: Member) -> int:
        version = self._etcd.version
        if not is_safe(version):
            log.warning("this etcd has known faults; use 3.5.28, 3.6.9 or later", version=version)
        self._transact([layout.absent(self._layout.meta)], [self._meta(self._options.shards)])
        found = self._etcd.post("/kv/range", {"key": layout.b64(self._layout.meta)})
        shards = layout.decode_meta(layout.unb64(found["kvs"][0]["value"])).shards
        self._session.begin()
        self._wait_for_seat(member)
        return shards

    def _wait_for_seat(self, member: Member) -> None:
        """The seat of an earlier life of this node is free when its session has ended."""
        seat = layout.encode(Seat(member, self._session.id))
        until = time.monotonic() + 2 * self._options.ttl_s
        while not self._put_once(self._layout.node(member.node), seat, self._session.id):
            if time.monotonic() > until:
                raise CoordinatorError(
                    f"a node named {member.node} is in the cluster already; stop it, or give this one another name"
                )
            self._renew_while_waiting()
        # Who wanted an earlier life of this node gone has had that.
        self._transact([], [layout.delete(self._layout.drain(member.node))])

    def _renew_while_waiting(self) -> None:
        self._closed.wait(PAUSE_S)
        if self._session.left_s < self._options.ttl_s / 2:
            self._session.begin()

    def _sit(self, member: Member, session: str) -> None:
        seat = layout.encode(Seat(member, session))
        self._transact([], [layout.put(self._layout.node(member.node), seat, session)])

    def _hand_over(self, shards: Collection[int], to: Member) -> Written:
        found = self._etcd.post("/kv/range", {"key": layout.b64(self._layout.node(to.node))}).get("kvs", [])
        if not found:
            return {}
        seat = layout.decode_seat(value := layout.unb64(found[0]["value"]))
        if seat.member.incarnation != to.incarnation:
            return {}
        mine, theirs = self._mine(), layout.encode(Owner(to.node, to.incarnation))
        still_there = layout.equals(self._layout.node(to.node), value)
        return self._write(shards, lambda key: layout.equals(key, mine), theirs, seat.session, still_there)

    def _write(
        self,
        shards: Collection[int],
        condition: Callable[[str], Condition],
        value: bytes | None = None,
        session: str = "",
        *others: Condition,
    ) -> Written:
        """Put `value` in these shards' keys (None: delete them), where their conditions and all others hold; returns
        the shards of which that is so now. All at once, or one by one where not all can be had."""

        def write(some: Sequence[int]) -> int | None:
            keys = [self._layout.shard(shard) for shard in some]
            writes = [layout.delete(key) if value is None else layout.put(key, value, session) for key in keys]
            return self._revision_of([*map(condition, keys), *others], writes)

        def write_one(shard: int) -> int | None:
            revision = write([shard])
            # The transaction may have been carried out, and only its answer lost, by an endpoint that was asked before.
            is_lost = revision is None and value is not None and self._holds(self._layout.shard(shard), value)
            return 0 if is_lost else revision

        written: Written = {}
        wanted = sorted(shards)
        for some in (wanted[first : first + AT_ONCE] for first in range(0, len(wanted), AT_ONCE)):
            at_once = write(some)
            each = ((shard, write_one(shard) if at_once is None else at_once) for shard in some)
            written.update((shard, revision) for shard, revision in each if revision is not None)
        return written

    def _put_once(self, key: str, value: bytes, session: str) -> bool:
        return self._transact([layout.absent(key)], [layout.put(key, value, session)]) or self._holds(key, value)

    def _holds(self, key: str, value: bytes) -> bool:
        found = self._etcd.post("/kv/range", {"key": layout.b64(key)}).get("kvs", [])
        return bool(found) and layout.unb64(found[0]["value"]) == value

    def _transact(self, compare: list[Condition], success: list[dict[str, Any]]) -> bool:
        return self._revision_of(compare, success) is not None

    def _revision_of(self, compare: list[Condition], success: list[dict[str, Any]]) -> int | None:
        """Of the transaction; None if its conditions did not hold."""
        body = {"compare": compare, "success": success, "failure": []}
        answer: Any = self._etcd.call(lambda client: client.transaction(body))
        return int(answer["header"]["revision"]) if answer.get("succeeded", False) else None

    # --- on the session's thread

    def _join_again(self) -> None:
        """Everything that this node had in etcd is gone: take the seat again. CoordinatorError."""
        member = self._me
        if member is None or self._closed.is_set():
            return
        log.warning("the session has ended; joining again", node=member.node)
        self._session.begin()
        key, seat = self._layout.node(member.node), layout.encode(Seat(member, self._session.id))
        body = {
            "compare": [layout.absent(key)],
            "success": [layout.put(key, seat, self._session.id)],
            "failure": [],
        }
        answer: Any = self._endpoints().call(lambda client: client.transaction(body))
        if not answer.get("succeeded", False):
            raise CoordinatorError(f"another node has taken the name {member.node}, or an earlier session has it still")

    # --- on the viewer's thread

    def _look(self) -> None:
        etcd = self._endpoints()
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._look_until_silent(etcd)
                if time.monotonic() - began > PAUSE_S:
                    continue
            except CoordinatorError as error:
                log.warning("the cluster is out of sight", why=str(error))
            except Exception as fault:
                log.error("the cluster is out of sight", why=repr(fault), exc_info=fault)
            self._closed.wait(PAUSE_S)

    def _look_until_silent(self, etcd: Endpoints) -> None:
        found = etcd.post("/kv/range", self._layout.everything)
        picture = Picture(self._layout, int(found["header"]["revision"]), found.get("kvs", []))
        self._show(picture)
        self._seen_at = time.monotonic()
        until = self._seen_at + RELIST_S
        begin = {**self._layout.everything, "start_revision": str(picture.revision + 1)}
        for response in etcd.watch(begin, RELIST_S):
            result = response.get("result", {})
            if "error" in response or result.get("canceled") or self._closed.is_set():
                return
            if events := result.get("events"):
                picture.note(events)
                self._show(picture)
            if time.monotonic() > until:
                return

    def _sees(self) -> bool:
        """A node that is blind keeps shards from the others that it would never know it was given."""
        return time.monotonic() - self._seen_at < BLIND_S

    def _show(self, picture: Picture) -> None:
        loop = self._loop
        if loop is None or self._closed.is_set():
            return
        view = picture.view
        try:
            loop.call_soon_threadsafe(self._take, view)
        except RuntimeError:  # the loop is closed: nobody looks any more
            self._closed.set()

    def _take(self, view: View) -> None:
        if not self._closed.is_set():
            self._own = {shard: own for shard, own in self._own.items() if own[0] > view.revision}
            owners = dict(view.owners)
            for shard, (_, owner) in self._own.items():
                owners.pop(shard, None)
                if owner is not None:
                    owners[shard] = owner
            self._view = msgspec.structs.replace(view, owners=owners) if self._own else view
            self._changed(self._view)

    def _done(self, written: Written, owner: Owner | None) -> set[int]:
        """Shows what this node has done itself before etcd does: it must not take back what it has just given away."""
        self._own.update((shard, (revision, owner)) for shard, revision in written.items())
        if self._view.revision:
            self._take(self._view)
        return set(written)

    # ---

    def _mine(self) -> bytes:
        assert self._me is not None
        return layout.encode(Owner(self._me.node, self._me.incarnation))

    def _meta(self, shards: int) -> dict[str, Any]:
        return layout.put(self._layout.meta, layout.encode(Meta(shards)))

    def _endpoints(self) -> Endpoints:
        return Endpoints(list(self._options.endpoints), self._options.tls)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
