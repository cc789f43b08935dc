"""What any release has encoded is read as it was meant, and encoded again it is the same.

Goldens hold each type at its least, filled, at the limits of JSON, and with each of its alternatives. What is not
tried here: that a machine does the right thing with what it reads; see `test_machines`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from tests.goldens.filling import expanded
from tests.goldens.formats import FORMATS, Format
from tests.goldens.lines import Line, read
from understudy_runtime.core.kinds import Command, Input, Note, Record

LINES: Final = [(name, line) for name in FORMATS for line in read(name)]


@pytest.mark.parametrize(("name", "line"), LINES, ids=[f"{name}-{line.name}" for name, line in LINES])
def test_what_was_encoded_is_read_and_encoded_again_the_same(name: str, line: Line) -> None:
    form = FORMATS[name]
    value = form.decode(line.of, bytes(line.text))
    assert type(value) is form.kinds[line.of]
    assert form.encode(value) == bytes(line.text)
    if line.whole is not None:
        assert missing(line.whole, expanded(value)) == []


def missing(golden: Any, now: Any, at: str = "") -> list[str]:
    """Where `now` is not what it was. Fields may have been added."""
    match golden, now:
        case dict(), dict():
            left = dict(_items(now))
            return [why for key, each in _items(golden) for why in missing(each, left.get(key, "gone"), f"{at}.{key}")]
        case list(), list() if len(_each(golden)) == len(_each(now)):
            return [why for each, other in zip(_each(golden), _each(now), strict=True) for why in missing(each, other)]
        case _:
            return [] if golden == now else [f"{at}: {golden!r} is now {now!r}"]


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items())


def _each(value: Any) -> list[Any]:
    return list(value)


@pytest.mark.parametrize("name", FORMATS)
def test_no_type_has_gone(name: str) -> None:
    golden = {line.of for line in read(name)}
    assert golden
    assert golden - set(FORMATS[name].kinds) == set()


@pytest.mark.parametrize("name", FORMATS)
def test_every_type_has_a_golden(name: str) -> None:
    """For a new type, `python -m tests.goldens.make --add` writes one."""
    assert set(FORMATS[name].kinds) - {line.of for line in read(name)} == set()


def test_records_are_inputs_commands_and_notes_as_ever() -> None:
    bases = (Input, Command, Note)
    golden = {line.of: line.variant for line in read("kinds")}
    now = {of: next(base.__name__ for base in bases if issubclass(kind, base)) for of, kind in _records().items()}
    assert {of: now.get(of) for of in golden} == golden


def _records() -> dict[str, type[msgspec.Struct]]:
    kinds = FORMATS["records"].kinds
    assert all(issubclass(kind, Record) for kind in kinds.values())
    return dict(kinds)


@pytest.mark.parametrize("name", FORMATS)
def test_a_field_that_has_gone_would_be_noticed(name: str) -> None:
    """The goldens can fail: of each filled one, every field that it has is looked at."""
    for line in read(name):
        if line.variant == "filled" and len(line.whole) > len(_own(FORMATS[name], line)):
            without = dict(expanded(FORMATS[name].decode(line.of, bytes(line.text))))
            field = next(field for field in without if field not in _own(FORMATS[name], line))
            del without[field]
            assert missing(line.whole, without) != []


def _own(form: Format, line: Line) -> set[str]:
    """What is no field."""
    config = form.kinds[line.of].__struct_config__
    return set() if config.tag is None else {str(config.tag_field)}
