"""The page of word vectors: what was learned, who is near whom, a map, and what skip-gram factorizes.

Its data are what pipeline.vectors.page_data makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Html, tag
from clearhead.charts.points import Point, point_map
from clearhead.charts.svg import Axis
from clearhead.charts.wording import big, count, duration, number, percent
from clearhead.report.page import document
from clearhead.report.parts import Column, figure, section, table

NAMES = {"skipgram": "Skip-gram", "cbow": "CBOW", "glove": "GloVe", "ppmi": "The SVD of PPMI"}


def render(data: Mapping[str, Any]) -> str:
    """The page as one HTML text."""
    told = headline(data)
    parts = [opening(data, told), scores_section(data), neighbors_section(data), map_section(data)]
    parts += [factorization_section(data), learning_section(data)]
    return document("Word vectors", told, *(part for part in parts if part))


def headline(data: Mapping[str, Any]) -> str:
    return (
        f"{NAMES[data['method']]} made vectors of {count(data['dimensions'])} numbers for {count(data['vocabulary'])} "
        f"words from a text of {big(data['words'])} words."
    )


def opening(data: Mapping[str, Any], told: str) -> Html:
    cards = [
        (duration(data["seconds"]), f"for {count(data['epochs'])} passes over the text"),
        (big(data["words_per_second"]), "words a second, on one thread"),
        (count(data["window"]), "words to each side at most"),
    ]
    return tag(
        "header",
        tag("p", f"word vectors · {data['method']}", cls="origin"),
        tag("h1", told),
        tag("ul", *(tag("li", tag("b", value), tag("span", text)) for value, text in cards), cls="cards"),
    )


def scores_section(data: Mapping[str, Any]) -> Html | None:
    if not data["scores"]:
        return None
    rows = [
        (
            score["file"],
            f"{number(score['spearman'])} (Spearman)" if "spearman" in score else f"{percent(score['right'])} right",
            f"{count(score['known'])} of {count(score.get('pairs', score.get('analogies')))}",
        )
        for score in data["scores"]
    ]
    columns = [Column("Set", numeric=False), Column("Score"), Column("Questions whose words all have vectors")]
    lead = "Pairs: the cosine's ranks beside those of people's scores. Analogies: is b - a + c nearest to d?"
    return section("scores", "Beside people", tag("p", lead, cls="lead"), table("Scores", columns, rows, stacked=True))


def neighbors_section(data: Mapping[str, Any]) -> Html | None:
    if not data["neighbors"]:
        return None
    rows = [(word, ", ".join(f"{name} {cosine:.2f}" for name, cosine in near)) for word, near in data["neighbors"]]
    columns = [Column("Word", numeric=False), Column("Nearest, with their cosines", numeric=False)]
    return section("neighbors", "Who is near whom", table("Neighbors", columns, rows, stacked=True))


def map_section(data: Mapping[str, Any]) -> Html | None:
    drawing = point_map([Point(*entry) for entry in data["map"]], [], 860, 620, "Map of words")
    if drawing is None:
        return None
    caption = (
        "The two principal components of frequent words' vectors, each at length 1: the plane that shows most of how"
        " they spread. Most of it is lost in two dimensions; hover over a point without a name."
    )
    return section("map", "A map", figure(drawing, caption))


def factorization_section(data: Mapping[str, Any]) -> Html | None:
    """Skip-gram's dot products against the shifted PMI."""
    found = data.get("factorization")
    if not found:
        return None
    bins = found["bins"]
    x = [b["predicted"] for b in bins]
    lines = [
        Series("skip-gram", x, [b["dot"] for b in bins], [b["low"] for b in bins], [b["high"] for b in bins]),
        Series("equal", [x[0], x[-1]], [x[0], x[-1]], quiet=True, marks=False),
    ]
    drawing = line_chart(lines, Axis("shifted PMI"), Axis("dot product"), 760, 360, "Dot product by shifted PMI")
    lead = (
        "Given dimensions enough, the dot product of a word's vector and another's context vector is the logarithm of"
        " how much oftener the two meet than by chance, less log k (Levy and Goldberg 2014): skip-gram factorizes a"
        f" table of counts. Over {count(found['pairs'])} pairs of frequent words that meet, the two correlate by"
        f" {number(found['correlation'])}."
    )
    columns = [Column("Shifted PMI"), Column("Dot product, mean"), Column("10 % to 90 %")]
    rows = [(number(b["predicted"]), number(b["dot"]), f"{number(b['low'])} to {number(b['high'])}") for b in bins]
    caption = "Pairs in bins of equal size: the mean and what 80 % of them lie within."
    drawn = figure(drawing, caption, table("Factorization", columns, rows))
    return section("factorization", "What skip-gram factorizes", tag("p", lead, cls="lead"), drawn)


def learning_section(data: Mapping[str, Any]) -> Html | None:
    if len(data["curve"]) < 2:
        return None
    line = Series("loss", [x for x, _ in data["curve"]], [y for _, y in data["curve"]], marks=False)
    drawing = line_chart([line], Axis("share of the training", form=percent), Axis("loss"), 760, 300, "Loss")
    return section("learning", "Learning", figure(drawing, "The loss of the steps that were measured."))
