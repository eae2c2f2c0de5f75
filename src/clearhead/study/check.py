"""What is missing or broken in notes, and what the guide answers of it."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import dedent

from clearhead.study.match import similarity
from clearhead.study.notes import FENCE, Item, Notes

PLACEHOLDERS = {"test", "todo", "tbd", "fixme", "xxx", "...", "…", "?", "-", "n/a", "answer", "wip"}
TAG = re.compile(r"<[^<>]*>")
LIKELY = 0.175  # alike enough to be worth showing
NEAR = 2  # headings above a question that say what it is about


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
    about: dict[int, tuple[str, ...]] = {}  # the headings above a line
    for item in notes.items:
        about[item.line] = item.section
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
    for todo in notes.todos:
        about[todo.line] = todo.section
        found.append(Finding("to do", todo.line, todo.text or "(nothing more is said)"))
    wanted = [i for i, finding in enumerate(found) if finding.kind in ("unanswered", "placeholder", "to do")]
    asked = [" ".join((*about[found[i].line][-NEAR:], found[i].text)) for i in wanted]
    for i, answer in zip(wanted, answers(asked, guide), strict=True):
        if answer is not None:
            place = f"{answer.section[0]} / {answer.section[-1]} {answer.number}"
            found[i] = replace(found[i], guide=f"{place}: {answer.question}")
    return sorted(found, key=lambda finding: finding.line)


def answers(asked: Sequence[str], guide: Sequence[Item]) -> list[Item | None]:
    """The question of the guide that answers each text, or None where none is alike enough.

    Likeness is the mean of two cosines: with its headings and its question, and with all that it says but code. The
    question alone misses an answer in other words; the answer alone is won by those that speak of everything.
    """
    if not asked or not guide:
        return [None] * len(asked)
    heads = [" ".join((*item.section, item.question)) for item in guide]
    wholes = [f"{head} {without_code(item.answer)}" for head, item in zip(heads, guide, strict=True)]
    scores = (similarity(asked, heads) + similarity(asked, wholes)) / 2
    best = scores.argmax(1)
    return [guide[j] if row[j] >= LIKELY else None for j, row in zip(best.tolist(), scores, strict=True)]


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
