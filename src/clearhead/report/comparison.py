"""The section that sets kinds of models side by side: what each holds in mind, what a token costs as texts grow longer,
and what that says to questions of the guide. Every answer is a figure of this run, whichever way it came out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Html, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import big, count, duration, listing, number, percent
from clearhead.report.data import LanguageModelInfo, LengthCost, TextInfo
from clearhead.report.language import FAR, SIZE, gain_from_afar, share, title
from clearhead.report.parts import Column, figure, section, table

Models = Sequence[LanguageModelInfo]


def comparison_section(text: TextInfo | None) -> Html | None:
    """Nothing where only one model was trained, or none was tried on more than text."""
    models = text.models if text else []
    drawn = [_recall_figure(models), *(_cost_figure(models, *about) for about in COSTS)]
    if len(models) < 2 or not any(drawn):
        return None
    lead = (
        "Models of equal size, trained on the same text for as many steps, beside each other: what each of them can"
        " hold in mind, and what it pays for that as the text grows longer."
    )
    figures = tag("div", *(f for f in drawn if f), cls="pair")
    return section("comparison", "Why attention won", tag("p", lead, cls="lead"), _answers(models), figures)


def _recall_figure(models: Models) -> Html | None:
    series = []
    for i, model in enumerate(models):
        points = model.recall.by_pairs if model.recall else []
        tips = [f"{title(model)}: {percent(p.accuracy)} of {number(p.pairs)} pairs" for p in points]
        x, y = [p.pairs for p in points], [100 * p.accuracy for p in points]
        low, high = [100 * p.low for p in points], [100 * p.high for p in points]
        series.append(Series(title(model), x, y, low, high, tips=tips, color=i))
    axes = Axis("pairs to remember", log=True), Axis("% recalled", low=0.0, high=100.0)
    svg = line_chart(series, *axes, *SIZE, "Recall")
    if svg is None:
        return None
    caption = (
        "Memory. Pairs of symbols are read, drawn anew for every row, and then each first one is asked for its second"
        " (Arora et al. 2023). Attention looks the pair up; whoever keeps a state must have stored it before it"
        " knew what would be asked. The bands are 95% intervals."
    )
    columns = [Column("pairs"), *(Column(title(m)) for m in models)]
    tried = [m.recall.by_pairs for m in models if m.recall]
    rows = [[number(p[0].pairs), *(percent(q.accuracy) for q in p)] for p in zip(*tried, strict=False)]
    return figure(svg, caption, table("recall", columns, rows))


Cost = tuple[str, str, Callable[[LengthCost], float], Callable[[float], str], str]
COSTS: tuple[Cost, ...] = (
    (
        "Learning from a token", "microseconds a token", lambda c: 1e6 * c.read, number,
        "What a token costs in training, forward and back, in rows of that length. Attention compares every token with"
        " all before it, so its cost grows with the length; the others' does not, but a recurrent one takes its tokens"
        " one after the other.",
    ),
    (
        "Writing a token", "milliseconds a token", lambda c: 1e3 * c.write, number,
        "What the next token of one text costs once so many stand before it.",
    ),
    (
        "Memory of a text", "bytes", lambda c: c.kept, big,
        "What is kept of a text to go on with it: keys and values of all its tokens, or a state of one size.",
    ),
)  # fmt: skip


def _cost_figure(
    models: Models, name: str, unit: str, of: Callable[[LengthCost], float], form: Callable[[float], str], told: str
) -> Html | None:
    series = []
    for i, model in enumerate(models):
        tips = [f"{title(model)}: {form(of(c))} {unit} at {count(c.length)} tokens" for c in model.cost]
        x, y = [c.length for c in model.cost], [of(c) for c in model.cost]
        series.append(Series(title(model), x, y, tips=tips, color=i))
    svg = line_chart(series, Axis("tokens before it", log=True), Axis(unit, log=True, form=form), *SIZE, name)
    if svg is None:
        return None
    columns = [Column("tokens"), *(Column(title(m)) for m in models)]
    rows = [
        [count(costs[0].length), *(form(of(c)) for c in costs)]
        for costs in zip(*(m.cost for m in models), strict=False)
    ]
    return figure(svg, f"{name}. {told}", table(f"{name}: {unit}", columns, rows))


def _answers(models: Models) -> Html | None:
    """A question of the guide, and what was measured here."""
    rows = [[tag("code", f"clearhead guide {at}"), question, found] for at, question, found in answers(models)]
    columns = [Column("in the guide", numeric=False), Column("question", numeric=False), Column("here", numeric=False)]
    return table("questions and figures", columns, rows, stacked=True) if rows else None


def answers(models: Models) -> list[tuple[str, str, str]]:
    """(Number in the guide, question, what this run says to it); only where it was measured."""
    asked = (
        ("23.1", "Why did attention replace recurrence?", _at_equal_seconds(models)),
        ("23.2", "Why attention rather than convolutions?", _recalled(models, ("decoder", "conv"))),
        ("16.1", "Why is reading in sequence a bottleneck?", _reading(models)),
        ("16.2", "Why do recurrent networks forget the beginning?", _recalled(models, ("decoder", "lstm", "rnn"))),
        ("16.3", "Why do gradients vanish through time?", _reaching(models)),
        ("16.4", "What does the LSTM's additive cell change?", _from_afar(models)),
        ("18.5", "Which new bottleneck does attention create?", _kept(models)),
    )
    return [(at, question, found) for at, question, found in asked if found]


def _of(models: Models, names: Sequence[str]) -> list[LanguageModelInfo]:
    """Those models, if at least two of them are there."""
    found = [model for model in models if model.name in names]
    return found if len(found) > 1 else []


def _at_equal_seconds(models: Models) -> str:
    """The held-out loss of each after the seconds that the first to end took."""
    curves = [m.curve for m in models]
    if len(models) < 2 or not all(curves):
        return ""
    seconds = min(curve[-1].seconds for curve in curves)
    at = {title(m): [p.loss for p in m.curve if p.seconds <= seconds] for m in models}
    told = listing([f"the {name} {number(losses[-1])}" for name, losses in at.items() if losses])
    return f"after {duration(seconds)} of training each, nats a token of held-out text: {told}"


def _recalled(models: Models, names: Sequence[str]) -> str:
    found = [m for m in _of(models, names) if m.recall and m.recall.by_pairs]
    if len(found) < 2:
        return ""
    most = [(m, m.recall.by_pairs[-1]) for m in found if m.recall]
    told = listing([f"the {title(m)} {percent(point.accuracy)}" for m, point in most])
    return f"of {number(most[0][1].pairs)} pairs in mind are recalled: {told}"


def _reading(models: Models) -> str:
    found = [m for m in models if m.cost]
    if len(found) < 2:
        return ""
    short, long = [(title(m), m.cost[0]) for m in found], [(title(m), m.cost[-1]) for m in found]
    ends = [
        f"in rows of {count(costs[0][1].length)}: "
        + listing([f"the {name} {number(1e6 * cost.read, 3)}" for name, cost in costs])
        for costs in (short, long)
    ]
    return "microseconds to learn from a token " + ", ".join(ends)


def _reaching(models: Models) -> str:
    found = [m for m in _of(models, ("decoder", "lstm", "rnn")) if m.reach]
    if len(found) < 2:
        return ""
    told = listing([f"through the {title(m)} {share(m.reach[-1].share)}" for m in found])
    return f"of the last loss's gradient, {number(found[0].reach[-1].distance)} tokens back there arrives {told}"


def _from_afar(models: Models) -> str:
    found = [m for m in _of(models, ("lstm", "rnn")) if len(m.by_position) > 1]
    if len(found) < 2:
        return ""
    told = listing([f"the {title(m)}'s by {gain_from_afar(m):.2f} nats" for m in found])
    return f"beyond {FAR} tokens of earlier text the loss falls on: {told}"


def _kept(models: Models) -> str:
    found = [m for m in models if m.cost]
    if len(found) < 2:
        return ""
    told = listing([f"the {title(m)} {big(m.cost[-1].kept)}" for m in found])
    return f"bytes kept of {count(found[0].cost[-1].length)} tokens: {told}"
