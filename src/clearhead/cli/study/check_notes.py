"""`clearhead study check`: what is missing or broken in notes."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from clearhead.cli.examples import examples
from clearhead.cli.options import json_option
from clearhead.errors import UserError
from clearhead.terminal import echo, echo_json


@click.command(
    "check",
    short_help="What is missing or broken in notes.",
    epilog=examples(
        ("clearhead study check notes.md", "questions without answers, TODOs, faults"),
        ("clearhead study check notes.md --json", "the same for a program"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check(file: Path, as_json: bool) -> int | None:
    """Find unanswered questions, TODOs, placeholders, broken mathematics and dead code in FILE.

    Each comes with its line and, where there is one, the question of the guide that answers it. The exit code is 1 if
    anything was found.
    """
    from clearhead.study import book
    from clearhead.study import check as checks
    from clearhead.study.examples import GUIDE
    from clearhead.study.reading import gather
    from clearhead.study.view import one_line

    if file.is_dir():
        raise UserError(f"{file} is a folder; give one file")
    notes = gather([file])[0].seen.notes
    found = checks.check(notes, [one for chapter in book.read(GUIDE) for one in book.all_of(chapter)])
    if as_json:
        echo_json([asdict(finding) for finding in found])
        return 1 if found else None
    for finding in found:
        echo(f"{file}:{finding.line}: {finding.kind}: {finding.text}")
        if finding.guide:
            echo(f"    clearhead guide {finding.place}: {one_line(finding.guide)}")
    counts = Counter(finding.kind for finding in found)
    without = counts["unanswered"] + counts["placeholder"]
    said = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "nothing to mend"
    if counts["placeholder"]:
        said = f"{without} without an answer, {said}"
    answered = sum(bool(finding.guide) for finding in found)
    echo(f"{len(notes.items)} questions: {said}" + (f"; the guide answers {answered}" if answered else ""))
    return 1 if found else None
