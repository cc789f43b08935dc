"""Who is suspected when nodes die soon after they have begun with a shard, and who is not."""

from __future__ import annotations

from understudy_runtime.core.caution import (
    ATTEMPT,
    ATTEMPTS,
    LOADED,
    MANY,
    MAX_NAMED,
    SHORT_S,
    TURNS,
    Caution,
    Name,
    begin,
    decode,
    encode,
    survived,
    suspecting,
)


def after_deaths(count: int, *suspects: str) -> tuple[Caution, frozenset[str]]:
    """A shard whose node died so often, a second after it began; each of the last deaths with one of the suspects."""
    kept, poisoned = begin(None, 0.0)
    for number in range(count):
        place = number - (count - len(suspects))
        kept, poisoned = die(kept, suspects[place] if place >= 0 else "")
    return kept, poisoned


def die(kept: Caution, suspect: str, doing: str = "its worst") -> tuple[Caution, frozenset[str]]:
    return begin(suspecting(kept, {suspect: doing} if suspect else {}), kept.began_at + 1.0)


def test_a_shard_that_was_given_up_in_good_order_is_beyond_suspicion() -> None:
    assert begin(None, 5.0) == (Caution(5.0), frozenset())


def test_care_begins_after_many_deaths_in_a_row() -> None:
    assert not after_deaths(MANY - 1)[0].careful
    assert after_deaths(MANY)[0].careful


def test_who_is_named_three_times_is_poisoned_and_who_is_named_less_often_is_not() -> None:
    assert TURNS == 3
    assert after_deaths(MANY + 2, "a", "a")[1] == frozenset()
    assert after_deaths(MANY + 4, "a", "b", "a", "b")[1] == frozenset()
    assert after_deaths(MANY + 5, "a", "b", "a", "b", "a")[1] == {"a"}


def test_an_attempt_is_poisoned_only_after_more_deaths() -> None:
    kept, _ = after_deaths(MANY)
    for _ in range(ATTEMPTS - 1):
        kept, poisoned = die(kept, "a", f"{ATTEMPT} 1.1")
        assert poisoned == frozenset()
    assert die(kept, "a", f"{ATTEMPT} 1.1")[1] == {"a"}


def test_who_does_it_once_more_and_survives_is_not_named_any_more() -> None:
    kept, _ = after_deaths(MANY + 2, "a", "a")
    for _ in range(100):
        kept, poisoned = die(survived(kept, "a", "its worst"), "a")
        assert poisoned == frozenset()


def test_who_survives_all_but_one_thing_is_found_all_the_same() -> None:
    kept, poisoned = after_deaths(MANY)
    lives = 0
    while not poisoned:
        kept = survived(survived(kept, "a", LOADED), "a", "something else")
        kept, poisoned = die(kept, "a")
        lives += 1
    assert lives == TURNS


def test_who_dies_of_another_thing_each_time_and_survives_most_is_just_busy() -> None:
    kept, _ = after_deaths(MANY)
    for number in range(100):
        kept, poisoned = die(survived(kept, "a", f"{number}"), "a", f"{number + 1000}")
        assert poisoned == frozenset()


def test_who_survives_nothing_but_being_loaded_is_found_whatever_it_does() -> None:
    kept, poisoned = after_deaths(MANY)
    for number in range(TURNS):
        kept, poisoned = die(survived(kept, "a", LOADED), "a", f"{number}")
    assert poisoned == {"a"}


def test_who_was_poisoned_begins_anew_when_released() -> None:
    kept, _ = after_deaths(MANY + 3, "a", "a", "a")
    for _ in range(TURNS - 1):
        kept, poisoned = die(kept, "a")
        assert poisoned == frozenset()
    assert die(kept, "a")[1] == {"a"}


def test_a_term_that_lasted_ends_all_suspicion() -> None:
    kept, _ = after_deaths(MANY + 1, "a")
    assert begin(suspecting(kept, {"a": "its worst"}), kept.began_at + SHORT_S) == (
        Caution(kept.began_at + SHORT_S),
        frozenset(),
    )


def test_a_clock_that_was_set_back_ends_it_too() -> None:
    kept, _ = after_deaths(MANY + 1, "a")
    assert begin(kept, kept.began_at - 100.0)[0].deaths == 0


def test_no_more_are_remembered_than_that() -> None:
    almost = Name(TURNS - 1, "its worst")
    full = Caution(0.0, MANY, {"one more": "its worst"}, {str(number): almost for number in range(MAX_NAMED)})
    kept, _ = begin(full, 1.0)
    assert len(kept.named) == MAX_NAMED
    known, poisoned = die(full, "7")
    assert poisoned == {"7"}
    assert "7" not in known.named


def test_a_note_that_cannot_be_read_is_none() -> None:
    kept, _ = after_deaths(MANY + 1, "a")
    assert decode(encode(kept)) == kept
    assert decode(b"") is None
    assert decode(b"{") is None
