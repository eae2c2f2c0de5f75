"""The few building blocks that every section of the page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.wording import known

FIRST, SEARCH = 5, 0  # the colors of the two strategies that the headline compares


@dataclass(frozen=True)
class Column:
    title: str
    numeric: bool = True


def section(anchor: str, title: str, *children: Child) -> Html:
    return tag(
        "section", tag("h2", title, id=f"{anchor}-title"), *children, id=anchor, aria_labelledby=f"{anchor}-title"
    )


def figure(drawing: Child, caption: Child, numbers: Html | None = None) -> Html:
    """A drawing with its explanation; `numbers` is the same as a table, folded away."""
    folded = fold("The numbers", numbers) if numbers else None
    return tag("figure", tag("div", drawing, cls="drawing"), tag("figcaption", caption), folded)


def fold(summary: str, *children: Child) -> Html:
    return tag("details", tag("summary", summary), *children, cls="fold")


def table(name: str, columns: Sequence[Column], rows: Sequence[Sequence[Child]], stacked: bool = False) -> Html:
    """A table whose first column heads its rows; on a narrow screen each row becomes a card, or else it scrolls."""
    head = [tag("th", c.title, scope="col", cls="number" if c.numeric else None) for c in columns]
    body = []
    for row in rows:
        assert len(row) == len(columns), (len(row), len(columns))
        cells = [tag("th", row[0], scope="row", cls="number" if columns[0].numeric else None)]
        for column, cell in zip(columns[1:], row[1:], strict=True):
            cells.append(tag("td", cell, cls="number" if column.numeric else None, data_label=column.title))
        body.append(tag("tr", *cells))
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body), cls="stacked" if stacked else None)
    if stacked:
        return whole
    return tag("div", whole, cls="scroll", role="region", aria_label=name, tabindex="0")


def facts(pairs: Sequence[tuple[str, Child]]) -> Html:
    """Names and values in a quiet grid."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), cls="facts")


def note(kind: str, text: str) -> Html:
    """A plain sentence with its judgment as a word and a sign, never by color alone."""
    signs = {"good": ("✓", "Good: "), "bad": ("✗", "Not good: "), "plain": ("·", "")}
    sign, spoken = signs[kind]
    hidden = tag("span", spoken, cls="unseen") if spoken else None
    return tag("li", tag("span", sign, cls="sign", aria_hidden="true"), tag("span", hidden, text), cls=kind)


def notes(items: Sequence[tuple[str, str]]) -> Html | None:
    return tag("ul", *(note(kind, text) for kind, text in items), cls="notes") if items else None


def steps(lines: Sequence[str]) -> Html:
    """A solution, one step a line."""
    return tag("ol", *(tag("li", tag("code", line)) for line in lines), cls="steps")


def share_bar(share: float, low: float, high: float, color: int) -> Html:
    """A share on a line from nothing to everything, with its interval."""
    marks = [tag("span", style=_place(low, high), cls=f"whisker s{color}")] if known(low) and known(high) else []
    if known(share):
        marks.append(tag("span", style=f"left:{_clip(share):.1f}%", cls=f"dot s{color}"))
    return tag("span", *marks, cls="track", aria_hidden="true")


def _place(low: float, high: float) -> str:
    left, right = _clip(low), _clip(high)
    return f"left:{left:.1f}%;width:{max(0.0, right - left):.1f}%"


def _clip(share: float) -> float:
    return 100 * min(max(share, 0.0), 1.0)
