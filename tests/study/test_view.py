"""Answers on a terminal: formulas, tables, code with what it prints, at any width."""

import pytest

from clearhead.study.view import folded, one_line, printed

ANSWER = r"""The loss is
$$L = \frac{1}{N} \sum_{i=1}^{N} (x_i - y_i)^2$$
over $N$ rows: see [a page](https://example.org).

| name | $x$ |
|---|---|
| one | $\alpha^2$ |

1. first
2. second

```python
print("a * b")
```
```output
a * b
```

![A figure](fig.svg)
"""


def test_every_part_is_shown() -> None:
    lines = printed(ANSWER, 60).split("\n")
    assert lines[:5] == ["The loss is", "", "    L = 1/N ∑ᵢ₌₁ᴺ (xᵢ - yᵢ)²", "", "over N rows: see a page."]
    assert any(line.split() == ["one", "α²"] for line in lines)
    assert " 1 first" in lines and " 2 second" in lines
    assert '  print("a * b")' in lines and "  │ a * b" in lines
    assert "[image: A figure; fig.svg]" in lines


@pytest.mark.parametrize("width", [20, 40, 60, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, printed(ANSWER * 2, width).split("\n"))) <= width


def test_long_formulas_are_cut_before_relations() -> None:
    lines = list(folded("L(w) = aaaa + bbbb - cccc = dddd + eeee", 30))
    assert lines == ["L(w) = aaaa + bbbb - cccc", "  = dddd + eeee"]
    assert list(folded("a" * 50, 20)) == ["a" * 50]  # nowhere to cut
    assert "".join(folded("x + y = " * 30, 25)).replace(" ", "") == ("x + y = " * 30).replace(" ", "")


def test_colors_only_where_they_are_wanted() -> None:
    assert "\x1b[" not in printed(ANSWER, 60)
    assert "\x1b[" in printed(ANSWER, 60, color=True)


def test_a_question_is_one_line() -> None:
    assert one_line("Why $\\sqrt{d}$\nand not **d**?") == "Why √d and not d?"


def test_a_figure_is_its_words_here() -> None:
    assert printed("![Four norms](figure:norms)", 80) == "[figure: Four norms; drawn by `clearhead guide --html`]"


def test_links_within_clearhead_are_their_words() -> None:
    found = printed("See [19.4](guide:19.4) and exercise [softmax](practice:softmax).", 60, color=True)
    assert found == "See 19.4 and exercise softmax."
