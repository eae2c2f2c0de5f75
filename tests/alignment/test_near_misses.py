"""Near misses: one edit away, never the step itself, the same for the same seed."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead.alignment.near_misses import EDITS, a_word_for_another, near_misses, off_by_a_little


@given(st.text(max_size=30), st.integers(0, 5), st.integers(0, 1000))
def test_they_are_distinct_and_never_the_step_itself(step: str, n: int, seed: int) -> None:
    found = near_misses(step, n, random.Random(seed))
    assert len(found) <= n
    assert step not in found
    assert len(set(found)) == len(found)
    assert found == near_misses(step, n, random.Random(seed))


@pytest.mark.parametrize("edit", EDITS)
def test_a_step_with_nothing_to_edit_stays(edit) -> None:
    assert edit("+ -", random.Random(0)) == "+ -"


def test_a_number_is_off_by_a_power_of_ten_and_keeps_its_length() -> None:
    found = {int(off_by_a_little("=0340", random.Random(seed))[1:]) for seed in range(200)}
    assert {339, 341, 330, 350, 240, 440} <= found
    assert all(len(off_by_a_little("=0340", random.Random(seed))) == 5 for seed in range(50))


def test_two_words_change_places() -> None:
    assert a_word_for_another("year 2021", random.Random(0)) == "2021 year"
