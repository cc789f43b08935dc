"""The golden files: a line for each value, in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw

DATA: Final = Path(__file__).with_name("data")


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value: of which type, which variant of it, how it is encoded, and (`whole`) what it reads as."""

    of: str
    variant: str
    text: Raw
    whole: Any = None

    @property
    def name(self) -> str:
        return f"{self.of}-{self.variant}"


def file_of(part: str) -> Path:
    return DATA / f"{part}.jsonl"


def read(part: str) -> list[Line]:
    return [msgspec.json.decode(line, type=Line) for line in file_of(part).read_bytes().splitlines()]


def write(part: str, lines: Sequence[Line]) -> None:
    DATA.mkdir(exist_ok=True)
    ordered = sorted(lines, key=lambda line: line.of)
    file_of(part).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in ordered))
