"""Every counter-example of docs/errata.md is run and prints what stands there."""

import doctest
import re
from pathlib import Path

ERRATA = Path(__file__).parents[1] / "docs" / "errata.md"
PARSER = doctest.DocTestParser()


def sections(text: str) -> list[str]:
    return re.split(r"^## ", text, flags=re.MULTILINE)[1:]


def failures(text: str) -> int:
    """How many examples print something else; they share their names, from the first to the last."""
    runner = doctest.DocTestRunner()
    runner.run(PARSER.get_doctest(text.replace("```", ""), {}, "errata", None, 0))
    return runner.summarize(verbose=False).failed


def test_every_counter_example_holds() -> None:
    assert failures(ERRATA.read_text(encoding="utf-8")) == 0


def test_a_wrong_one_is_found() -> None:
    text = ERRATA.read_text(encoding="utf-8")
    assert failures(text.replace("\n(1, 0)", "\n(2, 0)")) == 1


def test_each_has_a_claim_an_example_and_what_is_true() -> None:
    found = sections(ERRATA.read_text(encoding="utf-8"))
    assert len(found) >= 40
    for section in found:
        claim, _, rest = section.partition("\n")
        _, example, truth = rest.split("```")
        assert claim and ">>> " in example and len(truth.strip()) > 40, claim
