"""Each fault is found where it is, and nothing is found where there is none."""

from clearhead.study.check import check
from clearhead.study.notes import parse

NOTES = """# T
1) Why is attention divided by the root of its width?
2) What is dropout?
    <details><summary>Answer</summary>
     Test
    </details>
3) What is a norm?
    A length, $\\\\|x\\\\|_2$ and $$\\sqrt{\\sum x_i^2}$$, costs \\$5.
    TODO
4) Broken?
    One $x and no more.
5) Braces?
    $\\frac{1}{2$ here
6) Code?
    ```python
    def f(:
    ```
7) Open?
    ```
    for ever
"""
GUIDE = parse("# Transformers\n## Scores\n1) Why are attention scores divided by the root of the width?\n    x\n")


def test_what_is_found_and_where() -> None:
    found = check(parse(NOTES), GUIDE.items)
    assert [(finding.kind, finding.line) for finding in found] == [
        ("unanswered", 2), ("placeholder", 3), ("to do", 9), ("mathematics", 10), ("mathematics", 12), ("code", 14),
        ("code", 18),
    ]  # fmt: skip
    assert found[0].guide.startswith("Transformers / Scores 1: Why are attention scores")
    assert not found[1].guide
    assert "cannot be read" in found[5].text and "never ends" in found[6].text
