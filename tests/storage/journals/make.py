"""Writes the stores that are kept of this release, as text: `schema-N.sql` of the shop, `plant-N.sql` of the plant.

    PYTHONPATH=sdk:runtime python -m tests.storage.journals.make

Run it once for each schema or release that changes what journals hold, and keep the files of all others.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import understudy
from tests.storage.journals import plant
from tests.storage.journals.shop import (
    PACKING_BEGAN,
    PACKING_MAY_END,
    Purchase,
    Stock,
    app,
    labelled,
    out_of_stock,
    quote,
)
from understudy import App, Client, RunFailed, lock
from understudy_runtime.storage.sqlite import schema

CHECKOUT: Final = Path(__file__).parents[3]
"""Where this machine keeps the sources. Tracebacks name it; the kept file does not, nor the machine."""


async def fill(client: Client) -> None:
    """Runs that have ended, one that waits for a person, one with an attempt under way, and an actor."""
    await client.run(quote, ["tea", "coffee"], id="quote")
    await client.run(labelled, "tea", id="labelled")
    with suppress(RunFailed):
        await client.run(out_of_stock, "tea", id="out-of-stock")
    await client.ask(Stock.at("tea"), Stock.add, 40)
    await client.ask(Stock.at("tea"), Stock.add, 2)
    await client.start(Purchase, "coffee", id="undecided")
    packing = await client.start(Purchase, "tea", id="packing")
    await packing.tell(Purchase.decide, "bought")
    await asyncio.to_thread(PACKING_BEGAN.wait)


async def fill_plant(client: Client) -> None:
    """Leases that have ended, one held and one waited for; a job outside; a reminder; a schedule; ends of all kinds."""
    for part in ("left", "right"):
        await client.run(plant.stamped, part, id=f"stamped-{part}")
    await client.run(plant.jams, id="jams")
    holder = await client.start(plant.Guarded, id="holder")
    await holder.ask(plant.Guarded.holding)
    await client.start(plant.Guarded, id="waiter")
    await client.run(plant.timed_out, id="timed-out")
    for end in ("cancelled", "terminated"):
        run = await client.start(plant.Guarded, id=end)
        await (run.cancel() if end == "cancelled" else run.terminate())
    await client.handle("stamped-left").retry()
    await client.handle("stamped-left").result()
    await client.ask(plant.Foreman.at("ann"), plant.Foreman.note, "came")
    for text in ("never", "goes"):
        await client.ask(plant.Foreman.at("ann"), plant.Foreman.later, text)
    await client.ask(plant.Foreman.at("ann"), plant.Foreman.never, "never")
    await client.run(plant.rounds, id="rounds")
    await client.handle("rounds").retry()
    await client.handle("rounds").result()
    await client.run(plant.gives_up, id="gives-up")
    async with client.lease(lock("outside")):
        pass
    for schedule in ("inspections", "gone"):
        await client.schedules.create(schedule, plant.inspected, every="1000d")
        run_id = await client.schedules.trigger(schedule)
        await client.handle(run_id, plant.inspected).result()
        await client.schedules.pause(schedule)
        await client.schedules.resume(schedule)
    await client.schedules.delete("gone")
    await client.start(plant.curing, "door", id="curing")
    await asyncio.to_thread(plant.POLLED.wait)


def dump(store: Path) -> str:
    """The store as SQL. Its writer may be at work."""
    con = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    lines = [f"PRAGMA application_id = {schema.APPLICATION_ID};", *con.iterdump()]
    [(node,)] = con.execute("SELECT owner FROM shard").fetchall()
    con.close()
    text = re.sub(r"(?<=,)Inf(?=[,)])", "9e999", "\n".join(lines)) + "\n"
    for here, anywhere in ((str(CHECKOUT), "."), (node, "node-a")):
        text = text.replace(_hex(here), _hex(anywhere)).replace(here, anywhere)
    return text


def _hex(text: str) -> str:
    return text.encode().hex().upper()


async def main() -> None:
    await keep("schema", app, fill)
    await keep("plant", plant.app, fill_plant)


async def keep(name: str, app: App, fill: Callable[[Client], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "state.db"
        async with understudy.embedded(app, store=f"sqlite:///{store}") as client:
            await fill(client)
            Path(__file__).with_name(f"{name}-{schema.SCHEMA}.sql").write_text(dump(store))
            PACKING_MAY_END.set()


if __name__ == "__main__":
    asyncio.run(main())
