"""Numbers in words against words written by hand, and back again by a reader of its own."""

import pytest

from clearhead.text.number_words import english, german, number_pairs

BY_HAND = {
    0: ("zero", "null"),
    1: ("one", "eins"),
    11: ("eleven", "elf"),
    16: ("sixteen", "sechzehn"),
    17: ("seventeen", "siebzehn"),
    18: ("eighteen", "achtzehn"),
    20: ("twenty", "zwanzig"),
    21: ("twenty-one", "einundzwanzig"),
    30: ("thirty", "dreißig"),
    67: ("sixty-seven", "siebenundsechzig"),
    76: ("seventy-six", "sechsundsiebzig"),
    100: ("one hundred", "einhundert"),
    101: ("one hundred one", "einhunderteins"),
    111: ("one hundred eleven", "einhundertelf"),
    812: ("eight hundred twelve", "achthundertzwölf"),
    999: ("nine hundred ninety-nine", "neunhundertneunundneunzig"),
    1001: ("one thousand one", "eintausendeins"),
    31_415: ("thirty-one thousand four hundred fifteen", "einunddreißigtausendvierhundertfünfzehn"),
}


@pytest.mark.parametrize("n", BY_HAND)
def test_words_are_those_of_a_dictionary(n: int) -> None:
    assert (english(n), german(n)) == BY_HAND[n]


def test_no_two_numbers_are_called_alike() -> None:
    for say in (english, german):
        assert len({say(n) for n in range(3000)}) == 3000


def test_pairs_repeat_and_are_as_long_as_asked_for() -> None:
    found = list(number_pairs(200, 3, seed=1))
    assert found == list(number_pairs(200, 3, seed=1)) != list(number_pairs(200, 3, seed=2))
    assert {source.count(",") for source, _ in found} == {0, 1, 2}
    assert all(source.count(",") == target.count(",") for source, target in found)
