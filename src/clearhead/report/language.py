"""The section about a language model of running text: what it was measured on, how well it predicts, what it writes."""

from __future__ import annotations

from clearhead.report.data import Corpus, LanguageModel, Text
from clearhead.report.markup import Child, Html, tag
from clearhead.report.parts import Column, facts, figure, section, table
from clearhead.report.svg import Axis, Series, line_chart
from clearhead.report.wording import count, known, number, percent, visible


def text_section(text: Text | None) -> Html | None:
    if text is None:
        return None
    told = _corpus(text.corpus)
    measured = [_figures(text.models), _position_figure(text.models), *(_written(model) for model in text.models)]
    return section("text", "What it makes of text that it has never seen", told, *measured)


def _corpus(corpus: Corpus) -> list[Child]:
    pairs: list[tuple[str, Child]] = [("text", corpus.source)] if corpus.source else []
    named = {
        "documents": corpus.documents,
        "bytes": corpus.bytes,
        "documents held out": corpus.held_out,
        "bytes held out": corpus.held_out_bytes,
        "tokens to train on": corpus.train_tokens,
        "tokens in the vocabulary": corpus.vocabulary,
    }
    pairs += [(name, count(value)) for name, value in named.items() if known(value)]
    if known(corpus.bytes_per_token):
        pairs.append(("bytes a token", number(corpus.bytes_per_token)))
    told = (
        "Whole documents were set aside before training. A model that predicts their next token well needs few bits"
        " to write them down: bits per byte count that in a way that does not depend on how the text is cut into"
        " tokens."
    )
    return [tag("p", told, cls="lead"), facts(pairs) if pairs else None]


def _figures(models: list[LanguageModel]) -> Html | None:
    if not models:
        return None
    columns = [
        Column("model", numeric=False),
        Column("bits per byte"),
        Column("of the size"),
        Column("perplexity per token"),
        Column("nats per token"),
        Column("bytes measured"),
    ]
    rows = [
        [
            m.name, f"{m.bits_per_byte:.3f}", percent(m.bits_per_byte / 8), number(m.perplexity), number(m.loss, 4),
            count(m.bytes),
        ]
        for m in models
    ]  # fmt: skip
    return table("held-out text", columns, rows, stacked=True)


def _position_figure(models: list[LanguageModel]) -> Html | None:
    series = []
    for i, model in enumerate(models):
        tips = [f"{model.name}: {number(p.loss)} nats after {number(p.seen)} tokens" for p in model.by_position]
        at, losses = [p.seen for p in model.by_position], [p.loss for p in model.by_position]
        series.append(Series(model.name, at, losses, tips=tips, colour=i))
    axes = Axis("tokens that it has seen of the text", log=True), Axis("loss in nats a token")
    svg = line_chart(series, *axes, 760.0, 300.0, "Loss by position")
    if svg is None:
        return None
    caption = (
        "How much earlier text helps. Each point is the mean loss of the tokens that have about so many tokens of"
        " their document before them."
    )
    columns = [Column("tokens seen"), *(Column(m.name) for m in models)]
    rows = [
        [number(places[0].seen), *(number(p.loss) for p in places)]
        for places in zip(*(m.by_position for m in models), strict=False)
    ]
    return figure(svg, caption, table("loss by position", columns, rows))


def _written(model: LanguageModel) -> Html | None:
    if not model.samples:
        return None
    rows = [
        tag("div", tag("dt", f"after {visible(w.prompt)}"), tag("dd", tag("pre", tag("code", w.text))))
        for w in model.samples
    ]
    caption = f"What the {model.name} writes when it has nothing (∅) or a few letters to begin with."
    return tag("figure", tag("dl", *rows, cls="samples"), tag("figcaption", caption))
