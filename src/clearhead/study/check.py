"""What is missing or broken in notes, and what the guide answers of it."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import dedent

from clearhead.study.match import similarity
from clearhead.study.notes import FENCE, Item, Notes

PLACEHOLDERS = {"test", "todo", "tbd", "fixme", "xxx", "...", "…", "?", "-", "n/a", "answer", "wip"}
TAG = re.compile(r"<[^>]*>")
LIKELY = 0.3  # alike enough to be worth showing


@dataclass(frozen=True)
class Finding:
    """`kind`: unanswered, placeholder, to do, mathematics or code; `guide` is what answers it there, "" if nothing."""

    kind: str
    line: int
    text: str
    guide: str = ""


def check(notes: Notes, guide: Sequence[Item]) -> list[Finding]:
    """Everything that wants attention, in the order of the file."""
    found: list[Finding] = []
    for item in notes.items:
        said = TAG.sub(" ", item.answer).split()
        words = [word.strip(".:").lower() for word in said if word.lower() not in ("answer", "summary")]
        if not item.answer:
            found.append(Finding("unanswered", item.line, item.question))
        elif not words or (len(words) <= 2 and all(word in PLACEHOLDERS or not word for word in words)):
            found.append(Finding("placeholder", item.line, item.question))
        found += [
            Finding("mathematics", item.line, told) for told in broken_mathematics(item.question + "\n" + item.answer)
        ]
        found += [Finding("code", item.line, told) for told in broken_code(item.answer)]
    found += [Finding("to do", todo.line, todo.text or "(nothing more is said)") for todo in notes.todos]
    wanted = [i for i, finding in enumerate(found) if finding.kind in ("unanswered", "placeholder", "to do")]
    if wanted and guide:
        scores = similarity([found[i].text for i in wanted], [item.question for item in guide])
        for i, row in zip(wanted, scores, strict=True):
            best = int(row.argmax())
            if row[best] >= LIKELY:
                place = f"{guide[best].section[0]} / {guide[best].section[-1]} {guide[best].number}"
                found[i] = Finding(found[i].kind, found[i].line, found[i].text, f"{place}: {guide[best].question}")
    return sorted(found, key=lambda finding: finding.line)


def without_code(text: str) -> str:
    """The text with fenced blocks and `code` blanked."""
    lines, fence = [], ""
    for line in text.splitlines():
        mark = FENCE.match(line)
        if fence or mark:
            fence = "" if fence and mark and mark[1].startswith(fence) else fence or (mark[1] if mark else "")
            continue
        lines.append(line)
    return re.sub(r"`[^`\n]*`", "", "\n".join(lines))


def broken_mathematics(text: str) -> Iterator[str]:
    r"""What is wrong with $...$ and $$...$$: a sign without its partner, braces that do not match.

    >>> list(broken_mathematics("$x$ and $y")), list(broken_mathematics(r"$a_{1}$ for \$5"))
    (['a $ without its partner'], [])
    """
    plain = without_code(text).replace(r"\$", "")
    pieces = plain.split("$$")
    if len(pieces) % 2 == 0:
        yield "a $$ without its partner"
        return
    inside = pieces[1::2]
    for piece in pieces[::2]:
        parts = piece.split("$")
        if len(parts) % 2 == 0:
            yield "a $ without its partner"
            return
        inside += parts[1::2]
    for formula in inside:
        bare = formula.replace(r"\{", "").replace(r"\}", "")
        depth = 0
        for sign in bare:
            depth += (sign == "{") - (sign == "}")
            if depth < 0:
                break
        if depth:
            yield f"braces that do not match in ${formula.strip()[:40]}$"


def broken_code(text: str) -> Iterator[str]:
    """Fences that never end, and Python that cannot be read."""
    fence, language = "", ""
    body: list[str] = []
    for line in text.splitlines():
        mark = FENCE.match(line)
        if not fence and mark:
            fence, language, body = mark[1], mark[2].strip().split(" ")[0].lower(), []
        elif fence and mark and mark[1].startswith(fence) and not mark[2].strip():
            if language in ("python", "py"):
                try:
                    ast.parse(dedent("\n".join(body)))
                except (SyntaxError, ValueError) as error:
                    yield f"Python that cannot be read: {str(error).splitlines()[0]}"
            fence = ""
        elif fence:
            body.append(line)
    if fence:
        yield "a block of code that never ends"
