"""Whatever users of the last release name, call, catch and unpack is still there, and takes and means the same.

A signature may grow: by parameters with a default, at its end or by keyword. Fields may be added after those that
there are. What is not tried here: types, which `tests/sdk/typing_checks.py` holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final

import pytest

from tests.goldens.lines import Line, read
from tests.goldens.surface import fields, found, public, row, structs

NAMES: Final = read("surface")
TYPES: Final = read("fields")
Parameter = Sequence[str]
"""Name, kind, annotation, default."""


@pytest.mark.parametrize("line", NAMES, ids=lambda line: line.name)
def test_a_name_is_still_there_and_means_the_same(line: Line) -> None:
    value = found(line.of, line.variant)
    assert value is not None
    now = row(value)
    for part in ("kind", "values", "caught as"):
        assert now.get(part) == line.whole.get(part)
    assert set(line.whole.get("attributes", ())) <= set(now.get("attributes", ()))
    assert list(_broken_fields(line.whole.get("fields") or (), now.get("fields") or ())) == []
    assert list(_broken_call(line.whole, now)) == []
    assert list(_broken_members(line.whole.get("members", {}), now.get("members", {}))) == []


@pytest.mark.parametrize("line", NAMES, ids=lambda line: line.name)
def test_a_name_can_still_be_imported_from_where_it_is_defined(line: Line) -> None:
    module = line.whole.get("module")
    if module is not None and module.startswith("understudy"):
        assert getattr(import_module(module), line.variant) is found(line.of, line.variant)


@pytest.mark.parametrize("line", TYPES, ids=lambda line: line.name)
def test_what_users_are_given_has_its_fields_in_their_order(line: Line) -> None:
    assert list(_broken_fields(line.whole, fields(structs()[line.variant]))) == []


def test_no_public_name_has_become_private() -> None:
    """A new name gets its golden from `python -m tests.goldens.make --add` when it is released."""
    assert {(line.of, line.variant) for line in NAMES} <= {(module, name) for module, name, _ in public()}


def _broken_members(golden: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name, each in golden.items():
        if name not in now:
            yield f"{name} has gone"
        elif now[name]["kind"] != each["kind"]:
            yield f"{name} is a {now[name]['kind']}, and was a {each['kind']}"
        else:
            yield from (f"{name}: {why}" for why in _broken_call(each, now[name]))


def _broken_call(golden: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    if "signature" in golden:
        yield from _broken_signature(golden["signature"], now["signature"])
    overloads = now.get("overloads", [])
    for each in golden.get("overloads", []):
        if not any(not list(_broken_signature(each, other)) for other in overloads):
            yield f"an overload has gone: {each}"


def _broken_signature(golden: Sequence[Parameter], now: Sequence[Parameter]) -> Iterator[str]:
    """Why a call that was right is not any more. A call may name what it could only give in order, not the reverse."""
    by_name = {each[0]: each for each in now}
    for each in golden:
        other = by_name.get(each[0])
        if other is None:
            yield f"{each[0]} has gone"
        elif not _takes_as_before(each, other):
            yield f"{each} is now {other}"
    if _ordered(now)[: len(_ordered(golden))] != _ordered(golden):
        yield f"the order was {_ordered(golden)}, and is {_ordered(now)}"
    known = {each[0] for each in golden}
    yield from (f"{each[0]} is new and needed" for each in now if each[0] not in known and _is_needed(each))


def _takes_as_before(golden: Parameter, now: Parameter) -> bool:
    same_kind = golden[1] == now[1] or (golden[1] != "VAR_POSITIONAL" and now[1] == "POSITIONAL_OR_KEYWORD")
    return same_kind and golden[2] == now[2] and (golden[3] == now[3] or golden[3] == "")


def _ordered(signature: Sequence[Parameter]) -> list[str]:
    return [each[0] for each in signature if each[1].startswith("POSITIONAL")]


def _is_needed(parameter: Parameter) -> bool:
    return parameter[3] == "" and not parameter[1].startswith(("VAR", "RETURN"))


def _broken_fields(golden: Sequence[Sequence[str]], now: Sequence[Sequence[str]]) -> Iterator[str]:
    for each, other in zip(golden, now, strict=False):
        if list(each) != list(other):
            yield f"{each} is now {other}"
    yield from (f"{each[0]} has gone" for each in golden[len(now) :])
    yield from (f"{each[0]} is new and has no default" for each in now[len(golden) :] if each[2] == "")
