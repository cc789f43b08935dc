"""`understudy store backup | restore | adopt | prune`."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final

from understudy.errors import BadRequest
from understudy.options import seconds
from understudy_runtime.cli.output import results_only
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.storage.reading import open_reader
from understudy_runtime.storage.sqlite import backup
from understudy_runtime.storage.urls import MEMORY, file_of, is_database, open_url

NAME: Final = "understudy store"
RUNS_AT_ONCE: Final = 100
ALL: Final = 1_000_000_000


def back_up(store: str, file: str, as_json: bool) -> None:
    with refusals():
        if is_database(store):
            raise BadRequest(
                "a database is backed up by its own tools, online: pg_dump of the store's schema, or a base backup and "
                "the log for a moment in time; after a restore, `understudy store adopt --store URL`"
            )
        source, to = _file(store), Path(file).expanduser()
        backup.back_up(source, to, time.time())
        _say(f"{source} backed up to {to}", {"backup": str(to), "bytes": to.stat().st_size}, as_json)


def restore(file: str, into: str, as_json: bool) -> None:
    with refusals():
        if is_database(into):
            raise BadRequest("a file is restored into a file; a database by its own tools, and then adopted")
        source, to = Path(file).expanduser(), _file(into)
        backup.restore(source, to, time.time())
        _say(f"{source} restored into {to}", {"store": str(to)}, as_json)


def adopt(store: str, as_json: bool) -> None:
    with refusals():
        if is_database(store):
            asyncio.run(_adopt(store))
        else:
            backup.adopt(_file(store), time.time())
        _say("adopted: nodes can be started", {"adopted": True}, as_json)


async def _adopt(url: str) -> None:
    from understudy_runtime.storage.postgres import PostgresStore

    database = PostgresStore(url)
    await database.open(f"{NAME} adopt", time.time())
    try:
        await database.begin_epoch()
    finally:
        await database.close()


def prune(store: str, older_than: str, dry_run: bool, as_json: bool) -> None:
    with refusals():
        before = time.time() - seconds(older_than)
        count = (
            asyncio.run(_prune(store, before, dry_run)) if is_database(store) else _prune_file(store, before, dry_run)
        )
        told = "would be deleted" if dry_run else "deleted"
        _say(f"{count} runs {told}", {"runs": count, "deleted": not dry_run}, as_json)


def _prune_file(url: str, before: float, dry_run: bool) -> int:
    with open_reader(_file(url)) as reader:  # never makes a file
        if dry_run:
            return len(reader.closed_runs(before, -1))
    return asyncio.run(_prune(url, before, dry_run))


async def _prune(url: str, before: float, dry_run: bool) -> int:
    store = open_url(url)
    await store.open(f"{NAME} prune", time.time())
    try:
        if dry_run:
            return len(await store.closed_runs(before, ALL))
        deleted = 0
        while gone := await store.delete(await store.closed_runs(before, RUNS_AT_ONCE), before):
            deleted += gone
        return deleted
    finally:
        await store.close()


def _file(url: str) -> Path:
    if url == MEMORY:
        raise BadRequest(f"{MEMORY} is forgotten when its process ends; name a file")
    return file_of(url)


def _say(text: str, facts: dict[str, Any], as_json: bool) -> None:
    with results_only() as output:
        output.result(json.dumps(facts) if as_json else text)
