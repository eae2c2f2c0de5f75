"""What may be typed as an answer, and what may not."""

import numpy as np
import pytest

from clearhead.errors import UserError
from clearhead.study.practice.answers import equal, read, read_all, words


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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5,338,624", 5338624.0), ("5 338 624", 5338624.0), ("5'338'624", 5338624.0), ("5.338.624", 5338624.0),
        ("5_338_624", 5338624.0), ("5,338,624 parameters", 5338624.0), ("1,234", 1234.0), ("0,667", 0.667),
        ("1.234,5", 1234.5), ("1,234.5", 1234.5), ("66.7%", 0.667), ("66.7 %", 0.667), ("66,7 %", 0.667),
        (r"66.7\%", 0.667),
        ("w = -1.029", -1.029), ("w=-1.029", -1.029), ("w = 3 - 0.5 = 2.5", 2.5), ("-1.029 = w", -1.029),
        ("ŷ ≈ 0.5", 0.5), ("answer: 7", 7.0), ("≈ 0.154", 0.154), ("~0.154", 0.154), ("about 0.154", 0.154),
        ("0.154.", 0.154),
        (r"\frac{2}{3}", 2 / 3), (r"$\frac{2}{3}$", 2 / 3), (r"\dfrac{1}{\sqrt{2}}", 0.5**0.5), (r"\frac23", 2 / 3),
        ("⅔", 2 / 3), ("2⁻¹", 0.5), ("3×10²", 300.0), ("3·10^{-2}", 0.03), ("5.34M", 5.34e6), ("5.34 million", 5.34e6),
        ("16 MiB", 2.0**24), ("16MiB", 2.0**24), ("16 MB", 16e6), ("16 MB", 2.0**24), ("2 GiB", 2.0**31),
        ("8 KiB", 8192.0),
        ("7B", 7e9), ("7 B", 7.0), ("33554432 bytes", 33554432.0), ("2^25 bytes", 2.0**25), ("1e3k", 1e6),
        ("ln 2", np.log(2)), ("√2", 2**0.5), ("√2/2", 2**0.5 / 2), ("2 ln 2", 2 * np.log(2)), ("e^-1", 1 / np.e),
        ("−3", -3.0),
        ("１２", 12.0), ("(1 2 3)", [1.0, 2.0, 3.0]), ("1 2 3", [1.0, 2.0, 3.0]), ("[1 -2 .5]", [1.0, -2.0, 0.5]),
        ("[0.09 0.24 0.67]", [0.09, 0.24, 0.67]), ("(0.09, 0.24, 0.67)", [0.09, 0.24, 0.67]),
        ("9%, 24%, 67%", [0.09, 0.24, 0.67]),
        ("9% 24% 67%", [0.09, 0.24, 0.67]), ("0,09 0,24 0,67", [0.09, 0.24, 0.67]),
        ("0,09; 0,24; 0,67", [0.09, 0.24, 0.67]),
        ("1/3 2/3", [1 / 3, 2 / 3]), ("1/3, 2/3", [1 / 3, 2 / 3]), ("p = [1, 2]", [1.0, 2.0]), ("[1, 2]ᵀ", [1.0, 2.0]),
        ("[1 2; 3 4]", [[1.0, 2.0], [3.0, 4.0]]), ("1 2; 3 4", [[1.0, 2.0], [3.0, 4.0]]),
        ("[[1 2] [3 4]]", [[1.0, 2.0], [3.0, 4.0]]),
        ("[[1. 2.]\n [3. -4.]]", [[1.0, 2.0], [3.0, -4.0]]), ("[1, 2], [3, 4]", [[1.0, 2.0], [3.0, 4.0]]),
        ("[1,2][3,4]", [[1.0, 2.0], [3.0, 4.0]]), ("((1, 2), (3, 4))", [[1.0, 2.0], [3.0, 4.0]]),
        (r"\begin{pmatrix}1 & 2\\ 3 & 4\end{pmatrix}", [[1.0, 2.0], [3.0, 4.0]]),
        (r"\begin{bmatrix}1\\2\end{bmatrix}", [1.0, 2.0]),
        ("[-1 0; 0 1/2]", [[-1.0, 0.0], [0.0, 0.5]]),
    ],
)  # fmt: skip
def test_ways_of_writing(text: str, value: object) -> None:
    want = np.asarray(value)
    found = [np.squeeze(x) for x in read_all(text)]
    assert any(x.shape == want.shape and np.allclose(x, want, rtol=1e-12) for x in found), found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2x²", 8.0), ("2 x^2", 8.0), ("2·x²", 8.0), ("f(x) = 2x²", 8.0), ("2x^{2}", 8.0), (r"2 x \cdot x", 8.0),
        (r"\frac{x}{2}", 1.0), ("σ(x)(1-σ(x))", np.exp(-2) / (1 + np.exp(-2)) ** 2),
        ("σ(1-σ)", np.exp(-2) / (1 + np.exp(-2)) ** 2),
        (r"\sigma(x)(1 - \sigma(x))", np.exp(-2) / (1 + np.exp(-2)) ** 2), ("sigmoid(x)", 1 / (1 + np.exp(-2))),
        ("e^{-x}/(1+e^{-x})^2", np.exp(-2) / (1 + np.exp(-2)) ** 2), ("e^-x", np.exp(-2)), ("ln x", np.log(2)),
        ("√x", 2**0.5),
        ("x³ − 1", 7.0), ("x⁻¹", 0.5),
    ],
)  # fmt: skip
def test_ways_of_writing_formulas(text: str, value: float) -> None:
    assert any(x.shape == () and abs(float(x) - value) < 1e-12 for x in read_all(text, {"x": 2.0})), read_all(
        text, {"x": 2.0}
    )
