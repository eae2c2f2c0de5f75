"""What may be typed as an answer, and what may not."""

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.study.practice.answers import equal, read, words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3.0), (" -0.5 ", -0.5), ("1/3", 1 / 3), ("2^3", 8.0), ("2**-1", 0.5), ("1e-3", 1e-3), (".5", 0.5),
        ("−2 × 3", -6.0), ("3 · 4 ÷ 2", 6.0), ("√(2)/2", 2**0.5 / 2), ("sqrt(2) / 2", 2**0.5 / 2), ("exp(1)", np.e),
        ("ln(e)", 1.0), ("2 pi", 2 * np.pi), ("2(3 + 4)", 14.0), ("(1+1)(2+1)", 6.0), ("max(1, 2)", 2.0),
        ("1, 2", [1.0, 2.0]), ("[1, 2/4]", [1.0, 0.5]), ("(1, 2)", [1.0, 2.0]), ("[[0, 1.5]]", [[0.0, 1.5]]),
        ("1,2;3,4", [[1.0, 2.0], [3.0, 4.0]]), ("[1, 2; 3, 4]", [[1.0, 2.0], [3.0, 4.0]]),
        ("[[1,2],[3,4]]", [[1.0, 2.0], [3.0, 4.0]]),
    ],
)  # fmt: skip
def test_values(text: str, value: object) -> None:
    np.testing.assert_allclose(read(text), value)
    assert read(text).shape == np.shape(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2 w x", 12.0), ("2*(w*x - 1)*x", 20.0), ("w^x", 9.0), ("exp(-w)", np.exp(-3)), ("2w", 6.0), ("2wx", 12.0)],
)
def test_formulas(text: str, value: float) -> None:
    assert float(read(text, {"w": 3.0, "x": 2.0})) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "1 +", "y", "__import__('os')", "open('x')", "(1).real", "'a'", "[1, [2, 3]]", "lambda: 1", "1 if 1 else 2",
        "True",
        "[x for x in (1,)]", "max(1, key=2)", "1;;2", "exp()", "0x10", "{1: 2}", "1 < 2",
        "9" * 500, "(" * 300, "sqrt", "f(2)",
    ],
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        read(text)


def test_large_powers_end_at_once() -> None:
    assert not np.isfinite(read("9**9**9**9"))
    assert not equal(read("1/0"), np.array(1.0), 0.1)


def test_words() -> None:
    assert words("2e-3x+1e5") == ["2e-3", "x", "+", "1e5"]
    assert words("2e") == ["2", "e"]


def test_equal_overlooks_rounding_and_axes_of_one() -> None:
    assert equal(np.array([[1.0, 2.0]]), np.array([1.0, 2.0005]), 1e-3)
    assert not equal(np.array([1.0, 2.0]), np.array([1.0, 2.05]), 1e-3)
    assert not equal(np.array([1.0, 2.0]), np.array([1.0, 2.0, 3.0]), 1e-3)
