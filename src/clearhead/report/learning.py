"""The sections about learning: what was trained and on what, its curves, and what it wrote on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import big, count, known, number, percent, plural, visible
from clearhead.report.data import CurvePoint, EvalPoint, ModelInfo, Report, SampleInfo, TaskInfo, Training
from clearhead.report.learned import training_findings
from clearhead.report.parts import Column, facts, figure, fold, notes, section, steps, table
from clearhead.report.summary import MODELS, task_info

BUCKETS = 80  # points of a drawn loss curve
SHOWN_SAMPLES = 6
LONG_LINE, MANY_LINES = 40, 7  # of a sample shown in short
NAMES = {  # of the settings that a newcomer meets first
    "n_layers": "layers",
    "d_model": "width",
    "n_heads": "attention heads",
    "n_kv_heads": "key/value heads",
    "d_ff": "feed-forward width",
    "max_positions": "longest text in tokens",
}


def trained_section(report: Report) -> Html | None:
    if report.model is None and not report.tasks:
        return None
    children: list[Child] = []
    if report.model:
        children += _model(report.model)
    children += [_task(task_info(report, task.name)) for task in report.tasks]
    return section("trained", "What was trained, and on what", *children)


def _model(model: ModelInfo) -> list[Child]:
    letters = len(model.alphabet)
    plain = all(len(token) == 1 or (token.startswith("<") and token.endswith(">")) for token in model.alphabet)
    unit = "character" if plain else "token"
    reads = f" It reads and writes one {unit} at a time, out of {letters}." if letters else ""
    read = (
        f" In training it read {big(model.training_tokens)} of them."
        if letters and known(model.training_tokens)
        else ""
    )
    subject = MODELS.get(str(model.config.get("cell")), "A transformer")
    told = (
        f"{subject}: a function with many parameters that, given the text so far, says how likely each next token is."
        f" Training adjusts the parameters until it predicts the examples well.{reads}{read}"
    )
    pairs: list[tuple[str, Child]] = [("parameters", count(model.parameters))] if known(model.parameters) else []
    pairs += [(NAMES[key], _setting(model.config[key])) for key in NAMES if key in model.config]
    rest = [(key, _setting(value)) for key, value in model.config.items() if key not in NAMES]
    alphabet = tag("p", *(tag("kbd", visible(token)) for token in model.alphabet), cls="alphabet")
    return [
        tag("p", told, cls="lead"),
        facts(pairs) if pairs else None,
        fold("The other settings of the model", facts(rest)) if rest else None,
        fold(f"Its alphabet of {plural(letters, 'token')}", alphabet) if letters else None,
    ]


def _setting(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "yes" if value is True else "no" if value is False else str(value)
    return count(value) if isinstance(value, int) else number(value)


def _task(task: TaskInfo) -> Html:
    pairs: list[tuple[str, Child]] = []
    if known(task.train_examples):
        pairs.append(("training examples", count(task.train_examples)))
    if known(task.test_problems):
        pairs.append(("problems kept for the test", count(task.test_problems)))
    example = None
    if task.example_solution:
        problem = tag("p", tag("code", task.example_problem), cls="problem") if task.example_problem else None
        example = tag("div", tag("h5", "One training example"), problem, steps(task.example_solution), cls="attempt")
    words = tag("div", tag("h3", task.title), tag("p", task.statement), facts(pairs) if pairs else None)
    return tag("div", words, example, cls="task")


def curves_section(training: Training | None, report: Report) -> Html | None:
    if training is None:
        return None
    drawn = training_figures(training, report)
    if not drawn and not training.samples:
        return None
    return section(
        "learning",
        "How it learned",
        notes(training_findings(training)),
        tag("div", *drawn, cls="pair") if drawn else None,
        samples_figure(training.samples, "step", "What the model wrote at that moment of its training."),
    )


def training_figures(training: Training, report: Report, doing: str = "training") -> list[Html]:
    """Loss and accuracy on the way; `doing` says of what, where there are several trainings."""
    figures = [_loss_figure(training, doing), _accuracy_figure(training, report, doing)]
    return [figure for figure in figures if figure]


@dataclass(frozen=True)
class ProgressAxis:
    """The horizontal axis of a curve: tokens where they were counted, else steps; in millions where there are many."""

    tokens: bool
    many: bool

    @property
    def axis(self) -> Axis:
        return Axis(("million " if self.many else "") + ("tokens read" if self.tokens else "steps"), low=0.0)

    def at(self, points: Sequence[CurvePoint | EvalPoint]) -> list[float]:
        raw = [p.tokens if self.tokens else p.step for p in points]
        return [x / 1e6 for x in raw] if self.many else raw

    def told(self, x: float) -> str:
        return f"after {big(1e6 * x if self.many else x)} {'tokens' if self.tokens else 'steps'}"


def progress(points: Sequence[CurvePoint | EvalPoint]) -> ProgressAxis:
    tokens = any(known(p.tokens) for p in points)
    furthest = max((x for p in points if known(x := p.tokens if tokens else p.step)), default=0.0)
    return ProgressAxis(tokens, furthest >= 1e6)


def bucketed(xs: Sequence[float], ys: Sequence[float], buckets: int) -> list[tuple[float, float, float, float]]:
    """A long curve as (last x, mean, smallest, largest y) of at most `buckets` runs of neighbors."""
    pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if known(x) and known(y)]
    size = -(-len(pairs) // buckets) or 1
    runs = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    return [
        (run[-1][0], sum(y for _, y in run) / len(run), min(y for _, y in run), max(y for _, y in run)) for run in runs
    ]


def loss_series(curve: Sequence[CurvePoint], label: str, color: int, along: ProgressAxis) -> Series:
    runs = bucketed(along.at(curve), [p.loss for p in curve], BUCKETS)
    x, mean, low, high = ([run[i] for run in runs] for i in range(4))
    tips = [f"{label}: {number(m)} {along.told(at)}" for at, m in zip(x, mean, strict=True)]
    return Series(label, x, mean, low, high, tips, color, marks=False)


def held_out_series(evals: Sequence[EvalPoint], along: ProgressAxis) -> Series:
    at, losses = along.at(evals), [e.loss for e in evals]
    tips = [f"held-out: {number(y)} {along.told(x)}" for x, y in zip(at, losses, strict=True)]
    return Series("held-out", at, losses, tips=tips, color=0)


def _loss_figure(training: Training, doing: str) -> Html | None:
    along = progress([*training.curve, *training.evals])
    series = [loss_series(training.curve, "training", 5, along)]
    held_out = [e for e in training.evals if known(e.loss)]
    if held_out:
        series.append(held_out_series(held_out, along))
    # The first moments are far off the scale of all the rest; a logarithm shows both.
    svg = line_chart(series, along.axis, Axis("loss", log=True), 380.0, 280.0, f"Loss while {doing}")
    if svg is None:
        return None
    caption = (
        "Loss is how surprised the model is by the next token: lower is better. The gray line is the text it learns"
        " from (band: lowest to highest)" + (", the blue one text that it never trains on." if held_out else ".")
    )
    rows = [[count(e.step), count(e.tokens), number(e.loss)] for e in held_out]
    columns = [Column("step"), Column("tokens read"), Column("held-out loss")]
    return figure(svg, caption, table("held-out loss", columns, rows) if rows else None)


def _accuracy_figure(training: Training, report: Report, doing: str) -> Html | None:
    along = progress([*training.curve, *training.evals])
    at = along.at(training.evals)
    names = list(dict.fromkeys(name for e in training.evals for name in e.accuracy))
    series = []
    for i, name in enumerate(names):
        title = task_info(report, name).title
        y = [e.accuracy.get(name, float("nan")) for e in training.evals]
        tips = [f"{title}: {percent(share)} {along.told(x)}" for x, share in zip(at, y, strict=True)]
        series.append(Series(title, at, y, tips=tips, color=i))
    axis = Axis("solved at first try", low=0.0, high=1.0, form=lambda v: percent(v, 0))
    svg = line_chart(series, along.axis, axis, 380.0, 280.0, f"Problems solved while {doing}")
    if svg is None:
        return None
    caption = (
        "The share of held-out problems that the model solves at first try, always taking the likeliest token. Loss"
        " falls smoothly; solving often comes late and all at once."
    )
    columns = [Column("step"), *(Column(task_info(report, name).title) for name in names)]
    rows = [[count(e.step), *(percent(e.accuracy.get(n, float("nan"))) for n in names)] for e in training.evals]
    return figure(svg, caption, table("problems solved while training", columns, rows))


def samples_figure(samples: Sequence[SampleInfo], unit: str, caption: str) -> Html | None:
    """A few samples from first to last, all of them folded away; their `step` counts `unit`s."""
    if not samples:
        return None
    last = len(samples) - 1
    picked = sorted({round(i * last / max(1, SHOWN_SAMPLES - 1)) for i in range(SHOWN_SAMPLES)})
    shown = [SampleInfo(samples[i].step, shortened(samples[i].text)) for i in picked if i <= last]
    whole = len(samples) == len(shown) and all(a.text == b.text for a, b in zip(samples, shown, strict=True))
    rest = None if whole else fold("All samples in full", _sample_list(samples, unit))
    return tag("figure", _sample_list(shown, unit), tag("figcaption", caption), rest)


def shortened(text: str) -> str:
    """The beginning of a text that goes on too long: its first lines, each cut.

    >>> shortened("4 5 6 10\\n" + "1" * 99)
    '4 5 6 10\\n1111111111111111111111111111111111111111…'
    """
    lines = text.split("\n")
    kept = [line if len(line) <= LONG_LINE else line[:LONG_LINE] + "…" for line in lines[:MANY_LINES]]
    return "\n".join(kept + ["…"] * (len(lines) > MANY_LINES))


def _sample_list(samples: Sequence[SampleInfo], unit: str) -> Html:
    return tag(
        "dl",
        *(
            tag("div", tag("dt", f"{unit} {count(s.step)}"), tag("dd", tag("pre", tag("code", s.text))))
            for s in samples
        ),
        cls="samples",
    )
