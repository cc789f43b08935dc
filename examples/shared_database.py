"""Many runs, one database, and never more than five connections to it.

    understudy run examples/shared_database.py:import_orders --input '{"orders": 100}'
    understudy run examples/shared_database.py:import_orders --input '{"orders": 100,
        "database": "postgresql://app@localhost/shop"}'

A database is a resource that nobody has to make: a type without `create`. Its capacity is the budget of connections,
a lease of one unit is the right to open one, and who wants more waits for its turn without holding a thread. The
budget is of the whole namespace: of all runs, on all nodes.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import asyncpg

from understudy import App, Resource, Retry

app = App("shared-database")

CONNECTIONS = 5

Execute = Callable[..., Awaitable[Any]]


@app.resource(capacity=CONNECTIONS)
class Database(Resource[str, str]):
    """Its URL is all there is to it."""


@app.workflow
async def import_orders(orders: int, database: str = "sqlite:///shop.db") -> int:
    """How many orders are in the database. Each is imported by a run of its own."""
    async with Database.at("shop", database).lease():
        await create_table(database)
    await asyncio.gather(*(import_order(number, database) for number in range(orders)))
    async with Database.at("shop", database).lease():
        return await count(database)


@app.workflow
async def import_order(number: int, database: str) -> None:
    cents = await price(number)  # whatever takes time is done without a connection
    async with Database.at("shop", database).lease(wait="1h"):
        await insert(database, number, cents)


@app.task
async def price(number: int) -> int:
    return 100 + number


@app.task(retry=Retry(attempts=5, first="1s"))
async def create_table(database: str) -> None:
    async with connection(database) as execute:
        await execute("CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, cents INTEGER)")


@app.task(retry=Retry(attempts=5, first="1s"))
async def insert(database: str, number: int, cents: int) -> None:
    """Done again, after the node has died, it changes nothing."""
    async with connection(database) as execute:
        await execute("INSERT INTO orders VALUES ($1, $2) ON CONFLICT DO NOTHING", number, cents)


@app.task(retry=Retry(attempts=5, first="1s"))
async def count(database: str) -> int:
    async with connection(database) as execute:
        [(orders,)] = await execute("SELECT count(*) FROM orders")
        return int(orders)


@asynccontextmanager
async def connection(database: str) -> AsyncGenerator[Execute]:
    """One connection, of either kind: a function that takes a statement with its values, and returns rows."""
    if database.startswith("postgresql://"):
        postgres = await asyncpg.connect(database)
        try:
            yield postgres.fetch
        finally:
            await postgres.close()
        return
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"), timeout=60, check_same_thread=False)) as sqlite:

        def execute(sql: str, *values: Any) -> list[Any]:
            with sqlite:
                return sqlite.execute(sql, {str(number): value for number, value in enumerate(values, 1)}).fetchall()

        async def in_thread(sql: str, *values: Any) -> list[Any]:
            return await asyncio.to_thread(execute, sql, *values)

        yield in_thread
