"""The durable state of actors: annotated attributes with defaults."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from understudy import Actor, BadDefinition, BadInput
from understudy.codec import StateCodec


@dataclass
class Entry:
    name: str
    tags: set[str] = field(default_factory=lambda: set[str]())


class Ledger(Actor):
    LIMIT: ClassVar[int] = 5
    total: int = 0
    entries: list[Entry] = []
    owner: str | None = None


def test_a_new_actor_begins_as_its_class_says() -> None:
    ledger = StateCodec(Ledger).new()

    assert isinstance(ledger, Ledger)
    assert (ledger.total, ledger.entries, ledger.owner) == (0, [], None)


def test_actors_do_not_share_their_defaults() -> None:
    codec = StateCodec(Ledger)
    codec.new().entries.append(Entry("a"))

    assert codec.new().entries == []
    assert Ledger.entries == []


def test_state_comes_back_typed() -> None:
    codec = StateCodec(Ledger)
    ledger = codec.new()
    ledger.total = 3
    ledger.entries = [Entry("a", {"x"})]

    back = codec.decode(codec.encode(ledger))

    assert (back.total, back.entries, back.owner) == (3, [Entry("a", {"x"})], None)


def test_state_of_an_older_class_takes_the_defaults_of_the_newer() -> None:
    back = StateCodec(Ledger).decode(b'{"total":4,"dropped":1}')

    assert (back.total, back.entries) == (4, [])
    assert not hasattr(back, "dropped")


def test_an_attribute_that_would_be_forgotten_is_refused() -> None:
    codec = StateCodec(Ledger)
    ledger = codec.new()
    ledger.totl = 3

    with pytest.raises(BadInput, match=r"Ledger\.totl would be forgotten; declare it"):
        codec.encode(ledger)


def test_a_value_that_cannot_be_kept_is_refused_by_the_attribute() -> None:
    codec = StateCodec(Ledger)
    ledger = codec.new()
    ledger.owner = 1j

    with pytest.raises(BadInput, match="Ledger: owner: a complex has no JSON form"):
        codec.encode(ledger)


def test_an_attribute_without_a_default_is_refused_in_the_class() -> None:
    class Bad(Actor):
        count: int

    with pytest.raises(BadDefinition, match=r"Bad\.count has no default"):
        StateCodec(Bad)


def test_a_default_that_does_not_fit_is_refused_in_the_class() -> None:
    class Bad(Actor):
        count: int = "x"  # type: ignore[assignment] # pyright: ignore

    with pytest.raises((BadDefinition, BadInput), match=r"Bad\.count: Expected `int`, got `str`"):
        StateCodec(Bad)
