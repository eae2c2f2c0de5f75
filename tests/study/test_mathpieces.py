"""Spaces, brackets, scripts and accents."""

from clearhead.study.mathpieces import Piece, accented, joined, lowered, operand, raised, sign


def pieces(text: str) -> list[Piece]:
    return [sign(one) for one in text]


def test_spaces_follow_the_kinds() -> None:
    assert joined(pieces("a=b+c,d")) == "a = b + c, d"
    assert joined(pieces("(-a)")) == "(-a)"
    assert joined(pieces("a=b+c"), tight=True) == "a=b+c"
    assert joined([Piece("log", "fn"), *pieces("x")]) == "log x"
    assert joined([Piece("log", "fn"), *pieces("(x)")]) == "log(x)"


def test_an_operand_gets_brackets_where_it_would_be_misread() -> None:
    assert [operand(pieces(text)) for text in ("a", "ab", "a+b", "(a+b)", "|a+b|", "∂w", "f(x)", "(a)+(b)")] == [
        "a", "(ab)", "(a + b)", "(a + b)", "|a + b|", "∂w", "f(x)", "((a) + (b))"
    ]  # fmt: skip
    assert [operand(pieces(text), sums=True) for text in ("ab", "a+b", "f(a+b)", "-a", "a,b")] == [
        "ab", "(a + b)", "f(a + b)", "-a", "(a, b)"
    ]  # fmt: skip


def test_scripts_that_have_no_small_letters_say_so() -> None:
    assert (raised("2"), raised("q"), raised("1/p"), lowered("i"), lowered("b"), lowered("bcd"), lowered("i,j")) == (
        "²", "^q", "^(1/p)", "ᵢ", "_b", "_bcd", "_(i,j)"
    )  # fmt: skip


def test_accents() -> None:
    assert accented("y", "hat") == "ŷ"
    assert accented("xy", "overline") == "x̅y̅"
    assert accented("a + b", "widehat") == "hat(a + b)"
