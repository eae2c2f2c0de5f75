"""What takes several lines, matrices, cases and aligned rows: drawn, or written in one line.

In a text, a private character stands for each of them; `held` has its kind and its rows.
"""

import re
import unicodedata
from collections.abc import Callable

HELD = 0xF0000  # the first of those characters
HIDDEN = frozenset(chr(HELD + i) for i in range(0x1000))  # none of them may come from outside
BRACKETS = {"bmatrix": ("[", "]"), "pmatrix": ("(", ")"), "vmatrix": ("|", "|"), "Vmatrix": ("‖", "‖"),
            "Bmatrix": ("{", "}"), "cases": ("{", "")}  # fmt: skip
BARE = ("matrix", "smallmatrix", "array")
TALL = {"[": "⎡⎢⎣", "]": "⎤⎥⎦", "(": "⎛⎜⎝", ")": "⎞⎟⎠", "{": "⎧⎪⎩", "}": "⎫⎪⎭"}  # top, middle, bottom
Table = list[list[str]]
Held = list[tuple[str, Table]]


def rows(table: Table, held: Held) -> list[str]:
    """Rows with their cells aligned; a formula that is nothing but an environment of rows gives these."""
    while len(table) == 1 and len(table[0]) == 1 and (inner := _only_rows(table[0][0], held)) is not None:
        table = inner
    if len(table) < 2:
        return [" ".join(filter(None, row)) for row in table]
    first = max((_width(row[0]) for row in table if len(row) > 1), default=0)
    return [
        " ".join([" " * max(0, first - _width(row[0])) + row[0], *row[1:]]).rstrip() if len(row) > 1 else row[0]
        for row in table
    ]


def _only_rows(text: str, held: Held) -> Table | None:
    at = ord(text) - HELD if len(text) == 1 else -1
    return held[at][1] if 0 <= at < len(held) and held[at][0] not in (*BRACKETS, *BARE) else None


def fill(text: str, held: Held, write: Callable[[str, Table], str]) -> str:
    """The text with its environments written by `write`, those inside first."""
    for i in reversed(range(len(held))):
        if chr(HELD + i) in text:
            text = text.replace(chr(HELD + i), write(*held[i]))
    return text


def in_a_row(kind: str, table: Table) -> str:
    """`[1 0; 0 1]`, or rows one behind the other."""
    if kind in BRACKETS or kind in BARE:
        left, right = BRACKETS.get(kind, ("[", "]"))
        cell = ", " if kind == "cases" else " "
        return f"{left}{'; '.join(cell.join(row) for row in table)}{right}".rstrip()
    return ";  ".join(" ".join(filter(None, row)) for row in table)


def drawn(text: str, held: Held) -> list[str]:
    """One row of a formula with its matrices drawn; the middle of each stands at the height of the text."""
    boxes: list[list[str]] = []
    for part in re.split(f"([{chr(HELD)}-{chr(HELD + 0xFFF)}])", text):
        at = ord(part) - HELD if len(part) == 1 else -1
        if 0 <= at < len(held):
            kind, table = held[at]
            cells = [[fill(cell, held, in_a_row) for cell in row] for row in table]
            boxes.append(_box(kind, cells) if len(cells) > 1 else [in_a_row(kind, cells)])
        elif part:
            boxes.append([part])
    height = max((len(box) for box in boxes), default=1)
    lines = [""] * height
    for box in boxes:
        width, top = max(map(_width, box)), (height - len(box)) // 2
        for i in range(height):
            line = box[i - top] if 0 <= i - top < len(box) else ""
            lines[i] += line + " " * (width - _width(line))
    return [line.rstrip() for line in lines]


def _box(kind: str, table: Table) -> list[str]:
    left, right = BRACKETS.get(kind, (" ", " "))
    columns = max(map(len, table))
    widths = [max((_width(row[j]) for row in table if j < len(row)), default=0) for j in range(columns)]
    lines = []
    for i, row in enumerate(table):
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)]
        place = 0 if i == 0 else 2 if i == len(table) - 1 else 1
        edges = [TALL[side][place] if side in TALL else side for side in (left, right)]
        lines.append(f"{edges[0]} {'  '.join(cells)} {edges[1]}".rstrip())
    return lines


def _width(text: str) -> int:
    """Columns of a terminal: accents take none."""
    return sum(not unicodedata.combining(sign) for sign in text)
