"""Connections to the database: how they are set up, and made again when they break.

Straight to the server, a connection sets its timeouts and its planner once, prepares statements and keeps them.
Behind a pooler in transaction mode (PgBouncer) each transaction may run on another server, so nothing is kept:
every statement is in a transaction, which begins with the same settings. A pooler is found out by the settings that it
refuses and by the process id that it makes up, or said in the URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg

from understudy.errors import StoreError
from understudy_runtime.storage.postgres.address import Address
from understudy_runtime.storage.postgres.faults import POOLER, explain, keeps_connection, passes, state_of

T = TypeVar("T")
Row = Sequence[Any]

MIN_SERVER: Final = (14, 0)
CONNECT_TIMEOUT_S: Final = 5.0
LOCK_TIMEOUT_S: Final = 2.0
GRACE_S: Final = 2.0
"""How much longer we wait for the answer to a statement than the server takes to give up on it."""
FOREVER: Final = float("inf")
CLOSE_TIMEOUT_S: Final = 2.0
FIRST_DELAY_S: Final = 0.05
MAX_DELAY_S: Final = 1.0

TRANSACTION: Final = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "on",
    "enable_mergejoin": "off",
}
"""Our statements are few, and look up by key: one plan does for all, made while a table was still small or not."""

SESSION: Final = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""The server lets go of a machine that is gone within some ten seconds, and of its locks."""

_UNSUPPORTED: Final = "08P01"
"""What a pooler answers to settings that it does not know."""


class Dialer:
    """Makes connections; knows whether there is a pooler in between."""

    def __init__(self, address: Address, name: str) -> None:
        self.address = address
        self._name = name[:63]
        self.pooled = address.pooler

    async def dial(self, statement_timeout_s: float) -> Connection:
        """Errors are the driver's."""
        limits = _limits(statement_timeout_s)
        if not self.pooled:
            try:
                raw = await self._connect(limits)
                if await _is_the_server(raw):
                    return Connection(raw, limits, statement_timeout_s, pooled=False)
                raw.terminate()
            except asyncpg.PostgresError as error:
                if state_of(error) != _UNSUPPORTED:
                    raise
            self.pooled = True
        return Connection(await self._connect({}), limits, statement_timeout_s, pooled=True)

    async def _connect(self, limits: dict[str, str]) -> Any:
        session = {**SESSION, **TRANSACTION, **limits} if limits else {}
        async with asyncio.timeout(CONNECT_TIMEOUT_S + GRACE_S):
            raw = await asyncpg.connect(
                self.address.dsn,
                timeout=CONNECT_TIMEOUT_S,
                statement_cache_size=0 if self.pooled else 200,
                max_cached_statement_lifetime=0,
                server_settings={"application_name": self._name, **session},
            )
        if (found := raw.get_server_version())[:2] < MIN_SERVER:
            raw.terminate()
            raise StoreError(f"store {self.address.shown}: PostgreSQL {found[0]} is too old: it must be 14 or later")
        return raw


async def _is_the_server(raw: Any) -> bool:
    """Whether what we talk to is the process that it says it is: a pooler makes up an id of its own."""
    try:
        return bool(await raw.fetchval("SELECT pg_backend_pid()", timeout=CONNECT_TIMEOUT_S) == raw.get_server_pid())
    except asyncpg.PostgresError as error:
        if state_of(error) in POOLER:
            return False
        raise


def _limits(statement_timeout_s: float) -> dict[str, str]:
    return {
        "statement_timeout": f"{int(statement_timeout_s * 1000)}",
        "lock_timeout": f"{int(LOCK_TIMEOUT_S * 1000)}",
        "idle_in_transaction_session_timeout": f"{int((statement_timeout_s + GRACE_S) * 1000)}",
    }


class Connection:
    """One connection, used by one caller at a time."""

    def __init__(self, raw: Any, limits: dict[str, str], statement_timeout_s: float, *, pooled: bool) -> None:
        self._raw = raw
        self._timeout_s = statement_timeout_s + GRACE_S
        self._in_transaction = False
        self.pooled = pooled
        settings = {**TRANSACTION, **limits} if pooled else {}
        self._settings = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in settings.items())

    @property
    def closed(self) -> bool:
        return bool(self._raw.is_closed())

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Row]:
        if self.pooled and not self._in_transaction:
            async with self.transaction():
                return await self.fetch(sql, *arguments)
        rows: Sequence[Row] = await self._raw.fetch(sql, *arguments, timeout=self._timeout_s)
        return rows

    async def value(self, sql: str, *arguments: Any) -> Any:
        return (await self.fetch(sql, *arguments))[0][0]

    async def script(self, sql: str) -> None:
        """Statements without arguments. They must be in a transaction, or be one."""
        await self._raw.execute(sql, timeout=self._timeout_s)

    @asynccontextmanager
    async def transaction(self, kind: str = "") -> AsyncGenerator[None]:
        await self.script(f"BEGIN {kind}; {self._settings}")
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._in_transaction = False
            with suppress(Exception):  # what went wrong is being told already, and a broken connection rolls back too
                await self.script("ROLLBACK")
            raise
        self._in_transaction = False
        await self.script("COMMIT")

    async def close(self) -> None:
        try:
            await self._raw.close(timeout=CLOSE_TIMEOUT_S)
        except Exception:
            self.drop()

    def drop(self) -> None:
        self._raw.terminate()


Greet = Callable[[Connection], Awaitable[None]]


class Connections:
    """Up to `size` connections, made when they are needed, each by one question at a time.

    A question that fails of a passing fault (a restart, a failover, no connection to spare) is asked again, with
    growing delays, for `patience_s`: so whatever is asked must be the same done twice.
    """

    def __init__(
        self, dialer: Dialer, size: int, *, statement_timeout_s: float, patience_s: float, greet: Greet | None = None
    ) -> None:
        self._dialer = dialer
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._statement_timeout_s = statement_timeout_s
        self._patience_s = patience_s
        self._greet = greet
        self._asked_at: list[float] = []
        self.answered_at = 0.0
        """When anything was last answered, in the loop's time."""

    @property
    def asked_at(self) -> float | None:
        """Since when something has been asked without an answer, in the loop's time."""
        return self._asked_at[0] if self._asked_at else None

    @property
    def silent_s(self) -> float:
        return silence(self)

    async def ask(self, question: Callable[[Connection], Awaitable[T]], patience_s: float = FOREVER) -> T:
        """The answer, or the driver's last error. `patience_s`: if that is less than what it has anyway."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._slots:
            self._asked_at.append(asked_at)
            try:
                answer = await self._insist(question, asked_at + min(patience_s, self._patience_s))
                self.answered_at = loop.time()
                return answer
            finally:
                self._asked_at.remove(asked_at)

    async def _insist(self, question: Callable[[Connection], Awaitable[T]], until: float) -> T:
        delay_s = FIRST_DELAY_S
        at_once = True
        while True:
            connection: Connection | None = None
            try:
                connection = await self._take()
                answer = await question(connection)
            except BaseException as error:
                self._part_with(connection, error)
                if not passes(error) or asyncio.get_running_loop().time() + delay_s > until:
                    raise
                if state_of(error) in POOLER:
                    self._dialer.pooled = True
            else:
                self._idle.append(connection)
                return answer
            if at_once and connection is not None:
                at_once = False  # most likely the connection broke while nobody looked
                continue
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, MAX_DELAY_S)

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        connection = await self._dialer.dial(self._statement_timeout_s)
        if self._greet is not None:
            try:
                await self._greet(connection)
            except BaseException:
                connection.drop()
                raise
        return connection

    def _part_with(self, connection: Connection | None, error: BaseException) -> None:
        if connection is None or connection.closed:
            return
        if keeps_connection(error):
            self._idle.append(connection)
        else:
            connection.drop()
            if passes(error):
                self._drop_idle()

    def _drop_idle(self) -> None:
        """The others are most likely as broken."""
        for each in self._idle:
            each.drop()
        self._idle.clear()

    async def close(self, farewell: str = "") -> None:
        """Once nothing is asked any more. `farewell` is a last statement for each connection."""
        idle, self._idle = self._idle, []
        for each in idle:
            if farewell:
                with suppress(Exception):  # a broken connection has nothing to say farewell to
                    await each.script(farewell)
            await each.close()


def as_store_error(address: Address, error: Exception) -> StoreError:
    return error if isinstance(error, StoreError) else StoreError(explain(address.shown, error))


def silence(*several: Connections) -> float:
    """For how long something has been asked without anything being answered, in seconds; 0.0 if nothing is asked."""
    asked = [at for each in several if (at := each.asked_at) is not None]
    if not asked:
        return 0.0
    since = max(min(asked), *(each.answered_at for each in several))
    return asyncio.get_running_loop().time() - since
