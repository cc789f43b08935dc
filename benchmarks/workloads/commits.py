"""Group commit on a database that answers at once, or 1 or 5 ms later: with 1, 10 and 100 runs in flight.

A run of one task is two commits, one after the other, which it may share with others. Latency is from `client.run` to
its result; the delay is added to each answer of the database, by a process in between, which is there for none, too.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import understudy
from benchmarks.app import app, hello
from benchmarks.delay import delayed
from benchmarks.driving import in_flight, warm_up
from benchmarks.measure import Figures, figures
from benchmarks.place import Place

DELAYS_MS = (0.0, 1.0, 5.0)


async def measure(place: Place, *, runs: int = 2_000, in_flight_runs: int = 100, alone: int = 200) -> list[Figures]:
    measured: list[Figures] = []
    counts = {1: alone, 10: (alone + runs) // 2, in_flight_runs: runs}
    for delay_ms in DELAYS_MS:
        host, port = server_of(place.url)
        async with (
            delayed(host, port, delay_ms) as way,
            understudy.embedded(app, store=by_way_of(place.url, way)) as client,
        ):
            await warm_up(client)
            for limit, count in counts.items():
                pace = await in_flight(count, limit, lambda x: client.run(hello, x))
                variant = f"{delay_ms:g} ms more, {limit} in flight"
                measured.append(
                    figures(
                        variant, done=count, unit="runs/s", seconds=pace.seconds, latencies_ms=pace.latencies_ms,
                        runs=count,
                    )
                )  # fmt: skip
    return measured


def server_of(url: str) -> tuple[str, int]:
    """Host, or the folder of its socket, and port."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return parts.hostname or options["host"], parts.port or int(options.get("port", "5432"))


def by_way_of(url: str, port: int) -> str:
    parts = urlsplit(url)
    options = {name: value for name, value in parse_qsl(parts.query) if name not in ("host", "port")}
    user = parts.netloc.rpartition("@")[0]
    netloc = f"{user}{'@' if user else ''}127.0.0.1:{port}"
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(options, quote_via=quote)))
