"""The section about attention: every head as a small map, and one of them enlarged with its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clearhead.charts.heat import large_map, packed, small_map
from clearhead.charts.markup import Html, tag
from clearhead.charts.wording import known, visible
from clearhead.report.data import AttentionInfo
from clearhead.report.parts import section


def attention_section(attention: AttentionInfo | None) -> Html | None:
    if attention is None or not attention.tokens:
        return None
    heads = [
        (i, j, head) for i, layer in enumerate(attention.layers) for j, head in enumerate(layer) if head and head[0]
    ]
    heads = [(i, j, head) for i, j, head in heads if max(len(head), len(head[0])) <= len(attention.tokens)]
    if not heads:
        return None
    first = max(heads, key=lambda entry: _offset_focus(entry[2]))
    buttons = {
        (i, j): tag(
            "button",
            small_map(head, _head_name(i, j)),
            type="button",
            aria_label=_head_name(i, j),
            aria_pressed="true" if (i, j) == first[:2] else "false",
            data_weights=packed(head),
            data_rows=len(head),
            data_columns=len(head[0]),
        )
        for i, j, head in heads
    }
    strip = [tag("span", visible(token)) for token in attention.tokens]
    large = tag(
        "div",
        tag("p", tag("b", _head_name(*first[:2]), cls="which"), cls="aside"),
        tag(
            "div",
            large_map(first[2], attention.tokens, _head_name(*first[:2])),
            cls="scroll",
            tabindex="0",
            role="group",
            aria_label="attention of one head; arrow keys move the cursor",
        ),
        tag("p", strip, cls="strip scripted", aria_hidden="true"),
        tag("p", "Point at a square, or use the arrow keys.", cls="told scripted", aria_live="polite"),
        cls="one-head",
    )
    caption = (
        "Each small square is one attention head. A row is the token being written, a column an earlier token, and the"
        " stronger the color the more that head looks there (opacity is the root of the weight). Diagonals copy"
        " neighbors, columns watch one token, scattered dots look things up. Attention shows where a head looks, not"
        " why."
    )
    scripted = tag("span", "Choose a head to enlarge it.", cls="scripted")
    grid = _grid(buttons)
    intro = f"The model at work on {attention.title}." if attention.title else None
    drawing = tag("figure", tag("div", large, grid, cls="attention"), tag("figcaption", caption, " ", scripted))
    return section("attention", "Where it looks", tag("p", intro, cls="lead") if intro else None, drawing)


def _grid(buttons: Mapping[tuple[int, int], Html]) -> Html:
    """All heads at once: a row for each layer, a column for each head."""
    layers, columns = sorted({i for i, _ in buttons}), sorted({j for _, j in buttons})
    head = tag("tr", tag("td"), *(tag("th", str(j + 1), scope="col") for j in columns))
    rows = [
        tag("tr", tag("th", str(i + 1), scope="row"), *(tag("td", buttons.get((i, j))) for j in columns))
        for i in layers
    ]
    name = tag("p", "Every head: a row for each layer, a column for each head of it", cls="aside")
    return tag("div", name, tag("table", tag("thead", head), tag("tbody", *rows), cls="heads"))


def _head_name(layer: int, head: int) -> str:
    return f"layer {layer + 1}, head {head + 1}"


def _offset_focus(head: Sequence[Sequence[float]]) -> float:
    """How sharply a head looks at tokens other than the current and the first one."""
    peaks = [max((w for w in row[1:t] if known(w)), default=0.0) for t, row in enumerate(head)]
    return sum(peaks) / len(peaks)
