"""The table of signs: one character each, and none that is two things."""

import unicodedata

from clearhead.study import mathsigns as signs


def test_every_sign_is_one_character_or_a_name() -> None:
    assert {name: sign for name, sign in signs.SIGNS.items() if len(sign) != 1} == {"Re": "Re", "Im": "Im"}
    assert signs.SIGNS["alpha"] == "α" and signs.SIGNS["lambda"] == "λ" and signs.SIGNS["Lambda"] == "Λ"


def test_scripts_are_what_unicode_says_they_are() -> None:
    for small, kind in ((signs.RAISED, "<super>"), (signs.BELOW, "<sub>")):
        for letter, sign in small.items():
            if letter not in "⊤′*":
                said = unicodedata.decomposition(sign).split()
                assert said[0] == kind, letter
                assert chr(int(said[1], 16)).replace("−", "-") == letter.replace("φ", "φ"), letter


def test_alphabets_are_whole() -> None:
    for name, letters in signs.ALPHABETS.items():
        assert len([letter for letter in letters if letter.isalpha()]) == 52, name
        assert all(unicodedata.normalize("NFKC", sign) == letter for letter, sign in letters.items()), name


def test_no_sign_has_two_kinds() -> None:
    kinds = [signs.RELATIONS, signs.BINARY, signs.BIG, signs.OPENING, signs.CLOSING]
    assert len(frozenset().union(*kinds)) == sum(map(len, kinds))
