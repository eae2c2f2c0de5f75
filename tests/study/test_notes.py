"""Notes with every trait that notes have: what is a question, what is its answer, and what is neither."""

import pytest

from clearhead.study.notes import parse

ALL_TRAITS = """\
Words before any heading.
# Everything

Pen and paper first.

## Part one
### Deeper
#### Deeper still
##### Five
###### Six
####### Seven levels

1) What is $x^2$ at 3?

    Nine, since $3 \\cdot 3 = 9$:
    $$
    3^2 = 9
    $$
    | a | b |
    |---|---|
    | 1 | 2 |

    - one
      1) a step, not a question
    - two

    ### a heading within the answer
    ![a picture](x.png)
    TODO say why

2) Code?

    ```python
# not a heading
3) not a question
    x = 1  # nor this
    ```
    ~~~
    ```
    4) nor this
    ~~~~

3) Nothing below me
4) Nor below me? ##

## Part two ##

A remark.

1) Unindented answer?
This is it.
And this.

   <details><summary>More</summary>
    Hidden
   </details>

2) Folded?

<details>
<summary>Answer</summary>

1) first step
# no heading

</details>

```python
def f():
    return 1
```
TODO: more of these

# Appendix

No item here. (TODO and this)
#no heading, 5) no item
1)no item
#
"""


def test_every_trait() -> None:
    notes = parse(ALL_TRAITS)
    deep = ("Everything", "Part one", "Deeper", "Deeper still", "Five", "Six", "Seven levels")
    two = ("Everything", "Part two")
    assert notes.title == "Everything"
    assert [(item.section, item.number, item.question) for item in notes.items] == [
        (deep, 1, "What is $x^2$ at 3?"),
        (deep, 2, "Code?"),
        (deep, 3, "Nothing below me"),
        (deep, 4, "Nor below me? ##"),
        (two, 1, "Unindented answer?"),
        (two, 2, "Folded?"),
    ]
    lines = ALL_TRAITS.splitlines()
    assert all(lines[item.line - 1].startswith(f"{item.number}) {item.question}") for item in notes.items)
    first, code, none, neither, unindented, folded = (item.answer for item in notes.items)
    assert first.startswith("Nine") and first.endswith("TODO say why")
    assert (
        "\n### a heading within the answer\n" in first and "\n  1) a step" in first and "\n$$\n3^2 = 9\n$$\n" in first
    )
    assert code.splitlines()[:5] == ["```python", "# not a heading", "3) not a question", "x = 1  # nor this", "```"]
    assert code.endswith("```\n4) nor this\n~~~~")
    assert none == neither == ""
    assert unindented.startswith("This is it.\nAnd this.\n\n   <details>") and unindented.endswith("</details>")
    assert "\n1) first step\n# no heading\n" in folded and "def f():\n    return 1\n```" in folded
    assert [(todo.text, todo.section) for todo in notes.todos] == [
        ("say why", deep),
        ("more of these", two),
        ("and this)", ("Appendix",)),
    ]
    assert all("TODO" in lines[todo.line - 1] for todo in notes.todos)
    said = [stray.text for stray in notes.stray]
    assert said[:3] == ["Words before any heading.", "Pen and paper first.", "A remark."]
    assert said[3:] == ["No item here. (TODO and this)", "#no heading, 5) no item", "1)no item", "#"]
    assert [lines[stray.line - 1] for stray in notes.stray] == said


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_ends_of_other_systems(ending: str) -> None:
    assert parse(ALL_TRAITS.replace("\n", ending)) == parse(ALL_TRAITS)


def test_tabs_indent() -> None:
    (item,) = parse("1) Q?\n\n\tan answer\n\n\t\tdeeper\n").items
    assert item.answer == "an answer\n\n    deeper"


@pytest.mark.parametrize(
    "fence", ["    ```python\n    x\n", "    ```\n    x\n\n    ```python\n    y\n    ```\n", "```\nx\n"]
)
def test_a_fence_that_nothing_closes_swallows_no_question(fence: str) -> None:
    assert [item.question for item in parse(f"1) A?\n\n{fence}\n2) B?\n\n    b\n\n# Next\n\n1) C?\n").items] == [
        "A?",
        "B?",
        "C?",
    ]


def test_a_fence_left_open_ends_where_another_begins() -> None:
    notes = parse("1) A?\n\n    ```\n    x\n\n2) B?\n\n    ```python\n# no heading\n    ```\n\n3) C?\n")
    assert [(item.question, item.answer) for item in notes.items] == [
        ("A?", "```\nx"),
        ("B?", "```python\n# no heading\n```"),
        ("C?", ""),
    ]


def test_mathematics_over_several_lines_is_no_question() -> None:
    notes = parse("1) Sum?\n\n$$\na = (1 +\n2) + 3\n$$\n\n2) Next?\n\n    $$ that nothing closes\n\n3) Last?\n")
    assert [item.question for item in notes.items] == ["Sum?", "Next?", "Last?"]


def test_details_around_questions_hide_none() -> None:
    notes = parse(
        "# A\n\n<details><summary>Ten questions</summary>\n\n1) One?\n\n    1\n\n2) Two?\n\n</details>\n\n# B\n"
    )
    assert [item.question for item in notes.items] == ["One?", "Two?"]


@pytest.mark.parametrize(
    "text",
    [
        "<details>\n" * 10_000,
        "# " + " " * 100_000 + "x" + "#" * 100_000 + " x",
        "1) " + " " * 100_000,
        "1) a" + " " * 100_000 + "b",
        "~" * 100_000 + "`",
        "```" + " " * 100_000 + "`",
        "$$ \n" * 9_999,
        "TODO" + " " * 100_000,
        "```\n~~~\n" * 5_000,
        "#" * 100_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """By the square of its length each of these would take minutes, most of them hours."""
    parse(text * 3)


def test_closing_marks_of_headings() -> None:
    notes = parse("## Part ##\n# C#\n# #\n#  \n1) Q?\n")
    assert notes.items[0].section == ("C#",) and notes.title == "Part"
