"""The calculator against Python's fractions, and expressions that it must not compute."""

import operator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead.agents.toolbox.calculator import BITS, FRACTION, calculator
from clearhead.agents.tools import ToolError


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("2 + 3 * 4", "14"), ("(2 + 3) * 4", "20"), ("-2 ** 2", "-4"), ("2 ** 3 ** 2", "512"), ("2^10", "1024"),
        ("2^3 + 1", "9"), ("5 × 3 ÷ 2 − 1", "6.5"), ("0.1 + 0.2", "0.3"), ("0.1 + 0.2 == 0.3", "true"),
        ("1/3", "1/3 (about 0.3333333333333333)"), ("-22/7", "-22/7 (about -3.142857142857143)"), ("1/3 + 2/3", "1"),
        ("1/8", "0.125"), ("-1/8", "-0.125"), ("10 / 4", "2.5"), ("7 // 2", "3"), ("-7 // 2", "-4"), ("-7 % 3", "2"),
        ("7.5 % 2", "1.5"), ("2 ** -2", "0.25"), ("1e3 + 1.5e-1", "1000.15"), ("1_000 * 2", "2000"), (".5", "0.5"),
        ("sqrt(2)", "about 1.414213562373095"), ("sqrt(4/9)", "2/3 (about 0.6666666666666667)"), ("√(16)", "4"),
        ("sqrt(2) ** 2 == 2", "true"), ("sqrt(2) < 1.5", "true"), ("8 ** (1/3)", "2"), ("27 ** (2/3)", "9"),
        ("2 ** 0.5 * 2 ** 0.5", "about 2"), ("0 ** 0.5", "0"), ("0 ** 0", "1"), ("1 ** (10 ** 50)", "1"),
        ("max(1/3, 0.3)", "1/3 (about 0.3333333333333333)"), ("min(3, 1, 2)", "1"), ("sum([1, 2, 3])", "6"),
        ("sum(1, 2)", "3"), ("sum([])", "0"), ("abs(-3.5)", "3.5"), ("round(2.675, 2)", "2.68"), ("round(7/3)", "2"),
        ("round(1234, -2)", "1200"), ("1 < 2 < 3", "true"), ("1 < 3 < 2", "false"), ("3 == 3.0", "true"),
        ("1 != 1", "false"), ("2 >= 3", "false"), ("2 ≤ 3", "true"), ("+5", "5"), ("  7  ", "7"), ("-0.0", "0"),
        ("12345678901234567890 * 98765432109876543210", str(12345678901234567890 * 98765432109876543210)),
    ],
)  # fmt: skip
def test_by_hand(expression: str, result: str) -> None:
    assert calculator(expression) == result


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "is no expression"), ("1 +", "is no expression"), ("(", "is no expression"), ("\0", "is no expression"),
        ("1; 2", "is no expression"), ("x = 1", "is no expression"), ("(" * 900 + "1" + ")" * 900, "is no expression"),
        ("-" * 1900 + "1", "is no expression"), ("1" * 3000, "at most 2,000"), ("1/0", "division by zero"),
        ("1 // (2 - 2)", "division by zero"), ("1 % 0", "division by zero"), ("0 ** -1", "division by zero"),
        ("9 ** 9 ** 9", "too large"), ("2 ** 100000", "too large"), ("(2 ** 8000) * (2 ** 8000)", "more than"),
        ("1e999999999", "too large or too fine"), ("1e9999999999", "is no number"), ("2 ** 10 ** -4000", ""),
        ("sqrt(-1)", "root of a negative"), ("(-8) ** (1/3)", "root of a negative"), ("1,000 + 1", "write 1000"),
        ("(1 < 2) + 1", "a comparison is no number"), ("True", "cannot be computed"), ("1j", "is no number"),
        ("0x10", "is no number"), ("'a'", "is no number"), ("x", "cannot be computed"), ("[1][0]", "cannot be"),
        ("1 if 1 else 2", "cannot be computed"), ("lambda: 1", "cannot be computed"), ("1 & 2", "cannot be computed"),
        ("not 1", "cannot be computed"), ("1 and 2", "cannot be computed"), ("~1", "cannot be computed"),
        ("(1).real", "cannot be computed"), ("f'{1}'", "cannot be computed"), ("1 in [1]", "cannot be computed"),
        ("__import__('os').system('id')", "cannot be computed"), ("eval('1')", "is no number"), ("exit()", "exit"),
        ("sqrt(1, 2)", "sqrt does not take 2"), ("min()", "min does not take 0"), ("round(1, 1/2)", "does not take"),
        ("round(1, 100000)", "round does not take"), ("max(*[1, 2])", "cannot be computed"),
        ("sqrt(x=1)", "cannot be computed"), ("pow(2, 3)", "no function"),
    ],
)  # fmt: skip
def test_what_is_not_computed_is_told_in_one_line(expression: str, said: str) -> None:
    with pytest.raises(ToolError) as error:
        print(calculator(expression))
    assert said in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 300


OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv}
NUMBERS = st.decimals(-1000, 1000, allow_nan=False, places=3).map(str)


@given(st.recursive(NUMBERS, lambda x: st.tuples(x, st.sampled_from(list(OPERATORS)), x), max_leaves=12))
def test_against_python_s_fractions(tree: object) -> None:
    def text(part: object) -> str:
        return f"({text(part[0])} {part[1]} {text(part[2])})" if isinstance(part, tuple) else f"({part})"

    def value(part: object) -> Fraction:
        if isinstance(part, tuple):
            return Fraction(OPERATORS[part[1]](value(part[0]), value(part[2])))
        return Fraction(str(part))

    try:
        expected = value(tree)
    except ZeroDivisionError:
        with pytest.raises(ToolError, match="division by zero"):
            calculator(text(tree))
        return
    shown = calculator(text(tree))
    if shown.startswith("about "):
        assert len(str(expected)) > FRACTION and Fraction(shown[6:]) == pytest.approx(expected)
        return
    assert Fraction(shown.split(" ")[0]) == expected
    assert ("about" in shown) == (any(p > 5 or p in (3,) for p in _primes(expected.denominator)) or _long(expected))


def _primes(n: int) -> set[int]:
    found, p = set(), 2
    while p * p <= n and p < 1000:
        while n % p == 0:
            found.add(p)
            n //= p
        p += 1
    return found | ({n} if n > 1 else set())


def _long(value: Fraction) -> bool:
    """More decimals than are shown."""
    return 10**60 % value.denominator != 0


@given(st.text("0123456789.+-*/%()<>=,e sqrtminabx[]'_^", max_size=40))
def test_any_text_is_a_number_or_one_line(text: str) -> None:
    try:
        shown = calculator(text)
    except ToolError as error:
        assert "\n" not in str(error)
    else:
        assert shown and "\n" not in shown


def test_numbers_stay_within_their_bits() -> None:
    assert len(calculator(f"2 ** {BITS - 1}")) == 2466
    with pytest.raises(ToolError):
        calculator(f"2 ** {BITS - 1} * 2")
    assert calculator("1 / 3 ** 4000").startswith("about ")
