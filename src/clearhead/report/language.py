"""The section about language models of running text: what they were measured on, how they predict, what they write.

Where several kinds were trained, the decoder and recurrent ones stand side by side: loss against tokens and seconds,
by place in the context, and how far back the gradient of a loss reaches.
"""

from __future__ import annotations

import math

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import big, count, duration, known, listing, number, percent, visible
from clearhead.report.data import Corpus, EncoderInfo, LanguageModelInfo, TextInfo
from clearhead.report.parts import Column, facts, figure, notes, section, table

FAR = 32  # tokens: past this, earlier text helps only those who can remember it
FAINT = 1e-6  # a gradient that is smaller is drawn at the edge
SIZE = (380.0, 280.0)
TITLES = {"decoder": "decoder", "lstm": "LSTM", "rnn": "plain RNN", "conv": "convolution"}


def text_section(text: TextInfo | None) -> Html | None:
    if text is None:
        return None
    models = text.models
    several = len(models) > 1
    figures = [_loss_figure(models, "tokens"), _loss_figure(models, "seconds")] if several else []
    drawn = [f for f in (*figures, _position_figure(models), _reach_figure(models)) if f]
    return section(
        "text",
        "What it makes of text that it has never seen",
        _corpus(text.corpus),
        _figures(models),
        notes(findings(models)),
        tag("div", *drawn, cls="pair") if drawn else None,
        *(_written(model) for model in models),
        _filled_in(text.encoder),
    )


def title(model: LanguageModelInfo) -> str:
    return TITLES.get(model.name, model.name)


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


def _figures(models: list[LanguageModelInfo]) -> Html | None:
    if not models:
        return None
    names = ("parameters", "bits per byte", "of the size", "perplexity per token", "nats per token", "time of training")
    rows = [
        [
            title(m), count(m.parameters), f"{m.bits_per_byte:.3f}", percent(m.bits_per_byte / 8),
            number(m.perplexity), number(m.loss, 4), duration(m.curve[-1].seconds if m.curve else math.nan),
        ]
        for m in models
    ]  # fmt: skip
    return table("held-out text", [Column("model", numeric=False), *map(Column, names)], rows, stacked=True)


def findings(models: list[LanguageModelInfo]) -> list[tuple[str, str]]:
    """What the comparison shows, whichever way it went; nothing where there is none."""
    if len(models) < 2:
        return []
    ordered = sorted(models, key=lambda m: m.bits_per_byte)
    told = listing([f"the {title(m)} {number(m.bits_per_byte)}" for m in ordered])
    found = [("plain", f"At equal size, after the same text: bits per byte of held-out text are {told}.")]
    gains = {title(m): gain_from_afar(m) for m in models}
    if all(map(known, gains.values())):
        told = listing([f"the {name}'s " + _fall(gain) for name, gain in gains.items()])
        found.append(("plain", f"Beyond {FAR} tokens of earlier text the loss falls on: {told}."))
    far = {title(m): m.reach[-1] for m in models if m.reach}
    if len(far) == len(models):
        told = listing([f"in the {name} {share(place.share)}" for name, place in far.items()])
        distance = count(next(iter(far.values())).distance)
        found.append(("plain", f"Of a loss's gradient, {distance} tokens back there arrives {told}."))
    return found


def gain_from_afar(model: LanguageModelInfo) -> float:
    """By how much the loss is lower at the end of the context than where FAR tokens were seen."""
    near = [p.loss for p in model.by_position if p.seen >= FAR]
    return near[0] - near[-1] if len(near) > 1 else math.nan


def _fall(nats: float) -> str:
    return f"by {nats:.2f} nats" if nats >= 0.005 else "not at all"


def share(part: float) -> str:
    return percent(part) if part >= 0.001 else number(part, 2)


def _loss_figure(models: list[LanguageModelInfo], along: str) -> Html | None:
    points = {title(m): [(getattr(p, along), p.loss) for p in m.curve] for m in models}
    furthest = max((x for line in points.values() for x, _ in line if known(x)), default=0.0)
    scale = 1e6 if along == "tokens" and furthest >= 1e6 else 1.0
    word = "million tokens read" if scale > 1 else "tokens read" if along == "tokens" else "seconds of training"
    series = []
    for i, (name, line) in enumerate(points.items()):
        tips = [f"{name}: {number(y)} after {big(x)} {along}" for x, y in line]
        series.append(Series(name, [x / scale for x, _ in line], [y for _, y in line], tips=tips, color=i))
    name = f"Held-out loss against {along}"
    svg = line_chart(series, Axis(word, low=0.0), Axis("held-out loss in nats a token"), *SIZE, name)
    if svg is None:
        return None
    caption = {
        "tokens": "The same text in the same order: what each model learns from a token.",
        "seconds": "What each learns in a second on this machine. Attention reads a whole row at once; a recurrent"
        " model must take its tokens one after the other. The decoder is compiled where that pays, the others are"
        " torch's fused layers; the compiler's start is not counted.",
    }[along]
    columns = [Column("model", numeric=False), Column(along), Column("held-out loss")]
    rows = [[name, count(x), number(y, 4)] for name, line in points.items() for x, y in line]
    return figure(svg, caption, table(name, columns, rows))


def _position_figure(models: list[LanguageModelInfo]) -> Html | None:
    series = []
    for i, model in enumerate(models):
        tips = [f"{title(model)}: {number(p.loss)} nats after {number(p.seen)} tokens" for p in model.by_position]
        at, losses = [p.seen for p in model.by_position], [p.loss for p in model.by_position]
        series.append(Series(title(model), at, losses, tips=tips, color=i))
    axes = Axis("tokens seen of the text", log=True), Axis("loss in nats a token")
    svg = line_chart(series, *axes, *SIZE, "Loss by position")
    if svg is None:
        return None
    caption = (
        "How much earlier text helps. Each point is the mean loss of the tokens that have about so many tokens of"
        " their document before them."
    )
    columns = [Column("tokens seen"), *(Column(title(m)) for m in models)]
    rows = [
        [number(places[0].seen), *(number(p.loss) for p in places)]
        for places in zip(*(m.by_position for m in models), strict=False)
    ]
    return figure(svg, caption, table("loss by position", columns, rows))


def _reach_figure(models: list[LanguageModelInfo]) -> Html | None:
    series = []
    for i, model in enumerate(models):
        shown = [(p.distance + 1, p.share) for p in model.reach]
        tips = [f"{title(model)}: {share(y)} arrives {number(x - 1)} tokens back" for x, y in shown]
        series.append(Series(title(model), [x for x, _ in shown], [y for _, y in shown], tips=tips, color=i))
    axes = Axis("tokens back, the last one being 1", log=True), Axis("share of the gradient", log=True, low=FAINT)
    svg = line_chart(series, *axes, *SIZE, "Gradient reach")
    if svg is None:
        return None
    caption = (
        "How far back a loss can teach. The gradient of the loss at the last token is followed to the embeddings of"
        " the tokens before it, and its size drawn as a share of that at the last one. Through a recurrent state it has"
        " to pass every step between, and shrinks at each; attention leads straight there."
    )
    columns = [Column("tokens back"), *(Column(title(m)) for m in models)]
    rows = [
        [number(places[0].distance), *(share(p.share) for p in places)]
        for places in zip(*(m.reach for m in models), strict=False)
    ]
    return figure(svg, caption, table("gradient reach", columns, rows))


def _written(model: LanguageModelInfo) -> Html | None:
    if not model.samples:
        return None
    rows = [
        tag("div", tag("dt", f"after {visible(w.prompt)}"), tag("dd", tag("pre", tag("code", w.text))))
        for w in model.samples
    ]
    caption = f"What the {title(model)} writes when it has nothing (∅) or a few letters to begin with."
    return tag("figure", tag("dl", *rows, cls="samples prose"), tag("figcaption", caption))


def _filled_in(encoder: EncoderInfo | None) -> Html | None:
    if encoder is None:
        return None
    pairs: list[tuple[str, Child]] = [
        ("parameters of the encoder", count(encoder.parameters)),
        ("hidden tokens told right", percent(encoder.accuracy)),
        ("nats a hidden token", number(encoder.loss, 4)),
        ("hidden tokens", count(encoder.tokens)),
    ]
    rows = [
        tag("div", tag("dt", f"in truth {visible(f.truth)}"), tag("dd", tag("pre", tag("code", f.text))))
        for f in encoder.filled
    ]
    told = (
        "The encoder sees a whole text but for the tokens that are hidden, and says what stood there; 15 % are asked"
        " for, most of them masked. In brackets what it put into a gap."
    )
    drawn = tag("figure", tag("dl", *rows, cls="samples prose"), tag("figcaption", told))
    return tag("div", tag("h3", "Masked tokens"), facts(pairs), drawn)
