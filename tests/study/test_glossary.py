"""Lists of terms become cards below a heading that says so, or when they are asked for; parts of an explanation do not.

The lists are written as public notes write theirs.
"""

import pytest

from clearhead.cli.study import import_notes
from clearhead.study.styles import FAMILIES, recognize

DASHED = """# Rock

## Syncing

`git add` may hang — run `git config core.fsmonitor false`.

## Glossary

- **Session** (our sense) — the admin-launched board: a chosen type +
  date that the kiosk and board share.
- **Group** — a classroom within a type (old: "location/room").

## Deploying

- **Staging**: by hand
- **Production**: by the pipeline
"""
COLONS = """## Key terms

- Action: A reusable operation on the selection. Types:
  - `http`: Send text to an endpoint.
  - `shell`: Run a local program.
- `Source`: Where the text comes from.
"""


def cards(text: str, family: str = "") -> list[tuple[str, str]]:
    return [(item.question, item.answer) for item in recognize(text, family).notes.items]


def test_terms_before_a_dash_with_a_remark_and_a_second_line() -> None:
    seen = recognize(DASHED)
    assert cards(DASHED) == [
        ("Session (our sense)", "the admin-launched board: a chosen type +\ndate that the kiosk and board share."),
        ("Group", 'a classroom within a type (old: "location/room").'),
    ]
    assert seen.styles == (("term: definition", 2),) and seen.doubtful == ()
    assert [item.section[-1] for item in seen.notes.items] == ["Glossary"] * 2


def test_plain_terms_with_lists_of_their_own() -> None:
    (action, told), (source, _) = cards(COLONS)
    assert (action, source) == ("Action", "`Source`")
    assert told.startswith("A reusable operation") and "`http`: Send" in told and "`shell`: Run" in told


@pytest.mark.parametrize(
    "title", ["Machine learning glossary", "Key Terms", "Термины", "术语表", "3. Terminology", "Glosario"]
)
def test_headings_that_name_a_glossary(title: str) -> None:
    assert len(cards(f"# {title}\n\n## A\n\n**Accuracy**: share right\n\n## B\n\n**Bias:** systematic error\n\n")) == 0
    first = "## A\n\n**Accuracy**: share right\n\n**Arm**: a choice\n\n"
    second = "## B\n\n- **Bias:** systematic error\n- **Batch** = examples of a step\n"
    assert cards(f"# {title}\n\n{first}{second}") == [
        ("Accuracy", "share right"), ("Arm", "a choice"), ("Bias", "systematic error"), ("Batch", "examples of a step"),
    ]  # fmt: skip


def test_parts_of_an_explanation_are_no_cards_unless_they_are_asked_for() -> None:
    prose = "# Boosting\n\n## Summary\n\n1. **Sequential**: each tree corrects\n2. **Additive**: trees are summed\n"
    assert cards(prose) == []
    assert cards(prose, "glossary") == [("Sequential", "each tree corrects"), ("Additive", "trees are summed")]
    assert recognize(
        "# Trees\n\n### What is boosting?\n\nTrees.\n\n- **Bag**: a sample\n- **Leaf**: an end\n"
    ).styles == (("### ...", 1),)


def test_a_glossary_beside_questions_and_beside_topics() -> None:
    asked = "### What is a flow?\n\nSteps.\n\n### Key Terms\n\n- **Step**: a unit of work\n- **Agent**: a model\n"
    assert [question for question, _ in cards(asked)] == ["What is a flow?", "Step", "Agent"]
    topics = "".join(f"## {name}\n\nWords about {name}.\n\n" for name in ("Attention", "Dropout", "Softmax"))
    terms = "## Terms\n\n- Head: one of many\n- Mask: what is hidden\n"
    assert [question for question, _ in cards(topics + terms)] == [
        "Attention", "Dropout", "Softmax", "Head", "Mask",
    ]  # fmt: skip


def test_lists_without_definitions_and_single_entries_are_none() -> None:
    assert cards("## Terms\n\n- Net 30\n- Late fee: 2%\n- No refunds\n- No returns\n") == []
    assert cards("## Glossary\n\n- **Only**: one\n") == []


def test_the_command_offers_every_style() -> None:
    assert import_notes.FAMILIES == FAMILIES
