"""The page of graph networks: accuracy by depth, how alike the nodes grow, and what one network said of each node.

Its data are what pipeline.graph.study makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Html, tag
from clearhead.charts.points import Point, point_map
from clearhead.charts.svg import Axis
from clearhead.charts.wording import count, duration, listing, number, percent
from clearhead.report.page import document
from clearhead.report.parts import Column, figure, notes, section, table

NAMES = {"gcn": "GCN", "sage": "GraphSAGE", "gat": "GAT"}
CURES = {"none": "plain", "residual": "residual", "pairnorm": "PairNorm", "jumping": "jumping knowledge"}
SMOOTH = 0.01  # a spread below which nodes hardly differ but for their degree
SIZE = (420.0, 300.0)
Row = Mapping[str, Any]


def render(data: Mapping[str, Any]) -> str:
    """The page as one HTML text."""
    told = headline(data)
    parts = [opening(data, told), depth_section(data), map_section(data)]
    return document(f"Graph networks: {data['graph']}", told, *(part for part in parts if part))


def headline(data: Mapping[str, Any]) -> str:
    best = max(data["rows"], key=lambda row: row["accuracy"])
    return (
        f"{_label(best)} with {_layers(best['depth'])} told {percent(best['accuracy'])} of the nodes right, of which "
        f"only {count(len(data['known']))} were known."
    )


def opening(data: Mapping[str, Any], told: str) -> Html:
    cards = [
        (count(data["nodes"]), f"nodes and {count(data['edges'])} edges"),
        (count(len(data["classes"])), "classes: " + listing(data["classes"][:6])),
        (count(len(data["known"])), "nodes known, the best-connected of each class"),
        (
            duration(sum(row["seconds"] for row in data["rows"])),
            f"for {count(len(data['rows']) * data['seeds'])} networks",
        ),
    ]
    return tag(
        "header",
        tag("p", f"graph networks · {data['graph']}", cls="origin"),
        tag("h1", told),
        tag("ul", *(tag("li", tag("b", value), tag("span", text)) for value, text in cards), cls="cards"),
    )


def depth_section(data: Mapping[str, Any]) -> Html:
    lines = [(label, list(rows)) for label, rows in groupby(data["rows"], _label)]
    accuracy = [
        Series(
            label,
            _column(rows, "depth"),
            _column(rows, "accuracy"),
            _column(rows, "low"),
            _column(rows, "high"),
            color=i,
        )
        for i, (label, rows) in enumerate(lines)
    ]
    rough = [(label, [row for row in rows if row["spread"] > 0]) for label, rows in lines]
    smooth = [
        Series(label, _column(rows, "depth"), _column(rows, "spread"), color=i) for i, (label, rows) in enumerate(rough)
    ]
    depth = Axis("layers", log=True)
    drawn = [
        line_chart(
            accuracy, depth, Axis("accuracy on the others", low=0.0, high=1.0, form=percent), *SIZE, "Accuracy by depth"
        ),
        line_chart(smooth, depth, Axis("spread of the nodes", log=True), *SIZE, "Spread by depth"),
    ]
    captions = [
        f"The mean of {count(data['seeds'])} seeds, and the range between the best and the worst of them.",
        "The Dirichlet energy of the last hidden states as a share of their size: 0 where neighbors are alike but for"
        " their degree. Points at 0 have no place on the axis.",
    ]
    columns = [Column("network", numeric=False), *map(Column, ("layers", "accuracy", "lowest", "highest", "spread"))]
    rows = [
        [
            _label(row), count(row["depth"]), percent(row["accuracy"]), percent(row["low"]), percent(row["high"]),
            number(row["spread"]),
        ]
        for row in data["rows"]
    ]  # fmt: skip
    lead = (
        "A layer averages each node with its neighbors, and what is averaged again and again becomes alike:"
        " over-smoothing. What keeps a part of the input, or of the distance between nodes, holds against it."
    )
    figures = [figure(svg, caption) for svg, caption in zip(drawn, captions, strict=True) if svg]
    return section(
        "depth", "Deeper", tag("p", lead, cls="lead"), notes(findings(data["rows"])),
        tag("div", *figures, cls="pair"), table("Depth", columns, rows, stacked=True),
    )  # fmt: skip


def findings(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What depth did to each network, whichever way it went."""
    found = []
    for label, group in groupby(rows, _label):
        ordered = sorted(group, key=lambda row: row["depth"])
        if len(ordered) < 2:
            continue
        best, deepest = max(ordered, key=lambda row: row["accuracy"]), ordered[-1]
        alike = "still differ" if deepest["spread"] > SMOOTH else "are alike"
        told = (
            f"{label}: {percent(best['accuracy'])} with {_layers(best['depth'])}, {percent(deepest['accuracy'])} with "
            f"{_layers(deepest['depth'])}, whose nodes {alike} (spread {number(deepest['spread'])})."
        )
        found.append(("plain", told))
    return found


def map_section(data: Mapping[str, Any]) -> Html | None:
    nodes = data["map"].get("nodes", [])
    points = [Point(node["name"], node["x"], node["y"], node["said"], _told(node, data["classes"])) for node in nodes]
    drawing = point_map(points, [(a, b) for a, b in data["map"].get("edges", [])], 760, 520, "The graph")
    if drawing is None:
        return None
    wrong = [node["name"] for node in nodes if node["is"] >= 0 and node["said"] != node["is"]]
    known = listing([node["name"] for node in nodes if node["known"]])
    first = data["rows"][0]
    caption = (
        f"Neighbors lie near each other (the Laplacian's eigenvectors); colors are what {_label(first)} with "
        f"{_layers(first['depth'])} said, from the known nodes {known}. "
        + (f"Wrong: {listing(wrong)}." if wrong else "None is wrong.")
    )
    return section("map", "Node by node", figure(drawing, caption))


def _told(node: Mapping[str, Any], classes: Sequence[str]) -> str:
    truth = "unknown" if node["is"] < 0 else classes[node["is"]]
    return f"{node['name']}: {classes[node['said']]}, in truth {truth}" + (" (known)" if node["known"] else "")


def _label(row: Row) -> str:
    return NAMES[row["layer"]] if row["cure"] == "none" else f"{NAMES[row['layer']]}, {CURES[row['cure']]}"


def _layers(depth: int) -> str:
    return f"{count(depth)} layer{'s' * (depth > 1)}"


def _column(rows: Sequence[Row], name: str) -> list[float]:
    return [row[name] for row in rows]
