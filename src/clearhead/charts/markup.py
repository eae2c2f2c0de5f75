"""Markup that is escaped unless it says otherwise: the one place where text becomes HTML."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Text that is markup already. Any other `str` is plain text and is escaped when it enters an element."""


Child = str | None | Iterable[Any]  # of children again, however deep


def join(*children: Child) -> Html:
    """Children in order as one piece of markup; plain text is escaped, None vanishes, lists are flattened.

    >>> join("a < b", None, [tag("i", "c")])
    'a &lt; b<i>c</i>'
    """
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        else:
            parts.append(join(*child))
    return Html("".join(parts))


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """One element. `cls` is written class, `_` in a name becomes `-`; None and False drop an attribute, True leaves it
    bare.

    >>> tag("p", "1 < 2", cls="note", data_tip='"', hidden=False)
    '<p class="note" data-tip="&quot;">1 &lt; 2</p>'
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        assert not children, f"<{name}> holds nothing"
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{join(*children)}</{name}>")


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = "class" if key == "cls" else key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'
