"""Who is suspected when nodes die soon after they have begun with a shard, and who is not."""

from __future__ import annotations

from understudy_runtime.core.caution import MANY, MAX_NAMED, SHORT_S, Caution, begin, decode, encode, suspecting


def after_deaths(count: int, *suspects: str) -> tuple[Caution, frozenset[str]]:
    """A shard whose node died so often, a second after it began; each of the last deaths with one of the suspects."""
    kept, poisoned = begin(None, 0.0)
    for number in range(count):
        place = number - (count - len(suspects))
        kept, poisoned = begin(suspecting(kept, suspects[place] if place >= 0 else ""), number + 1.0)
    return kept, poisoned


def test_a_shard_that_was_given_up_in_good_order_is_beyond_suspicion() -> None:
    assert begin(None, 5.0) == (Caution(5.0), frozenset())


def test_care_begins_after_many_deaths_in_a_row() -> None:
    assert not after_deaths(MANY - 1)[0].careful
    assert after_deaths(MANY)[0].careful


def test_who_is_named_twice_is_poisoned_and_who_is_named_once_is_not() -> None:
    assert after_deaths(MANY + 1, "a")[1] == frozenset()
    assert after_deaths(MANY + 2, "a", "b")[1] == frozenset()
    assert after_deaths(MANY + 3, "a", "b", "a")[1] == {"a"}


def test_who_was_poisoned_begins_anew_when_released() -> None:
    kept, _ = after_deaths(MANY + 2, "a", "a")
    again, poisoned = begin(suspecting(kept, "a"), kept.began_at + 1)
    assert poisoned == frozenset()
    assert begin(suspecting(again, "a"), again.began_at + 1)[1] == {"a"}


def test_a_term_that_lasted_ends_all_suspicion() -> None:
    kept, _ = after_deaths(MANY + 1, "a")
    assert begin(suspecting(kept, "a"), kept.began_at + SHORT_S) == (Caution(kept.began_at + SHORT_S), frozenset())


def test_a_clock_that_was_set_back_ends_it_too() -> None:
    kept, _ = after_deaths(MANY + 1, "a")
    assert begin(kept, kept.began_at - 100.0)[0].deaths == 0


def test_no_more_are_remembered_than_that() -> None:
    full = Caution(0.0, MANY, "one more", {str(number): 1 for number in range(MAX_NAMED)})
    kept, _ = begin(full, 1.0)
    assert len(kept.named) == MAX_NAMED
    known, poisoned = begin(suspecting(full, "7"), 1.0)
    assert poisoned == {"7"}
    assert "7" not in known.named


def test_a_note_that_cannot_be_read_is_none() -> None:
    kept, _ = after_deaths(MANY + 1, "a")
    assert decode(encode(kept)) == kept
    assert decode(b"") is None
    assert decode(b"{") is None
