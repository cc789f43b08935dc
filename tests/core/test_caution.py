"""Who is suspected when nodes die soon after they have begun with a shard, and who is not."""

from __future__ import annotations

from understudy_runtime.core.caution import (
    ATTEMPTS,
    MANY,
    SHORT_S,
    TURNS,
    Caution,
    Suspect,
    begin,
    decode,
    encode,
    suspecting,
)

A, B = Suspect("a", "turn", "TimerDue"), Suspect("b", "turn", "TimerDue")
TASK = Suspect("a", "attempt", "1.1")


def after_deaths(*suspects: Suspect | None) -> tuple[Caution, str]:
    """A shard whose node died so often, each a second after it began, and each amid this."""
    kept, poisoned = begin(None, 0.0)
    for number, suspect in enumerate(suspects):
        kept, poisoned = begin(suspecting(kept, suspect), number + 1.0)
    return kept, poisoned


def test_a_shard_that_was_given_up_in_good_order_is_beyond_suspicion() -> None:
    assert begin(None, 5.0) == (Caution(5.0), "")


def test_care_begins_after_many_deaths_in_a_row() -> None:
    assert not after_deaths(*[None] * (MANY - 1))[0].careful
    assert after_deaths(*[None] * MANY)[0].careful


def test_who_is_named_again_and_again_is_poisoned() -> None:
    assert after_deaths(*[A] * (TURNS - 1))[1] == ""
    assert after_deaths(*[A] * TURNS)[1] == "a"
    assert after_deaths(*[TASK] * (ATTEMPTS - 1))[1] == ""
    assert after_deaths(*[TASK] * ATTEMPTS)[1] == "a"


def test_only_in_a_row() -> None:
    assert after_deaths(A, B, A, None, A, A)[1] == ""
    assert after_deaths(A, B, A, None, A, A, A)[1] == "a"


def test_another_turn_of_the_same_actor_is_another_suspect() -> None:
    assert after_deaths(A, Suspect("a", "turn", "AttemptEnded 1.1"), A)[1] == ""


def test_who_was_poisoned_begins_anew_when_released() -> None:
    assert after_deaths(*[A] * (TURNS + 1))[1] == ""
    assert after_deaths(*[A] * (2 * TURNS))[1] == "a"


def test_a_term_that_lasted_ends_all_suspicion() -> None:
    kept, _ = after_deaths(*[A] * (TURNS - 1))
    assert begin(suspecting(kept, A), kept.began_at + SHORT_S) == (Caution(kept.began_at + SHORT_S), "")


def test_a_clock_that_was_set_back_ends_it_too() -> None:
    kept, _ = after_deaths(A, A)
    assert begin(kept, kept.began_at - 100.0)[0].deaths == 0


def test_a_note_that_cannot_be_read_is_none() -> None:
    kept, _ = after_deaths(A, A)
    assert decode(encode(kept)) == kept
    assert decode(b"") is None
    assert decode(b"{") is None
