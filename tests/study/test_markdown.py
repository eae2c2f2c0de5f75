"""What becomes mathematics, what becomes of HTML, and what stays as it is."""

import pytest

from clearhead.study.check import check
from clearhead.study.markdown import tokens, without_tags
from clearhead.study.notes import parse


def kinds(text: str) -> list[tuple[str, str]]:
    """(kind, content) of blocks, with inline mathematics among them."""
    found = []
    for token in tokens(text):
        if token.type in ("inline", "math_block", "fence", "code_block"):
            found.append((token.type, token.content))
        found += [(child.type, child.content) for child in token.children or [] if child.type.startswith("math")]
    return found


def test_mathematics_inside_a_line() -> None:
    assert kinds("So $x_1 * y_1 * z$ is.") == [("inline", "So $x_1 * y_1 * z$ is."), ("math_inline", "x_1 * y_1 * z")]
    assert kinds("with spaces $ a \\cdot b $ too")[1] == ("math_inline", "a \\cdot b")
    assert kinds("a `$x$` and \\$5\\$")[1:] == []


@pytest.mark.parametrize("text", ["It costs $5 and $10.", "a $ b $ c", "$$", "$", "one $x"])
def test_what_is_no_mathematics(text: str) -> None:
    assert [kind for kind, _ in kinds(text)] == ["inline"]


def test_displayed_mathematics_leaves_its_paragraph() -> None:
    assert kinds("before\n$$x = 1$$\nafter") == [("inline", "before"), ("math_block", "x = 1"), ("inline", "after")]
    assert kinds("we get: $$x = 1$$ so.") == [("inline", "we get: "), ("math_block", "x = 1"), ("inline", " so.")]
    assert kinds("$$\nx = 1\n- y\n$$") == [("math_block", "x = 1\n- y")]  # no list
    assert kinds("$$x$$,") == [("math_block", "x,")]
    assert kinds("- item\n  $$x$$\n- other") == [("inline", "item"), ("math_block", "x"), ("inline", "other")]


def test_paragraphs_stay_balanced() -> None:
    for text in ("a $$x$$ b", "$$x$$ b $$y$$", "a $$x$$", "a\n$$x$$\n\nb", "> a $$x$$ b\n\n> c", "- a $$x$$"):
        names = [token.type for token in tokens(text)]
        assert names.count("paragraph_open") == names.count("paragraph_close"), names
        depth = 0
        for token in tokens(text):
            depth += token.nesting
            assert depth >= 0
        assert depth == 0


def test_a_dollar_in_code_is_a_dollar() -> None:
    assert kinds("```sh\necho $x$ <br>\n```") == [("fence", "echo $x$ <br>\n")]


def test_html_becomes_markdown_or_nothing() -> None:
    assert without_tags("<details><summary>Answer</summary>\nTest\n</details>") == "Answer\nTest\n"
    assert without_tags('<img width="25%" src="a.png" alt="A [b]">') == "![A  b ](<a.png>)"
    assert without_tags("```html\n<br>\n```\n<br>") == "```html\n<br>\n```\n  \n"
    assert without_tags("if a < b and c > d") == "if a < b and c > d"
    assert "script" in kinds("<script>alert(1)</script>")[0][1]  # text, no tag
    assert not any(token.type.startswith("html") for token in tokens("<script>alert(1)</script>\n\n<b onclick=x>"))


@pytest.mark.parametrize(
    "text",
    [
        "<!--" * 30_000,
        "<img" * 50_000,
        "![a](" * 20_000,
        " " * 200_000,
        "$$x$$" + " " * 200_000 + "y",
        "<" * 100_000,
        "$$" + "\na" * 9_000,
    ],
)
def test_long_runs_take_linear_time(text: str) -> None:
    """With a square most of these would take minutes."""
    tokens(f"a{text}b" if text[0] == " " else text)
    check(parse(f"1) q\n\n{text}"), [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"with \(x_1\) in it", [("math_inline", "x_1")]),
        (r"\[ y = x \]", [("math_block", "y = x")]),
        ("\\[\ny = x\n\\]", [("math_block", "y = x")]),
        ("```math\ny = 1\n\nz = 2\n```", [("math_block", "y = 1\nz = 2")]),
        ("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}",
         [("math_block", "\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}")]),
        ("$$\n\\begin{aligned} u &= v \\end{aligned}\n$$", [("math_block", "\\begin{aligned} u &= v \\end{aligned}")]),
        ("GitHub's $`a_1`$ too", [("math_inline", "a_1")]),
        (r"`\(x\)` is code", []),
        ("``` tex\n\\(x\\)\n```", []),
    ],
)  # fmt: skip
def test_mathematics_written_in_other_ways(text: str, found: list[tuple[str, str]]) -> None:
    assert [(kind, content) for kind, content in kinds(text) if kind.startswith("math")] == found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x<sup>2</sup>, 10<sup>-6</sup>, H<sub>2</sub>O", "x², 10⁻⁶, H₂O"),
        ("x<sup>Q</sup> and v<sub>max Q</sub>", "x^Q and v_(max Q)"),
        ("![[a b.png]] in [[Page]] or [[Page|this]]", "![a b.png](a%20b.png) in Page or this"),
        ("- [ ] one\n- [x] two", "- ☐ one\n- ☑ two"),
        ("> [!NOTE] careful", "> **Note** careful"),
        ("[[src](https://x.org)]", "[[src](https://x.org)]"),
        ("a == b", "a == b"),
        ("W = [[1, 1]], v = [[x]], [[2, a]] and [[a, b]]", "W = [[1, 1]], v = [[x]], [[2, a]] and [[a, b]]"),
    ],
)
def test_signs_of_other_programs(text: str, shown: str) -> None:
    assert without_tags(text) == shown
