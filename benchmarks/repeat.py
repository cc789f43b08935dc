"""Repeats of one workload, each in a fresh process with a fresh store, and the medians of what they measured."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.measure import Figures, medians
from benchmarks.place import fresh_place
from benchmarks.workloads import measure


class Order(msgspec.Struct, frozen=True):
    """What is to be measured: `sizes` are the workload's own."""

    workload: str
    store: str
    dir: Path
    sizes: dict[str, int | float] = {}
    via: str = "embedded"


def repeat(order: Order, repeats: int, progress: Callable[[int], object]) -> list[Figures]:
    """The medians of each variant; `progress` is told the number of each repeat before it begins."""
    measured: list[list[Figures]] = []
    for number in range(1, repeats + 1):
        progress(number)
        measured.append(in_fresh_process(order))
    return [medians(variant) for variant in zip(*measured, strict=True)]


def in_fresh_process(order: Order) -> list[Figures]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(once, order).result()


def once(order: Order) -> list[Figures]:
    with fresh_place(order.store, order.dir, order.via) as place:
        return asyncio.run(measure(order.workload, place, order.sizes))
