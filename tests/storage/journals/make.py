"""Writes the store that is kept of this release: `schema-N.sql`, as text.

    PYTHONPATH=sdk:runtime python -m tests.storage.journals.make

Run it once for each schema or release that changes what journals hold, and keep the files of all others.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import understudy
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
from understudy import Client, RunFailed
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
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "state.db"
        async with understudy.embedded(app, store=f"sqlite:///{store}") as client:
            await fill(client)
            kept = Path(__file__).with_name(f"schema-{schema.SCHEMA}.sql")
            kept.write_text(dump(store))
            PACKING_MAY_END.set()


if __name__ == "__main__":
    asyncio.run(main())
