"""python -m benchmarks WORKLOAD... [--store sqlite|memory] [--json] [--repeats N] [--dir FOLDER] [sizes]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.measure import Figures
from benchmarks.place import NotADisk
from benchmarks.repeat import Order, repeat
from benchmarks.report import Line, as_json, table
from benchmarks.workloads import NEED_A_FILE, WORKLOADS, sizes_of

DEFAULT_DIR = Path(".understudy-bench")
DEFAULT_REPEATS = 3
USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    lines: list[Line] = []
    limits: dict[str, float] = {}
    try:
        for workload in given.workloads:
            for figures in run(given, workload):
                line = Line(workload, given.store, given.repeats, figures, limits)
                lines.append(line)
                if given.json:
                    print(as_json(line), flush=True)
            if workload == "limits":
                limits = {_short(line.figures): line.figures.rate for line in lines if line.workload == "limits"}
    except NotADisk as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    if not given.json:
        table(lines, Console())
    return 0


def run(given: argparse.Namespace, workload: str) -> list[Figures]:
    def progress(number: int) -> None:
        print(f"{workload}: {number} of {given.repeats}", file=sys.stderr)

    sizes = {name: value for name in sizes_of(workload) if (value := getattr(given, name)) is not None}
    return repeat(Order(workload, given.store, given.dir, sizes), given.repeats, progress)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Medians over repeats; see --help.")
    parser.add_argument("workloads", nargs="+", metavar="WORKLOAD", choices=[*WORKLOADS, "all"], help=_names())
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--json", action="store_true", help="one object per line on stdout")
    parser.add_argument("--repeats", type=_positive, default=DEFAULT_REPEATS, metavar="N")
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="where stores are made, on a real disk")
    sizes = parser.add_argument_group("sizes, each for the workloads that have it")
    for name, users in _sizes().items():
        kind: Any = float if any(isinstance(default, float) for default in users.values()) else _positive
        defaults = ", ".join(f"{workload} {default:,}" for workload, default in users.items())
        sizes.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=defaults)
    given = parser.parse_args(arguments)
    _check(parser, given)
    return given


def _check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    in_memory = given.store == "memory"
    if "all" in given.workloads:
        given.workloads = [name for name in WORKLOADS if not (in_memory and name in NEED_A_FILE)]
    if in_memory and (useless := NEED_A_FILE.intersection(given.workloads)):
        parser.error(f"{min(useless)} needs --store sqlite: nothing in memory outlives its process")
    for name, users in _sizes().items():
        if getattr(given, name) is not None and not users.keys() & set(given.workloads):
            parser.error(f"--{name.replace('_', '-')} is a size of {', '.join(users)}")


def _sizes() -> dict[str, dict[str, int | float]]:
    """Every size, with its default for each workload that has it."""
    users: dict[str, dict[str, int | float]] = {}
    for workload in WORKLOADS:
        for name, default in sizes_of(workload).items():
            users.setdefault(name, {})[workload] = default
    return users


def _names() -> str:
    return f"{', '.join(WORKLOADS)}, or all"


def _short(figures: Figures) -> str:
    return "_".join(figures.variant.replace(",", "").split()[:2])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
