from fractions import Fraction
from itertools import combinations_with_replacement, permutations, product

import pytest

from clearhead.tasks import numbers
from clearhead.tasks.numbers import (
    evaluate,
    exact,
    fewest_moves,
    nonnegative,
    reachable,
    to_state,
    to_text,
    walk,
    whole,
)

OPERATIONS = {"+": Fraction.__add__, "-": Fraction.__sub__, "×": Fraction.__mul__, "÷": Fraction.__truediv__}


def makes_24(quadruple):
    """Every order, operator and shape of the tree: a second way to the truth that shares nothing with the search."""

    def apply(op, x, y):
        return None if x is None or y is None or (op == "÷" and y == 0) else OPERATIONS[op](x, y)

    for a, b, c, d in set(permutations(map(Fraction, quadruple))):
        for p, q, r in product(OPERATIONS, repeat=3):
            if apply(r, apply(q, apply(p, a, b), c), d) == 24 or apply(q, apply(p, a, b), apply(r, c, d)) == 24:
                return True
            if apply(r, d, apply(q, apply(p, a, b), c)) == 24 or apply(r, apply(q, c, apply(p, a, b)), d) == 24:
                return True
            if apply(r, d, apply(q, c, apply(p, a, b))) == 24:
                return True
    return False


def test_reachable_agrees_with_brute_force():
    quadruples = [q for q in combinations_with_replacement(range(0, 11), 4) if sum(q) % 17 == 3]
    assert len(quadruples) > 50
    verdicts = [makes_24(q) for q in quadruples]
    assert verdicts == [reachable(q, 24, 3, nonnegative) for q in quadruples]
    assert verdicts == [reachable(q, 24, 3, exact) for q in quadruples]
    assert 0 < sum(verdicts) < len(verdicts)


def test_reachable_with_fractions_negatives_and_zero():
    assert reachable((Fraction(8, 3), 3, 8), 24, 2, nonnegative)  # 8÷(3-8/3), the only way with 3 3 8 8
    assert reachable((Fraction(1, 3), 8), 24, 1, nonnegative)
    assert not reachable((Fraction(1, 3), 9), 24, 1, nonnegative)
    assert reachable((-6, 30), 24, 1, exact)
    assert reachable((-2, -6, 2), 24, 2, exact)
    assert not reachable((-6, -18), 24, 1, exact)
    assert not reachable((0, 0), 24, 1, exact)
    assert not reachable((0, 0, 5), 24, 2, exact)


def test_fewest_moves_under_the_whole_rule():
    assert fewest_moves((3, 7, 25, 50), 75, whole) == 1
    assert fewest_moves((3, 7, 25, 50), 25, whole) == 0
    assert fewest_moves((3, 7, 25, 50), 82, whole) == 2
    assert fewest_moves((2, 3), 1, whole) == 1
    assert fewest_moves((2, 4), 2, whole) == 0
    assert fewest_moves((3, 7), 2, whole) is None


def test_texts_are_sorted_by_value():
    assert to_text((8, Fraction(8, 3), 3)) == "8/3 3 8"
    assert to_state("8/3 3 8") == (Fraction(8, 3), 3, 8)


@pytest.mark.parametrize(
    "text, value, used",
    [
        ("(10 - 4) * 5 - 6", 24, [10, 4, 5, 6]),
        ("8÷(3-8/3)", 24, [8, 3, 8, 3]),
        ("2-3-4", -5, [2, 3, 4]),
        ("48÷4÷2", 6, [48, 4, 2]),
        ("2+3x4", 14, [2, 3, 4]),
        ("((((7))))", 7, [7]),
        (" 1 − 2 · 3 ", -5, [1, 2, 3]),
        ("1/3", Fraction(1, 3), [1, 3]),
    ],
)
def test_evaluate(text, value, used):
    assert evaluate(text) == (value, used)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "()", "(", ")", ")(", "1+", "+1", "-1", "1 2", "2(3)", "(2)(3)", "(1+2", "1+2)", "1++2"),
        *("1÷0", "1÷(2-2)", "9**9**9", "9^9", "2e3", "1.5", "1_0", "٣+٤", "²", "12345678901", "1=1", "1,2"),
        *("abs(1)", "__import__('os')", "1\n+\u20282"),
        *("(" * 10_000 + "1" + ")" * 10_000, "9×" * 5_000 + "9"),
    ],
)
def test_evaluate_refuses(text):
    assert evaluate(text) is None


def test_evaluate_is_quick_on_the_longest_text_it_reads():
    assert evaluate("(" * 99 + "1" + ")" * 99) == (1, [1])
    assert evaluate("999999999×" * 18 + "999999999") is not None
    assert evaluate("1+" * 150 + "1") is None  # too long


def test_evaluate_obeys_the_rule():
    assert evaluate("5-7+9", whole) is None
    assert evaluate("5-5+9", whole) is None
    assert evaluate("5÷2×2", whole) is None
    assert evaluate("9+5-7", whole) == (7, [9, 5, 7])


def test_walk_builds_the_expression():
    terms, closed = walk((4, 5, 6, 10), ["10-4=6:5 6 6", "5×6=30:6 30", "30-6=24"])
    assert closed
    assert [(term.value, evaluate(term.text)[0]) for term in terms] == [(24, 24)]
    terms, closed = walk((4, 5, 6, 10), ["10-4=6:5 6 6"])
    assert not closed
    assert [str(term.value) for term in terms] == ["5", "6", "6"]


@pytest.mark.parametrize(
    "steps, text",
    [
        (["3+4=7:2 5 7", "7-5=2:2 2", "2-2=0"], None),
        (["4-3=1:1 2 5", "5-1=4:2 4", "4-2=2"], "5-(4-3)-2"),
        (["4+3=7:2 5 7", "5+2=7:7 7", "7-7=0"], "4+3-(5+2)"),
        (["4-3=1:1 2 5", "5+1=6:2 6", "6×2=12"], "(5+4-3)×2"),
        (["4÷2=2:2 3 5", "3×2=6:5 6", "6×5=30"], "3×4÷2×5"),
        (["4÷2=2:2 3 5", "3÷2=3/2:3/2 5", "5×3/2=15/2"], "5×3÷(4÷2)"),
        (["4×2=8:3 5 8", "3÷8=3/8:3/8 5", "5÷3/8=40/3"], "5÷(3÷(4×2))"),
        (["3-4=-1:-1 2 5", "-1×5=-5:-5 2", "2--5=7"], "2-(3-4)×5"),
    ],
)
def test_walk_writes_only_the_parentheses_that_are_needed(steps, text):
    after = walk((2, 3, 4, 5), steps)
    terms, _ = after
    assert evaluate(terms[0].text)[0] == terms[0].value
    if text is not None:
        assert terms[0].text == text


@pytest.mark.parametrize(
    "steps",
    [
        ["10-4=5:5 5 6"],  # arithmetic
        ["10-4=6:5 6"],  # a number is lost
        ["10-4=6:5 6 7"],  # a number is changed
        ["10-4=6:4 5 6 6"],  # a number is used and kept
        ["10-3=7:4 5 6 7"],  # a number that is not there
        ["5+5=10:4 6 10 10"],  # one number used twice
        ["10-4=6:5 6 6", "10-5=5:5 6"],  # used in an earlier step
        ["10-4=6", "5×6=30:6 30"],  # goes on after the close
        ["10−4=6:5 6 6"],  # another minus sign
        ["10-4=6:5,6,6"],
        ["10-4=6: 5 6 6"],
        ["10-4=6:"],
        ["10-4=6:5 6 6\n"],
        ["10÷0=0:4 5 6"],
        ["10-4=6/0:5 6 6"],
        ["10-4=6:5 6 6/0"],
        ["١٠-4=6:5 6 6"],
        ["10**4=6:5 6 6"],
        ["10-4=" + "9" * 100_000],
        ["10-4=6:" + "5 " * 100_000],
        ["garbage"],
        [""],
    ],
)
def test_walk_rejects(steps):
    assert walk((4, 5, 6, 10), steps) is None


def test_division_by_zero_is_no_result():
    assert exact("÷", 1, 0) is None
    assert nonnegative("-", 1, 2) is None
    assert whole("-", 2, 2) is None
    assert whole("÷", 3, 2) is None
    assert whole("÷", 4, 2) == 2
    assert type(exact("÷", 4, 2)) is int


def test_results_of_the_larger_first():
    assert set(numbers._combine(nonnegative, 4, 10)) == {"10+4=14", "10-4=6", "10×4=40", "10÷4=5/2", "4÷10=2/5"}
    assert set(numbers._combine(whole, 5, 5)) == {"5+5=10", "5×5=25", "5÷5=1"}
    assert "4-10=-6" in numbers._combine(exact, 4, 10)
