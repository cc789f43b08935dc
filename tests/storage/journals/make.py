"""Writes the store that is kept of this release: `schema-N.sql`, as text.

    PYTHONPATH=sdk:runtime python -m tests.storage.journals.make

Run it once for each schema or release that changes what journals hold, and keep the files of all others.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from pathlib import Path

import understudy
from tests.storage.journals.shop import Purchase, Stock, app, labelled, out_of_stock, quote
from understudy import Client, RunFailed
from understudy_runtime.storage.sqlite import schema


async def fill(client: Client) -> None:
    """Runs that have ended, one that waits for a person, one with an attempt under way, and an actor."""
    await client.run(quote, ["tea", "coffee"], id="quote")
    await client.run(labelled, "tea", id="labelled")
    try:
        await client.run(out_of_stock, "tea", id="out-of-stock")
    except RunFailed:
        pass
    await client.ask(Stock.at("tea"), Stock.add, 40)
    await client.tell(Stock.at("tea"), Stock.add, 2)
    await client.start(Purchase, "coffee", id="undecided")
    packing = await client.start(Purchase, "tea", id="packing")
    await packing.tell(Purchase.decide, "bought")
    while (await packing.describe()).running == 0 or await client.ask(Stock.at("tea"), Stock.current) != 42:
        await asyncio.sleep(0.01)


def dump(store: Path) -> str:
    """The store as SQL. Its writer may be at work."""
    con = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    lines = [f"PRAGMA application_id = {schema.APPLICATION_ID};", *con.iterdump()]
    con.close()
    return "\n".join(lines) + "\n"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "state.db"
        async with understudy.embedded(app, store=f"sqlite:///{store}") as client:
            await fill(client)
            kept = Path(__file__).with_name(f"schema-{schema.SCHEMA}.sql")
            kept.write_text(dump(store))
            print(f"wrote {kept}", flush=True)
            # A clean end would wait for the packing, which must be found under way.
            os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
