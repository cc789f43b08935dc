"""python -m benchmarks WORKLOAD... [--store sqlite|memory|URL] [--via embedded|grpc] [--json] [--repeats N] [sizes]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.measure import Figures
from benchmarks.place import is_in_memory
from benchmarks.repeat import Order, repeat
from benchmarks.report import Line, as_json, table
from benchmarks.workloads import NEED_A_DATABASE, NEED_A_FILE, NEED_GRPC, NOT_VIA_GRPC, WORKLOADS, sizes_of
from understudy_runtime.storage.urls import is_database

DEFAULT_DIR = Path(".understudy-bench")
DEFAULT_REPEATS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    lines: list[Line] = []
    limits: dict[str, float] = {}
    if is_in_memory(given.dir):
        print(
            f"{given.dir} is in memory, where durability is free: give a folder on a disk with --dir", file=sys.stderr
        )
    for workload in given.workloads:
        measured = run(given, workload)
        for figures in measured:
            lines.append(Line(workload, store_name(given.store), given.repeats, figures, limits, given.via))
            if given.json:
                print(as_json(lines[-1]), flush=True)
        if workload == "limits":
            limits = {figures.variant.replace("-", "_"): figures.rate for figures in measured}
    if not given.json:
        table(lines, Console())


def run(given: argparse.Namespace, workload: str) -> list[Figures]:
    def progress(number: int) -> None:
        print(f"{workload}: {number} of {given.repeats}", file=sys.stderr)

    sizes = {name: value for name in sizes_of(workload) if (value := getattr(given, name)) is not None}
    return repeat(Order(workload, given.store, given.dir, sizes, given.via), given.repeats, progress)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure understudy on this machine: medians over repeats, each in a process and store of its own.",
    )
    parser.add_argument("workloads", nargs="+", metavar="WORKLOAD", choices=[*WORKLOADS, "all"], help=_names())
    parser.add_argument(
        "--store", type=_store, default="sqlite", help="sqlite, memory, or the URL of a database to make schemas in"
    )
    parser.add_argument(
        "--via", choices=["embedded", "grpc"], default="embedded", help="a node in this process, or in another one"
    )
    parser.add_argument("--json", action="store_true", help="one object per line on stdout")
    parser.add_argument("--repeats", type=_positive, default=DEFAULT_REPEATS, metavar="N")
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="where stores are made, on a real disk")
    _add_sizes(parser)
    given = parser.parse_args(arguments)
    _check(parser, given)
    return given


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    sizes = parser.add_argument_group("sizes, each for the workloads that have it")
    for name, users in _sizes().items():
        is_whole = all(isinstance(default, int) for default in users.values())
        defaults = ", ".join(f"{workload} {default:,}" for workload, default in users.items())
        sizes.add_argument(_flag(name), type=_positive if is_whole else _above_zero, metavar="N", help=defaults)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    in_memory, remote = given.store == "memory", given.via == "grpc"
    cannot = (NEED_A_FILE if in_memory else frozenset[str]()) | (NOT_VIA_GRPC if remote else NEED_GRPC)
    if not is_database(given.store):
        cannot |= NEED_A_DATABASE
    if "all" in given.workloads:
        given.workloads = [name for name in WORKLOADS if name not in cannot]
    if in_memory and (useless := NEED_A_FILE.intersection(given.workloads)):
        parser.error(f"{min(useless)} needs --store sqlite: nothing in memory outlives its process")
    if not is_database(given.store) and (useless := NEED_A_DATABASE.intersection(given.workloads)):
        parser.error(f"{min(useless)} needs --store postgresql://...: it is about a database")
    if useless := cannot.intersection(given.workloads):
        other, why = ("embedded", "it has a node of its own kind") if remote else ("grpc", "it is about the door")
        parser.error(f"{min(useless)} needs --via {other}: {why}")
    for name, users in _sizes().items():
        if getattr(given, name) is not None and not users.keys() & set(given.workloads):
            parser.error(f"{_flag(name)} is a size of {', '.join(users)}")


def _sizes() -> dict[str, dict[str, int | float]]:
    """Every size, with its default for each workload that has it."""
    users: dict[str, dict[str, int | float]] = {}
    for workload in WORKLOADS:
        for name, default in sizes_of(workload).items():
            users.setdefault(name, {})[workload] = default
    return users


def _names() -> str:
    return f"{', '.join(WORKLOADS)}, or all"


def store_name(store: str) -> str:
    """What the figures call it: a URL may hold a password."""
    return "postgresql" if is_database(store) else store


def _store(text: str) -> str:
    if text not in ("sqlite", "memory") and not is_database(text):
        raise argparse.ArgumentTypeError("must be sqlite, memory or postgresql://user@host/database")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _above_zero(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


if __name__ == "__main__":
    main()
