"""Which shards this node runs: it follows the plan that all nodes compute alike, one small step after another.

    orphan ──claim──► begun ──open──► ours ──seal──► told ──► handed over ──► another's
              etcd      store's        turns           what     etcd, under the successor's session
                        next term      are taken       goes on

The coordinator says who ought to run a shard, the store says who may. So a node first puts its name to an orphan, then
begins the shard's next term in the store, with the term that it saw *before*, and only then reads what is in it. A
shard that is handed over is sealed first: its turns are finished and durable, and nothing is taken any more. Both go a
few at a time, so that a node that joins neither drowns nor starves the others.

    the session has ended       goes on with what it has, and claims nothing
    another has a shard         it is dropped; what was not durable is void, and its callers are told to try again
    the store is silent         all shards are dropped and given up, and none is claimed until it answers
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Final, Protocol

import msgspec
import structlog

from understudy.errors import StoreError
from understudy_runtime.core.membership import Coordinator, CoordinatorError, Member, Owner, View
from understudy_runtime.core.placement import plan
from understudy_runtime.core.ports import Clock, ShardedStore

OPENING: Final = 32
"""Shards opened in one step."""
VIEW_S: Final = 5.0
"""How long a node that has joined waits to see who else is there, whom it may be unable to speak with."""
SEALING: Final = 4
"""Shards handed over in one step: they are out of reach for as long as it takes."""
TICK_S: Final = 1.0
"""Between two looks when nothing has changed; after a failure, too."""
SILENCE_S: Final = 5.0
"""A store that has not answered for so long may have been answering somebody else."""

_SILENT: Final = f"the store has been silent for more than {SILENCE_S:g} s"

log = structlog.get_logger("understudy.cluster")


class Host(Protocol):
    """What runs the shards: the engine."""

    async def open_shards(self, shards: Collection[int]) -> None:
        """Take them on: load what is open in them, and take turns."""
        ...

    async def seal_shards(self, shards: Collection[int]) -> None:
        """Take no more for them, and return once all that they decided is durable and let out."""
        ...

    async def hand_over(self, shards: Collection[int], to: str) -> None:
        """Tell the node that is to have these sealed shards next what goes on for them. Takes a bounded time."""
        ...

    def drop_shards(self, shards: Collection[int], why: str) -> None:
        """Forget them at once: what is not durable never was."""
        ...


class Ownership:
    """Keeps what `host` runs in step with the plan. Everything happens in one task on the engine's loop."""

    def __init__(self, coordinator: Coordinator, store: ShardedStore, host: Host, member: Member, clock: Clock) -> None:
        self._coordinator = coordinator
        self._store = store
        self._host = host
        self._clock = clock
        self._wake = asyncio.Event()
        self._stepped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ours: set[int] = set()
        self._handing_over = False
        self._shards: Collection[int] = ()
        self._unfit = False
        """The store does not answer this node: it takes no shards."""
        self.member = member
        self.changed: Callable[[View], None] = lambda view: None
        """Told of each new view, before anything is done about it."""

    @property
    def ours(self) -> Collection[int]:
        """The shards that this node runs."""
        return self._ours

    @property
    def view(self) -> View:
        return self._coordinator.view

    async def start(self) -> None:
        """Join the cluster. CoordinatorError or StoreError if that cannot be."""
        shards = await self._coordinator.join(self.member, self._seen)
        if self.member.node not in self.view.members:
            await self._wait(self._wake, VIEW_S)
        if why := self._out_of_place(shards):
            await self._coordinator.leave()
            raise CoordinatorError(why)
        self._shards = range(shards)
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def _out_of_place(self, shards: int) -> str:
        """Why this node cannot be in this cluster."""
        if shards != self._store.shards:
            return f"the cluster has {shards} shards and the store {self._store.shards}: they do not belong together"
        own = self.member
        for other in self.view.members.values():
            if not own.can_speak_with(other):
                return (
                    f"node {other.node} speaks versions {other.speaks[0]} to {other.speaks[1]} of the protocol of "
                    f"nodes, this one {own.speaks[0]} to {own.speaks[1]}: upgrade one release at a time, all nodes to "
                    "the next one first, or end them all"
                )
        return ""

    def _seen(self, view: View) -> None:
        self.changed(view)
        self._wake.set()

    async def leave(self) -> None:
        """Leave the cluster; what has not been given away is sealed first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._ours:
            await self._host.seal_shards(tuple(self._ours))
            await self._store.release(tuple(self._ours))
            self._ours.clear()
        await self._coordinator.leave()

    def lost(self, shards: Collection[int]) -> None:
        """The store has refused a commit to them: another node has them."""
        self._drop(set(shards) & self._ours, "another node has them by now")
        self._wake.set()

    async def give_away(self, grace_s: float) -> None:
        """Hand everything over to the others, if there are any, for at most `grace_s`."""
        self.member = msgspec.structs.replace(self.member, leaving=True)
        until = self._clock.now() + grace_s
        try:
            await self._coordinator.announce(self.member)
        except CoordinatorError as error:
            log.warning("the others could not be told that this node leaves", why=str(error))
            return
        self._wake.set()
        while (self._ours or self._handing_over) and self._clock.now() < until and self._others():
            self._stepped.clear()
            await self._wait(self._stepped, min(TICK_S, until - self._clock.now()))

    # ---

    def _others(self) -> bool:
        return any(name != self.member.node for name in self.view.takers)

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            try:
                busy = await self._watched(self._step(self.view))
            except (CoordinatorError, StoreError) as error:
                log.warning("shards stay as they are", why=str(error))
                busy = False
            except Exception as fault:
                # A fault of ours; but a node that follows no longer would keep its shards from all others.
                log.error("shards stay as they are", why=str(fault), exc_info=fault)
                busy = False
            self._stepped.set()
            if not busy:
                await self._wait(self._wake, TICK_S)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until it is set, or this time has passed."""
        stop = self._clock.call_at(self._clock.now() + seconds, event.set)
        try:
            await event.wait()
        finally:
            stop()

    async def _watched(self, step: Coroutine[None, None, bool]) -> bool:
        """Carry the step out. It may wait for the store, to seal or open shards: they are not kept for that long."""
        task = asyncio.ensure_future(step)
        try:
            while not (await asyncio.wait([task], timeout=TICK_S))[0]:
                if self._ours and self._store.silent_s > SILENCE_S:
                    self._drop(set(self._ours), _SILENT)
            return await task
        finally:
            # Nothing of it goes on when the node is told to leave in the midst of it.
            task.cancel()
            await asyncio.wait([task])

    async def _step(self, view: View) -> bool:
        """One step toward the plan; False if there is none to take now."""
        if self._store.silent_s > SILENCE_S:
            await self._let_all_go(view)
            return False
        if self._unfit:
            await self._be_fit_again()
        self._drop({shard for shard in self._ours if not self._may_keep(view.owners.get(shard))}, "they were taken")
        if self._coordinator.session_left_s <= 0:
            return False
        planned = plan(view.takers, {shard: _name(view.owners.get(shard)) for shard in self._shards})
        busy = await self._open_some(view, planned)
        busy = await self._hand_some_over(view, planned) or busy
        if not busy:
            await self._claim_again(view)
        return busy

    def _may_keep(self, owner: Owner | None) -> bool:
        """An orphan is kept: the session that it stood under may have ended in an outage, and nobody else has it."""
        return owner is None or owner == self._me

    @property
    def _me(self) -> Owner:
        return Owner(self.member.node, self.member.incarnation)

    # --- in

    async def _open_some(self, view: View, planned: Mapping[int, str]) -> bool:
        mine = [shard for shard, owner in view.owners.items() if owner == self._me and shard not in self._ours]
        orphans = [shard for shard, node in planned.items() if node == self.member.node and shard not in view.owners]
        wanted = [*mine, *(shard for shard in orphans if shard not in self._ours)][:OPENING]
        if not wanted:
            return False
        terms = {row.id: row.term for row in await self._store.read_shards()}
        # What was handed over is in this node's name already; whose it is in truth, the store's claim decides.
        claimed = {shard for shard in wanted if shard in mine}
        if not claimed.issuperset(wanted):
            claimed |= await self._coordinator.claim(set(wanted) - claimed)
        # In a pause since then the session may have ended, and another node may have read what we are to read now.
        if claimed and self._coordinator.session_left_s > 0:
            begun = await self._store.claim({shard: terms[shard] for shard in claimed})
            await self._open(begun)
            if refused := claimed - set(begun):
                await self._coordinator.give_up(refused)
        return bool(claimed)

    async def _open(self, begun: Collection[int]) -> None:
        self._ours |= set(begun)
        try:
            await self._host.open_shards(tuple(begun))
        except Exception:
            # They are in this node's name still, and begun anew the next time.
            self._drop(set(begun), "they could not be opened")
            raise
        if late := set(begun) - self._ours:
            # Dropped while they were being opened.
            self._host.drop_shards(tuple(late), _SILENT)

    async def _claim_again(self, view: View) -> None:
        """Shards that the node runs under a session that has ended meanwhile; unless others were faster.

        Others may have run them and gone before this node looked, and it would not hear of that before it writes: what
        it has in memory would be waited for in vain. So it looks at the terms, once nobody else can begin one.
        """
        orphans = self._ours - set(view.owners)
        if orphans and (claimed := await self._coordinator.claim(orphans)):
            terms, held = {row.id: row.term for row in await self._store.read_shards()}, self._store.terms
            lost = {shard for shard in claimed if terms[shard] != held.get(shard)}
            self._drop(lost & self._ours, "others have run them since")

    # --- out

    async def _hand_some_over(self, view: View, planned: Mapping[int, str]) -> bool:
        going = [shard for shard in sorted(self._ours) if planned.get(shard, self.member.node) != self.member.node]
        going = [shard for shard in going if view.owners.get(shard) == self._me][:SEALING]
        if not going:
            return False
        self._handing_over = True
        try:
            await self._hand_over(view, {shard: planned[shard] for shard in going})
        finally:
            self._handing_over = False
        return True

    async def _hand_over(self, view: View, planned: Mapping[int, str]) -> None:
        going = tuple(planned)
        await self._host.seal_shards(going)
        self._ours -= set(going)
        to = {node: [shard for shard in going if planned[shard] == node] for node in planned.values()}
        told = (self._host.hand_over(shards, node) for node, shards in to.items())
        await asyncio.gather(self._store.release(going), *told)
        for node, shards in to.items():
            handed_over = await self._coordinator.hand_over(shards, view.members[node])
            if refused := set(shards) - handed_over:
                await self._coordinator.give_up(refused)

    async def _let_all_go(self, view: View) -> None:
        """As long as it stays a taker, the others would leave its share to it. Again and again until that is seen to be
        done: the coordinator may be out of reach as well."""
        self._drop(set(self._ours), _SILENT)
        self._unfit = True
        seat = view.members.get(self.member.node)
        if seat is None or not seat.leaving:
            await self._coordinator.announce(msgspec.structs.replace(self.member, leaving=True))
        if mine := {shard for shard, owner in view.owners.items() if owner == self._me}:
            await self._coordinator.give_up(mine)

    async def _be_fit_again(self) -> None:
        """Once the store answers; StoreError if it does not."""
        await self._store.read_shards()
        await self._coordinator.announce(self.member)
        self._unfit = False

    def _drop(self, shards: set[int], why: str) -> None:
        if shards:
            log.warning("shards dropped", shards=sorted(shards), why=why)
            self._ours -= shards
            self._host.drop_shards(tuple(shards), why)


def _name(owner: Owner | None) -> str | None:
    return None if owner is None else owner.node
