"""A search tree as nested <details>: it opens and closes without a script, by mouse or keyboard.

Shown: each step with its share of the visits and its value as bars, its prior and reward as numbers, the chosen path
marked. Left out, and counted: all but the most visited steps of a crowded node, and anything below `DEEPEST`.
"""

from __future__ import annotations

from clearhead.charts.markup import Html, join, tag
from clearhead.charts.wording import count, decimal, known, percent, plural
from clearhead.report.data import Node, TreeInfo

WIDEST = 8
DEEPEST = 40


def tree_figure(tree: TreeInfo) -> Html:
    """The whole tree, open along the chosen path."""
    assert tree.root is not None
    head = tag(
        "div",
        tag("span", "step"),
        tag("span", "visits"),
        tag("span", "value"),
        tag("span", "prior"),
        tag("span", "reward"),
        cls="row head",
        aria_hidden="true",
    )
    total = tree.root.visits if known(tree.root.visits) else sum(_visits(child) for child in tree.root.children)
    controls = tag(
        "p",
        tag("button", "Open all", type="button", data_tree="open"),
        tag("button", "Close all", type="button", data_tree="close"),
        tag("button", "Chosen path only", type="button", data_tree="path"),
        cls="controls scripted",
    )
    return tag(
        "div",
        controls,
        head,
        tag("ul", _branch(tree.root, max(total, 1.0), 0, tree.problem), cls="tree"),
        cls="search-tree",
    )


def size(node: Node) -> int:
    """The number of steps in a tree, its root left out."""
    total, open_nodes = -1, [node]
    while open_nodes:
        current = open_nodes.pop()
        total += 1
        open_nodes.extend(current.children)
    return total


def _visits(node: Node) -> float:
    return node.visits if known(node.visits) else 0.0


def _branch(node: Node, total: float, depth: int, text: str) -> Html:
    row = _row(node, total, text, root=depth == 0)
    marks = " ".join(name for name, on in (("chosen", node.chosen or depth == 0), ("done", node.done)) if on)
    if not node.children:
        return tag("li", tag("div", row, cls="row leaf"), cls=marks or None)
    if depth >= DEEPEST:
        below = [tag("li", f"{plural(size(node), 'deeper step')} not shown", cls="more")]
    else:
        kept, left_out = _keep(node.children)
        below = [_branch(child, total, depth + 1, child.text) for child in kept]
        if left_out:
            share = sum(_visits(child) for child in left_out) / total
            below.append(
                tag("li", f"and {plural(len(left_out), 'other step')} with {percent(share)} of the visits", cls="more")
            )
    # The chosen path is open from the start; so is the root, to show what was weighed against it.
    opened = node.chosen or depth == 0
    details = tag("details", tag("summary", row, cls="row"), tag("ul", *below), open=opened, data_path=opened)
    return tag("li", details, cls=marks or None)


def _keep(children: list[Node]) -> tuple[list[Node], list[Node]]:
    """The most visited steps, the chosen one and finished ones first among equals, and the rest."""
    ranked = sorted(children, key=lambda child: (not child.chosen, -_visits(child), not child.done))
    kept, left_out = ranked[:WIDEST], ranked[WIDEST:]
    if len(left_out) == 1:
        kept, left_out = ranked, []
    return sorted(kept, key=lambda child: -_visits(child)), left_out


def _row(node: Node, total: float, text: str, root: bool) -> Html:
    lines = [line for line in text.split("\n") if line] or ["(nothing)"]
    label = [join(tag("br") if i else None, line) for i, line in enumerate(lines)]
    notes: list[Html] = []
    if node.chosen and not root:
        notes.append(tag("span", "chosen", cls="unseen"))
    if node.done:
        notes.append(tag("span", "end", cls="badge"))
    if node.correct is not None:
        notes.append(
            tag("span", "✓ right", cls="badge good") if node.correct else tag("span", "✗ wrong", cls="badge bad")
        )
    step = tag("span", tag("code", *label), *(join(" ", note) for note in notes), cls="step")
    return join(
        step,
        _meter("visits", count(node.visits), _visits(node) / total),
        _meter("value", decimal(node.value), node.value),
        None if root else tag("span", percent(node.prior, 0), cls="small"),
        None if root else tag("span", decimal(node.reward), cls="small"),
    )


def _meter(name: str, text: str, share: float) -> Html:
    width = 100 * min(max(share, 0.0), 1.0) if known(share) else 0.0
    bar = tag("span", tag("i", style=f"width:{width:.1f}%"), cls="bar", aria_hidden="true")
    return tag("span", bar, tag("b", text), cls=f"meter {name}")
