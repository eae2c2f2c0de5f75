"""Edits reach the notes, and nothing else in them changes."""

import pytest

from clearhead.study.styles import recognize
from clearhead.study.write_back import Edit, written

HOUSE = "# A\r\n\r\n1) What barks?\r\n\r\n    A dog.\r\n    - loud\r\n\r\n2) What roars?\r\n3) Last?\r\n"


def test_answers_and_questions_in_the_style_of_the_file() -> None:
    edits = [
        Edit("What barks?", "A dog.\n- loud", "What barks at night?", "A dog.\n- loud\n\nAnd a seal."),
        Edit("What roars?", "", "What roars?", "A lion.\n\nOr a tiger."),
        Edit("Last?", "", "Last?", "End."),
    ]
    found = written(HOUSE, edits)
    assert found.done == tuple(edits) and not found.failed
    assert found.text == (
        "# A\r\n\r\n1) What barks at night?\r\n\r\n    A dog.\r\n    - loud\r\n\r\n    And a seal.\r\n\r\n"
        "2) What roars?\r\n\r\n    A lion.\r\n\r\n    Or a tiger.\r\n\r\n3) Last?\r\n\r\n    End.\r\n"
    )


@pytest.mark.parametrize(
    ("text", "edit", "new"),
    [
        ("### What is A?\n\nOne.\n\n### What is B?\n\nTwo.\n", Edit("What is B?", "Two.", "What is B?", "2"),
         "### What is A?\n\nOne.\n\n### What is B?\n\n2\n"),
        ("**What is A?**\n\n**What is B?**\n\nTwo.\n", Edit("What is A?", "", "What is A?", "One."),
         "**What is A?**\n\nOne.\n\n**What is B?**\n\nTwo.\n"),
        ("- What is A?\n  - One.\n- What is B?\n", Edit("What is B?", "", "What is B?", "- Two."),
         "- What is A?\n  - One.\n- What is B?\n\n  - Two.\n"),
    ],
)  # fmt: skip
def test_other_styles(text: str, edit: Edit, new: str) -> None:
    assert written(text, [edit]).text == new


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        (HOUSE, Edit("What barks?", "Another.", "What barks?", "New.")),  # the notes have changed since
        (HOUSE, Edit("Who?", "", "Who?", "New.")),
        ("### What is A?\n\nOne.\n", Edit("What is A?", "One.", "What is A?", "It.\n\n### And what is C?\n\nX.")),
        ("<details><summary>What is A?</summary>One.</details>\n", Edit("What is A?", "One.", "What is A?", "Two.")),
        ("### Q: What is A?\n\n> One.\n", Edit("What is A?", "One.", "What is A?", "Two.")),
    ],
)
def test_what_cannot_be_written_is_left_and_named(text: str, edit: Edit) -> None:
    found = written(text, [edit])
    assert found.text == text and [one for one, _ in found.failed] == [edit] and found.failed[0][1]
    assert recognize(found.text) == recognize(text)
