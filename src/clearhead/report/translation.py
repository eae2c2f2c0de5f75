"""The section about models that translate: scores, the bottleneck by length, alignments, speed, exposure bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clearhead.charts.heat import large_map
from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import count, duration, known, listing, number, percent
from clearhead.report.data import LengthScore, TranslationInfo, TranslatorInfo
from clearhead.report.parts import Column, facts, figure, fold, notes, section, table
from clearhead.report.summary import FEW_EXACT, translator_title

SIZE = (380.0, 280.0)


def translation_section(found: TranslationInfo | None) -> Html | None:
    if found is None:
        return None
    models = found.models
    drawn = [f for f in (_length_figure(models, "loss"), _length_figure(models, _score_of(models))) if f]
    curves = [f for f in (_curve_figure(models), _speed_table(models)) if f]
    exposed = [f for f in map(_exposure_figure, models) if f]
    return section(
        "translation",
        "What each makes of the same pairs",
        tag("p", "Every model read the same pairs in the same order, through the same tokenizer.", cls="lead"),
        _facts(found),
        _scores(found),
        notes(findings(models)),
        tag("div", *drawn, cls="pair") if drawn else None,
        tag("div", *curves, cls="pair") if curves else None,
        *_alignments(models),
        _examples(models),
        _exposure(exposed),
    )


def _facts(found: TranslationInfo) -> Html:
    names = {
        "train": "pairs to train on", "held_out": "pairs held out", "vocabulary": "tokens in the vocabulary",
        "bad": "left out: an empty side", "duplicates": "left out: there before", "too_long": "left out: too long",
    }  # fmt: skip
    pairs: list[tuple[str, Child]] = [("pairs", found.source)]
    pairs += [(name, count(found.pairs[key])) for key, name in names.items() if found.pairs.get(key)]
    return facts(pairs)


def _scores(found: TranslationInfo) -> Html | None:
    if not found.models:
        return None
    names = ("parameters", "nats per token", "exact", "BLEU", "chrF", "greedy: exact", "greedy: BLEU", "greedy: chrF")
    rows = [
        [
            translator_title(m.name), count(m.parameters), number(m.loss, 4),
            f"{percent(m.beam.exact.estimate)} ({percent(m.beam.exact.low)} to {percent(m.beam.exact.high)})",
            _score(m.beam.bleu), _score(m.beam.chrf), percent(m.greedy.exact.estimate), _score(m.greedy.bleu),
            _score(m.greedy.chrf),
        ]
        for m in found.models
    ]  # fmt: skip
    whole = table("held-out pairs", [Column("model", numeric=False), *map(Column, names)], rows, stacked=True)
    best = found.models[0].beam
    signatures = [s.replace("|", "|\u200b") for s in (best.bleu_signature, best.chrf_signature) if s]  # may be broken
    how = ", ".join(signatures)
    told = (
        f"{count(found.models[0].pairs)} held-out pairs, by beam search with {count(found.beams)} beams; greedy beside"
        " it. Exact is the share that equals the reference, with its 95 % interval; the loss is that after the true"
        " tokens."
    )
    return tag("figure", whole, tag("figcaption", told, f" sacrebleu: {how}" if how else None))


def _score(value: float) -> str:
    return f"{value:.1f}" if known(value) else "–"


def findings(models: Sequence[TranslatorInfo]) -> list[tuple[str, str]]:
    """What the lengths and the positions show, whichever way it went."""
    told = []
    for m in models:
        if len(m.by_length) > 1 and known(m.by_length[0].exact.estimate):
            first, last = m.by_length[0], m.by_length[-1]
            if first.exact.estimate - last.exact.estimate >= FEW_EXACT:
                told.append(f"{translator_title(m.name)} from {_of(first)} to {_of(last)}")
    found = [("plain", f"Exact translations fall with length: {listing(told)}.")] if told else []
    worse = {translator_title(m.name): _exposure_gap(m) for m in models if m.by_position}
    told = [f"{name} {100 * gap:+.1f}" for name, gap in worse.items() if known(gap)]
    if told:
        found.append(
            ("plain", f"Wrong tokens after the model's own, against after the true ones, in points: {listing(told)}.")
        )
    return found


def _of(stretch: LengthScore) -> str:
    return f"{percent(stretch.exact.estimate)} at {number(stretch.length)} tokens"


def _exposure_gap(model: TranslatorInfo) -> float:
    """The share of wrong tokens running free less that under teacher forcing, over all positions."""
    counted = sum(p.count for p in model.by_position)
    return sum((p.free - p.forced) * p.count for p in model.by_position) / counted


def _score_of(models: Sequence[TranslatorInfo]) -> str:
    """What to draw by length: the exact share where it says something, else chrF."""
    says = any(m.beam.exact.estimate >= FEW_EXACT for m in models)
    return "exact" if says or not any(known(m.beam.chrf) for m in models) else "chrf"


def _length_figure(models: Sequence[TranslatorInfo], what: str) -> Html | None:
    values: dict[str, Callable[[LengthScore], float]] = {
        "loss": lambda s: s.loss, "exact": lambda s: 100 * s.exact.estimate, "chrf": lambda s: s.chrf,
    }  # fmt: skip
    words = {"loss": "loss in nats a token", "exact": "exact translations in %", "chrf": "chrF"}
    series, rows = [], []
    for i, m in enumerate(models):
        x, y = [s.length for s in m.by_length], [values[what](s) for s in m.by_length]
        title = translator_title(m.name)
        tips = [f"{title}: {number(b)} at {number(a)} tokens" for a, b in zip(x, y, strict=True)]
        series.append(Series(title, x, y, tips=tips, color=i))
        rows += [[title, number(a), number(b, 4)] for a, b in zip(x, y, strict=True)]
    name = f"{words[what].capitalize()} by length"
    svg = line_chart(series, Axis("tokens of the source", low=0.0), Axis(words[what], low=0.0), *SIZE, name)
    if svg is None:
        return None
    caption = {
        "loss": "The bottleneck: without attention one vector holds the whole source, and the longer that is the less"
        " of it is left. With attention every step looks back at all of it.",
        "exact": "The same for whole translations: one wrong token spoils one, so the longer the fewer.",
        "chrf": "The same as chrF, which counts shared stretches of characters.",
    }[what]
    columns = [Column("model", numeric=False), Column("tokens"), Column(words[what])]
    return figure(svg, caption, table(name, columns, rows))


def _curve_figure(models: Sequence[TranslatorInfo]) -> Html | None:
    series, rows = [], []
    for i, m in enumerate(models):
        title = translator_title(m.name)
        tips = [f"{title}: {number(p.loss)} after {duration(p.seconds)}" for p in m.curve]
        series.append(Series(title, [p.seconds for p in m.curve], [p.loss for p in m.curve], tips=tips, color=i))
        rows += [[title, duration(p.seconds), number(p.loss, 4)] for p in m.curve]
    axes = Axis("seconds of training", low=0.0), Axis("held-out loss in nats a token", low=0.0)
    svg = line_chart(series, *axes, *SIZE, "Held-out loss against seconds")
    if svg is None:
        return None
    columns = [Column("model", numeric=False), Column("training", numeric=False), Column("held-out loss")]
    caption = "What each learns in a second on this machine; all take the same steps."
    return figure(svg, caption, table("held-out loss", columns, rows))


def _speed_table(models: Sequence[TranslatorInfo]) -> Html | None:
    if not models:
        return None
    names = ("training", "target tokens/s", "greedy tokens/s", "beam tokens/s")
    rows = [
        [
            translator_title(m.name), duration(m.training_seconds), count(m.training_tokens_per_second),
            count(m.greedy.tokens_per_second), count(m.beam.tokens_per_second),
        ]
        for m in models
    ]  # fmt: skip
    caption = (
        "Target tokens a second, padding not taken off in training; of decoder only, source and target tokens. Many"
        " texts are translated at a time."
    )
    whole = table("speed", [Column("model", numeric=False), *map(Column, names)], rows, stacked=True)
    return tag("figure", whole, tag("figcaption", caption))


def _alignments(models: Sequence[TranslatorInfo]) -> list[Html]:
    """The longest example that every model's attention was drawn for."""
    drawn = [(m, e) for m in models for e in m.examples if e.alignment and e.alignment.weights]
    if not drawn:
        return []
    length = max(len(e.alignment.source) for _, e in drawn if e.alignment)
    maps = [
        tag(
            "figure",
            tag("h3", translator_title(m.name)),
            tag(
                "div",
                large_map(a.weights, a.source, f"alignment of {translator_title(m.name)}", a.target),
                cls="scroll", tabindex="0", role="group", aria_label=f"alignment of {translator_title(m.name)}",
            ),
        )
        for m, e in drawn
        if (a := e.alignment) and len(a.source) == length
    ]  # fmt: skip
    told = (
        "A row is a token that was written (the last: the end), a column a token of the source, and the stronger the"
        " color the more was looked there. For transformers: the mean of the last layer's heads."
    )
    return [tag("h3", "What each looked at"), tag("p", told), tag("div", *maps, cls="pair")]


def _examples(models: Sequence[TranslatorInfo]) -> Html | None:
    if not models or not models[0].examples:
        return None
    folds = []
    for i, first in enumerate(models[0].examples):
        rows: list[list[Child]] = [["reference", first.reference]]
        rows += [[translator_title(m.name), m.examples[i].translation] for m in models if i < len(m.examples)]
        columns = [Column("model", numeric=False), Column("translation", numeric=False)]
        folds.append(fold(first.source, table(first.source, columns, rows, stacked=True)))
    return tag("div", tag("h3", "Side by side"), *folds)


def _exposure_figure(model: TranslatorInfo) -> Html | None:
    x = [p.position for p in model.by_position]
    series = []
    for i, (word, kind) in enumerate((("true tokens", "forced"), ("its own", "free"))):
        y = [100 * getattr(p, kind) for p in model.by_position]
        tips = [f"{number(b)} % wrong at position {number(a)}" for a, b in zip(x, y, strict=True)]
        series.append(Series(word, x, y, tips=tips, color=i))
    title = translator_title(model.name)
    axes = Axis("position in the target", log=True), Axis("wrong tokens in %", low=0.0)
    svg = line_chart(series, *axes, *SIZE, f"Errors by position: {title}")
    if svg is None:
        return None
    columns = [Column("position"), Column("after true tokens"), Column("after its own"), Column("tokens")]
    rows = [[number(p.position), percent(p.forced), percent(p.free), count(p.count)] for p in model.by_position]
    return figure(svg, title, table(f"errors by position, {title}", columns, rows))


def _exposure(figures: Sequence[Html]) -> Html | None:
    if not figures:
        return None
    told = (
        "In training each token is predicted after the true ones (teacher forcing); in use after the model's own. A"
        " first mistake is read like a truth, and what follows it is held against the reference place by place, so one"
        " word too many makes all the rest wrong. Scheduled sampling lets a model read some of its own words in"
        " training already."
    )
    return tag("div", tag("h3", "Exposure bias"), tag("p", told), tag("div", *figures, cls="pair"))
