"""A real PgBouncer in transaction mode in front of the tests' server, which tests may stop and start again.

`UNDERSTUDY_TEST_PGBOUNCER` names another than the one on PATH. Machines without any have the imitation in `pooler`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.storage.database import Database

START_S: Final = 30.0
POOL_SIZE: Final = 3
"""Fewer than one node asks for, so that connections wait for one another."""


def binary() -> str:
    """Skips the test if there is none. Distributions put it where only root looks."""
    named = os.environ.get("UNDERSTUDY_TEST_PGBOUNCER", "pgbouncer")
    found = shutil.which(named) or shutil.which(named, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"there is no {named} on this machine: install it, or name it in UNDERSTUDY_TEST_PGBOUNCER")
    return found


class PgBouncer:
    def __init__(self, folder: Path, database: Database, *, ignored: str = "") -> None:
        """`ignored`: settings of a client's that it says nothing about. By default it refuses those that it does not
        know."""
        self._binary = binary()
        self._user = database.system_user
        self._log = folder / "pgbouncer.log"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._ini = folder / "pgbouncer.ini"
        self._ini.write_text(
            "[databases]\n"
            f"postgres = host={database.socket.parent} port={database.socket.suffix[1:]} user=postgres\n"
            "[pgbouncer]\n"
            "pool_mode = transaction\n"
            f"default_pool_size = {POOL_SIZE}\n"
            "server_round_robin = 1\n"  # so that no two transactions in a row have the same server, if that can be
            "server_login_retry = 1\n"  # 15 s by default, for which a server that is back would not be found
            f"ignore_startup_parameters = {ignored}\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            "auth_type = any\nadmin_users = postgres\n"
        )

    def url(self, store: str) -> str:
        """The way through it to the same store."""
        options = store.rpartition("/")[2].partition("&")[2]
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?{options}"

    def start(self) -> None:
        # It does not run as root; and only its server's own user may reach the socket.
        who = ["-u", self._user] if self._user else []
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._binary, *who, str(self._ini)], stdout=log, stderr=log)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self._process.poll() is None, f"PgBouncer has ended:\n{self._log.read_text()}"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)  # between two looks at a program that starts
        raise AssertionError("PgBouncer did not start")

    def stop(self) -> None:
        """At once, whoever is in the middle of a transaction."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # SIGTERM waits for clients since PgBouncer 1.23
            self._process.wait()
            self._process = None


@contextmanager
def running_pgbouncer(folder: Path, database: Database, *, ignored: str = "") -> Generator[PgBouncer]:
    made = PgBouncer(folder, database, ignored=ignored)
    made.start()
    try:
        yield made
    finally:
        made.stop()
