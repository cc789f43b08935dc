"""Completion tokens name an attempt, and what is none is refused in words, whatever characters it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy import BadRequest
from understudy_runtime.core.completion import completed_attempt, completion_token
from understudy_runtime.core.messages import Token

TOKEN = Token("default/run/one", 2, 3, 4, 0)


def test_a_token_comes_back_with_and_without_padding() -> None:
    text = completion_token(TOKEN)
    assert completed_attempt(text) == TOKEN
    assert completed_attempt(text + "=" * (-len(text) % 4)) == TOKEN


@pytest.mark.parametrize("stray", ["/", "+", " ", "\n", "é", "\ud800", "="])
def test_a_stray_character_is_no_part_of_a_token(stray: str) -> None:
    text = completion_token(TOKEN)
    with pytest.raises(BadRequest, match="no completion token"):
        completed_attempt(text[:5] + stray + text[5:])


@given(st.text())
def test_any_other_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadRequest):
        completed_attempt(text)
