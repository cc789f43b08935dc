"""Attempts that run at one node while their actors are at another: each side finds out what the other has and wants."""

from __future__ import annotations

from random import Random

import pytest
from msgspec import Raw

from understudy_runtime.core import away as module
from understudy_runtime.core.away import ADOPT_S, LAPSE_S, Away, Kept
from understudy_runtime.core.membership import Member, Owner, View
from understudy_runtime.core.messages import AttemptEnded, Token

ANN, BOB, CYD = Owner("ann", "a-1"), Owner("bob", "b-1"), Owner("cyd", "c-1")
T0 = 1_000.0


def token(key: str = "default/run/a", call: int = 1, dispatch: int = 1) -> Token:
    return Token(key, 1, call, 1, dispatch)


def end(of: Token, result: bytes = b"1") -> AttemptEnded:
    return AttemptEnded(of, Raw(result))


def everything(key: str) -> bool:
    return True


def view(*owners: Owner) -> View:
    return View(members={owner.node: Member(owner.node, owner.incarnation, "") for owner in owners})


# --- the keeper


def test_what_ends_is_told_to_whoever_has_adopted_it() -> None:
    kept = Kept()
    kept.keep([token()], T0)
    assert kept.adopt("bob", [token()], T0) == ([], [])
    assert kept.ended(end(token()), T0) == "bob"


def test_what_ends_before_it_is_adopted_is_told_then_and_as_often_as_it_is_asked_for() -> None:
    kept = Kept()
    kept.keep([token()], T0)
    assert kept.ended(end(token()), T0) == ""
    assert kept.untold
    assert kept.adopt("bob", [token()], T0) == ([end(token())], [])
    assert kept.adopt("cyd", [token()], T0) == ([end(token())], []), "it has moved on before it heard"
    assert not kept.untold


def test_an_end_that_came_while_its_actor_was_leaving_is_kept_as_well() -> None:
    kept = Kept()
    assert kept.ended(end(token()), T0) == ""
    assert list(kept.of("default/run/a")) == [token()]


def test_an_end_that_is_never_understood_is_given_up() -> None:
    kept = Kept()
    kept.ended(end(token()), T0)
    for _ in range(module.MAX_TELLS):
        assert kept.adopt("bob", [token()], T0) == ([end(token())], [])
    assert kept.adopt("bob", [token()], T0) == ([], [token()])


def test_the_last_to_adopt_is_the_owner() -> None:
    kept = Kept()
    kept.keep([token()], T0)
    kept.adopt("bob", [token()], T0)
    kept.adopt("cyd", [token()], T0)
    assert kept.owner_of(token()) == "cyd"


def test_what_is_not_here_is_said_to_be_unknown() -> None:
    assert Kept().adopt("bob", [token()], T0) == ([], [token()])


def test_what_nobody_adopts_is_cancelled_after_a_while() -> None:
    kept = Kept()
    kept.keep([token(call=1), token(call=2), token(call=3)], T0)
    kept.ended(end(token(call=2)), T0)
    kept.adopt("bob", [token(call=3)], T0 + ADOPT_S)
    assert kept.lapsed(T0 + LAPSE_S - 1) == []
    assert kept.lapsed(T0 + LAPSE_S) == [token(call=1)], "one has ended, and of the other somebody has just spoken"
    assert len(kept) == 1
    assert kept.lapsed(T0 + LAPSE_S + ADOPT_S) == [token(call=3)]
    assert len(kept) == 0


def test_what_comes_home_runs_on_or_has_ended() -> None:
    kept = Kept()
    kept.keep([token(call=1), token(call=2), token("default/run/b")], T0)
    kept.ended(end(token(call=2)), T0)
    assert kept.reclaim(lambda key: key == "default/run/a") == ([token(call=1)], [end(token(call=2))])
    assert not kept.of("default/run/a")
    assert len(kept) == 1


def test_a_node_that_leaves_gives_back_what_runs_by_its_owner() -> None:
    kept = Kept()
    kept.keep([token(call=1), token(call=2), token(call=3)], T0)
    kept.adopt("bob", [token(call=1), token(call=2)], T0)
    kept.ended(end(token(call=2)), T0)
    assert kept.give_back() == {"bob": [token(call=1)], "": [token(call=3)]}


def test_results_are_kept_up_to_a_bound_the_latest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 10)
    kept = Kept()
    for call in (1, 2, 3):
        kept.ended(end(token(call=call), b"1234"), T0)
    assert kept.adopt("bob", [token(call=1)], T0) == ([], [token(call=1)])
    assert len(kept.adopt("bob", [token(call=2), token(call=3)], T0)[0]) == 2
    kept.forget(token(call=2))
    kept.ended(end(token(call=4), b"123456"), T0)
    assert len(kept) == 2, "what is forgotten counts no more"


# --- the owner


def opened(away: Away, *keepers: Owner, now: float = T0) -> dict[str, list[Token]]:
    for number, keeper in enumerate(keepers, 1):
        away.note(keeper, [token(call=number)], now)
    return away.opened(everything, now)


def test_what_goes_on_elsewhere_is_adopted_when_its_shard_is_open_and_again_and_again() -> None:
    away = Away(BOB)
    away.note(ANN, [token()], T0)
    assert list(away.of("default/run/a")) == [token()]
    assert away.due(T0 + ADOPT_S).adopt == {}
    assert away.opened(everything, T0 + ADOPT_S) == {"ann": [token()]}
    assert away.due(T0 + 2 * ADOPT_S).adopt == {"ann": [token()]}
    assert away.forget(token())
    assert away.due(T0 + 3 * ADOPT_S) == ({}, [])


def test_what_is_said_of_a_shard_that_does_not_come_is_forgotten() -> None:
    away = Away(BOB)
    away.note(ANN, [token()], T0)
    assert away.due(T0 + LAPSE_S) == ({}, [])
    assert len(away) == 0


def test_what_its_keeper_does_not_have_is_returned() -> None:
    away = Away(BOB)
    opened(away, ANN, CYD)
    returned = away.answered("ann", [token(call=1), token(call=2), token(call=7)], T0)
    assert [(each, failure.kind) for each, failure in returned] == [(token(call=1), "returned")]
    assert token(call=2) in away, "that is said to be at another node"


def test_a_keeper_that_does_not_answer_has_lost_it() -> None:
    away = Away(BOB)
    opened(away, ANN, CYD)
    away.answered("cyd", [], T0 + 2 * ADOPT_S)
    lost = away.due(T0 + LAPSE_S).lost
    assert [(each, failure.kind) for each, failure in lost] == [(token(call=1), "lost")]
    assert len(away) == 1


def test_a_keeper_that_is_gone_or_in_another_life_has_lost_it() -> None:
    away = Away(BOB)
    opened(away, ANN, CYD)
    assert away.members(view(ANN, BOB, CYD)) == []
    assert [each for each, _ in away.members(view(ANN, BOB, Owner("cyd", "c-2")))] == [token(call=2)]
    assert [failure.message for _, failure in away.members(view(BOB))] == ["node ann, where it ran, is gone"]


def test_what_is_noted_of_a_keeper_that_is_gone_is_forgotten_before_anybody_waits_for_it() -> None:
    away = Away(BOB)
    away.note(ANN, [token()], T0)
    assert away.members(view(BOB)) == []
    assert not away.of("default/run/a")


def test_what_is_begun_anew_is_not_wanted_any_more() -> None:
    away = Away(BOB)
    opened(away, ANN)
    assert away.superseded_by(token(dispatch=2)) == token()
    assert away.superseded_by(token()) is None
    assert away.superseded_by(token(call=2)) is None


def test_whoever_is_owner_next_is_told_of_what_is_elsewhere() -> None:
    away = Away(BOB)
    opened(away, ANN, CYD, BOB, ANN)
    assert away.leave(everything) == [(ANN, [token(call=1), token(call=4)]), (CYD, [token(call=2)])]
    assert len(away) == 0


def test_what_has_come_home_is_neither_adopted_nor_lost() -> None:
    away = Away(BOB)
    assert opened(away, BOB) == {}
    assert away.keeper_of(token()) == ""
    assert away.due(T0 + 2 * LAPSE_S) == ({}, [])
    assert away.members(view()) == []
    assert token() in away


# --- both


@pytest.mark.parametrize("seed", range(50))
def test_whatever_is_lost_between_them_nobody_waits_for_ever(seed: int) -> None:
    """Envelopes are lost for as long as they like; once they are not, each attempt comes out, and nothing is left."""
    random = Random(seed)
    kept, away, out = Kept(), Away(BOB), set[Token]()
    tokens = [token(call=number) for number in range(8)]
    kept.keep(tokens[:6], T0)  # what it is said to have and has not, it lost on the way
    away.note(ANN, tokens, T0)
    runs, now, loses = set(tokens[:6]), T0, True

    def arrives() -> bool:
        return not loses or random.random() < 0.5

    def tell(report: AttemptEnded) -> None:
        if arrives() and away.forget(report.token):
            out.add(report.token)

    def adopt(some: list[Token]) -> None:
        if not arrives():
            return
        ends, unknown = kept.adopt("bob", some, now)
        for each in ends:
            tell(each)
        if arrives():
            out.update(each for each, _ in away.answered("ann", unknown, now))

    adopt(away.opened(everything, now).get("ann", []))
    for step in range(20):
        now += ADOPT_S
        loses = step < 10
        if runs and random.random() < 0.5:
            ended = random.choice(sorted(runs, key=lambda each: each.call))
            runs.discard(ended)
            if kept.ended(end(ended), now) == "bob":
                tell(end(ended))
        runs -= set(kept.lapsed(now))
        due = away.due(now)
        out.update(each for each, _ in due.lost)
        adopt(due.adopt.get("ann", []))
    for each in sorted(runs, key=lambda each: each.call):
        assert kept.ended(end(each), now) == "bob"
        tell(end(each))
    assert out == set(tokens)
    assert len(away) == 0
    kept.lapsed(now + LAPSE_S)
    assert len(kept) == 0
