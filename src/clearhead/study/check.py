"""What is missing or broken in notes, and what the guide answers of it."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import dedent

import numpy as np

from clearhead.study.book import Found
from clearhead.study.match import similarity
from clearhead.study.notes import FENCE, TODO, Item, Notes, Todo
from clearhead.study.search import Entry, Index, stems

PLACEHOLDERS = {"test", "todo", "tbd", "fixme", "xxx", "...", "…", "?", "-", "n/a", "answer", "wip"}
LABELS = {"answer", "summary", "solution"}
POINTS = """this these here question more explore add other deeper knowledge need better example handwavey move
    somewhere bit talk something like etc instead"""
POINTING = set(stems(POINTS))
FEW = 2  # words of a remark that say what it is about; with fewer it is read with what stands around it
TAG = re.compile(r"<[^<>]*>")
BULLET = re.compile(r"\s*(?:[-*+]|\d+[.)])\s")
LIKELY = 0.175  # alike enough to be worth showing
LEANING = 0.06  # what the search's word counts for, beside a likeness of 0 to 1
NEAR = 2  # headings above a question that say what it is about


@dataclass(frozen=True)
class Finding:
    """`kind`: unanswered, placeholder, to do, mathematics or code.

    `guide` is the question of the guide that answers it and `place` where it stands, such as 19.4; "" if nothing does.
    """

    kind: str
    line: int
    text: str
    place: str = ""
    guide: str = ""


def check(notes: Notes, guide: Sequence[Found]) -> list[Finding]:
    """Everything that wants attention, in the order of the file."""
    found: list[Finding] = []
    asked: dict[int, str] = {}  # by the place of its finding
    for item in notes.items:
        if kind := gap(item):
            asked[len(found)] = " ".join((*item.section[-NEAR:], item.question))
            found.append(Finding(kind, item.line, item.question))
        found += [
            Finding("mathematics", item.line, told) for told in broken_mathematics(item.question + "\n" + item.answer)
        ]
        found += [Finding("code", item.line, told) for told in broken_code(item.answer)]
    for todo in notes.todos:
        asked[len(found)] = wanted(todo, notes.items)
        found.append(Finding("to do", todo.line, todo.text or "(nothing more is said)"))
    by_item = {one.item: one for one in guide}
    for at, answer in zip(asked, answers(list(asked.values()), list(by_item)), strict=True):
        if answer is not None:
            found[at] = replace(found[at], place=by_item[answer].place, guide=answer.question)
    return sorted(found, key=lambda finding: finding.line)


def gap(item: Item) -> str:
    """What a reader would say of a question's answer: "unanswered", "placeholder", or "" where there is one.

    Remarks to oneself are no answer, nor is the data of an exercise: a list below a question that ends in a colon.

    >>> given = Item((), 1, "Compute the mean of:", "- a = 1\\n- b = 2", 1)
    >>> gap(given), gap(Item((), 2, "Why?", "TODO: more questions", 1)), gap(Item((), 3, "Why?", "Test", 1))
    ('unanswered', 'unanswered', 'placeholder')
    """
    lines = [TODO.sub("", line) for line in TAG.sub(" ", item.answer).splitlines()]
    said = [word for line in lines for word in line.split() if word.lower().strip(".:") not in LABELS]
    if not said:
        return "placeholder" if "<" in item.answer else "unanswered"
    if len(said) <= 2 and all(word.strip(".:").lower() in PLACEHOLDERS for word in said):
        return "placeholder"
    given = item.question.rstrip().endswith(":") and all(BULLET.match(line) for line in lines if line.strip())
    return "unanswered" if given else ""


def wanted(todo: Todo, items: Sequence[Item]) -> str:
    """What a remark asks for: its telling words, and if these are few, the headings above it and what stands before."""
    said = " ".join(word for word in todo.text.split() if not set(stems(word)) <= POINTING)
    if len(stems(said)) >= FEW:
        return said
    before = ""
    inside = next((item for item in reversed(items) if item.line < todo.line and item.section == todo.section), None)
    if inside is not None:
        line = next((line for line in inside.answer.splitlines() if "TODO" in line and todo.text in line), "")
        before = line.split("TODO")[0]
        before = before if len(stems(before)) >= FEW else inside.question
    return " ".join((*todo.section[-NEAR:], said, before))


def answers(asked: Sequence[str], guide: Sequence[Item]) -> list[Item | None]:
    """The question of the guide that answers each text, or None where none is alike enough.

    Likeness is the mean of two cosines: with its headings and its question, and with all that it says but code. The
    question alone misses an answer in other words; the answer alone is won by those that speak of everything. Among
    those about as alike what a search for the text finds first wins.
    """
    if not asked or not guide:
        return [None] * len(asked)
    index = Index([Entry(item.question, item.section, item.answer) for item in guide])
    spelled = [index.spelled(text) for text in asked]
    heads = [" ".join((*item.section, item.question)) for item in guide]
    wholes = [f"{head} {without_code(item.answer)}" for head, item in zip(heads, guide, strict=True)]
    scores = (similarity(spelled, heads) + similarity(spelled, wholes)) / 2
    leaning = np.zeros_like(scores)
    for row, text in zip(leaning, spelled, strict=True):
        for j, score in index.search(text):
            row[j] = score
    best = (scores + LEANING * leaning / np.maximum(leaning.max(1, keepdims=True), 1e-12)).argmax(1)
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
