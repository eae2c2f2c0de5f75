r"""LaTeX as text: what stands for what, and that no input, however broken, stops it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.study.mathtext import display, plain


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\alpha \beta\Gamma", "αβΓ"),
        (r"x_{t-1}", "xₜ₋₁"),
        (r"x^{n+1}", "xⁿ⁺¹"),
        (r"x_i^2", "xᵢ²"),
        (r"x^12", "x¹2"),  # one sign, as in TeX
        (r"W^T", "Wᵀ"),
        (r"W^\top", "Wᵀ"),
        (r"y_{true}", "y_true"),  # a word stays a word
        (r"\sigma_{\max}", "σ_max"),
        (r"d_\text{model} x", "d_model x"),  # else it would read "modelx"
        (r"q_c k_c", "q_c k_c"),
        (r"x_{<t}", "x_<t"),
        (r"e^{-x^2}", "e^(-x²)"),
        (r"e^{w^T x}", "e^(wᵀx)"),  # only w is to the power of T
        (r"\frac{1}{n}", "1/n"),
        (r"\frac{a+b}{2c}", "(a + b)/(2c)"),
        (r"\frac{a}{bc}", "a/(bc)"),
        (r"\frac{\partial L}{\partial w_{ij}}", "∂L/∂wᵢⱼ"),
        (r"\frac{P(x | \theta)}{P(x)}", "P(x | θ)/P(x)"),
        (r"\left(\frac{1}{2}\right)^2", "(1/2)²"),
        (r"\frac{1}{2}^2", "(1/2)²"),
        (r"W^\top \frac{a}{b}", "Wᵀ a/b"),  # not (Wᵀa)/b
        (r"\log \frac{p}{q}", "log(p/q)"),
        (r"\frac12", "1/2"),
        (r"\sqrt{d}", "√d"),
        (r"\sqrt{128}", "√128"),
        (r"\sqrt{\sigma^2 + \epsilon}", "√(σ² + ε)"),
        (r"\sqrt[3]{x}", "³√x"),
        (r"\frac{-1}{\sqrt{a + b}}", "-1/√(a + b)"),
        (r"\sum_{i=1}^{n} x_i", "∑ᵢ₌₁ⁿ xᵢ"),
        (r"\prod_{j \neq i} p_j", "∏_(j≠i) pⱼ"),
        (r"\int_a^b p(x) \, dx", "∫ₐᵇ p(x) dx".replace("ᵇ", "ᵇ")),
        (r"\hat{y}", "ŷ"),
        (r"\bar x", "x̄"),
        (r"\hat{\theta}", "θ̂"),
        (r"\mathbb{E}[X] \in \mathbb{R}", "𝔼[X] ∈ ℝ"),
        (r"\mathcal{N}(0, 1)", "𝒩(0, 1)"),
        (r"\mathbf{x}", "x"),
        (r"\text{if } x > 0", "if x > 0"),
        (r"\text{for $x_1$ and}", "for x₁ and"),
        (r"\operatorname{softmax}(z)", "softmax(z)"),
        (r"\|v\|_2 = ||v||_2", "‖v‖₂ = ‖v‖₂"),
        (r"P(a|b)", "P(a|b)"),
        (r"P(a \mid b)", "P(a | b)"),
        (r"a-b", "a - b"),
        (r"-b", "-b"),
        (r"a = -b", "a = -b"),
        (r"(-b, -c)", "(-b, -c)"),
        (r"2 \times -3", "2 × -3"),
        (r"\left\{ x \right\}", "{x}"),
        (r"\left. x \right|_{0}", "x|₀"),
        (r"f'(x)", "f′(x)"),
        (r"\underbrace{P(H)}_{\text{prior}}", "P(H) [prior]"),
        (r"\arg\max_w L", "arg max_w L"),
        (r"\nabla f \approx 0 \Rightarrow x \to \infty", "∇f ≈ 0 ⇒ x → ∞"),
        (r"\not= 1", "≠ 1"),
        (r"\binom{n}{k}", "C(n, k)"),
        (r"\unknown{x}", r"\unknownx"),
        (r"50\%", "50%"),
        (r"\begin{bmatrix} 1 & 0 \\ 0 & 1 \end{bmatrix}", "[1 0; 0 1]"),
        (r"\begin{cases} 1 & x > 0 \\ 0 \end{cases}", "{1, x > 0; 0"),
        (r"", ""),
    ],
)
def test_plain(latex: str, text: str) -> None:
    assert plain(latex) == text


def test_a_matrix_is_drawn_at_the_height_of_its_line() -> None:
    latex = r"y = \begin{pmatrix} 1 & 20 \\ 3 & 4 \\ 5 & 6 \end{pmatrix} x + 1"
    assert display(latex) == ["    ⎛ 1  20 ⎞", "y = ⎜ 3  4  ⎟x + 1", "    ⎝ 5  6  ⎠"]


def test_rows_are_aligned_at_their_sign() -> None:
    latex = r"\begin{aligned} f(x) &= x^2 \\ &= x \cdot x \end{aligned}"
    assert display(latex) == ["f(x) = x²", "     = x · x"]
    assert display(r"a = b \\ c = d") == ["a = b", "c = d"]


def test_cases_are_drawn() -> None:
    assert display(r"f = \begin{cases} 1 & a \\ 0 & b \end{cases}") == ["f = ⎧ 1  a", "    ⎩ 0  b"]


def test_an_accent_takes_no_column() -> None:
    rows = display(r"\begin{bmatrix} \hat{x} & 1 \\ a & 2 \end{bmatrix}")
    assert rows == ["⎡ x̂  1 ⎤", "⎣ a  2 ⎦"]


SIGNS = [*r"{}^_\&|x1 +'[]$", "\U000f0000"]
COMMANDS = [r"\frac", r"\sqrt", r"\begin", r"\end", "{bmatrix}", r"\\", r"\text", r"\left", r"\hat", r"\underbrace"]


@given(st.lists(st.sampled_from(SIGNS + COMMANDS), max_size=40))
@settings(max_examples=300, deadline=None)
def test_nothing_stops_it(parts: list[str]) -> None:
    latex = "".join(parts)
    assert isinstance(plain(latex), str)
    assert all("\U000f0000" not in line for line in display(latex))


def test_it_takes_time_in_proportion_to_its_length_and_depth_is_bounded() -> None:
    assert plain("{" * 5_000)
    assert plain("x_" * 5_000)
    assert plain(r"\frac{" * 5_000) is not None


@pytest.mark.parametrize("part", ["\\sqrt[", "\\begin{a}", "\\frac{", "x^{", "{"])
def test_what_is_nested_too_deeply_stands_as_it_is(part: str) -> None:
    told = plain(part * 3000)
    assert told == part * 3000 or not part.startswith(("\\sqrt", "\\begin"))
    assert display(part * 3000)


def test_subscripts_of_a_formula_are_of_one_style() -> None:
    assert plain(r"E[q_a k_a q_b k_b]") == "E[q_a k_a q_b k_b]"  # there is no small b
    assert plain(r"\sigma(r_w - r_l)") == "σ(r_w - r_l)"
    assert plain(r"x_i y_j z_1 + \pi_{ref}(w)") == "xᵢyⱼz₁ + π_ref(w)"


def test_what_stands_behind_a_script_and_above_a_bar_is_told_apart() -> None:
    assert plain(r"\sigma_{\max} / \sigma_{\min}") == "σ_max/σ_min"
    assert plain(r"\frac{q \cdot k}{\sqrt{C}}") == "(q · k)/√C"


def test_a_comma_in_braces_belongs_to_a_number() -> None:
    assert plain(r"2HC = 32{,}768, x") == "2HC = 32,768, x"
