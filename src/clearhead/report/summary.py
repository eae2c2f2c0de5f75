"""The run in one sentence, and which strategy and budget speak for what in it. Not here: judgments (`findings`)."""

from __future__ import annotations

import math

from clearhead.charts.wording import big, count, inside, known, number, percent, plural, spoken_duration
from clearhead.report.data import (
    Evaluation,
    ModelInfo,
    PointInfo,
    Report,
    RunInfo,
    StrategyInfo,
    TaskInfo,
    TranslationInfo,
    TranslatorInfo,
)

# By their cells; all others are transformers.
MODELS = {"lstm": "An LSTM", "rnn": "A plain recurrent network", "conv": "A convolutional network"}


def task_info(report: Report, name: str) -> TaskInfo:
    """What is known of a task; a task that only an evaluation names goes by its name."""
    found = next((task for task in report.tasks if task.name == name), TaskInfo(name))
    title = found.title or found.name.replace("_", " ").replace("-", " ").capitalize()
    return TaskInfo(**{**vars(found), "title": title, "noun": found.noun or f"{title} problems"})


def cheapest(strategy: StrategyInfo) -> PointInfo | None:
    return min(measured(strategy), key=lambda p: _cost(p, math.inf), default=None)


def most_expensive(strategy: StrategyInfo) -> PointInfo | None:
    """A strategy's point at its largest budget: what the page quotes for it, whether or not it is its best."""
    return max(
        measured(strategy), key=lambda p: (_cost(p, -math.inf), p.budget if known(p.budget) else 0), default=None
    )


def first_try(evaluation: Evaluation) -> tuple[StrategyInfo, PointInfo] | None:
    for strategy in evaluation.strategies:
        point = cheapest(strategy)
        if strategy.name == evaluation.first and point:
            return strategy, point
    return None


def with_search(evaluation: Evaluation) -> tuple[StrategyInfo, PointInfo] | None:
    """The strategy that stands for search, at its largest budget."""
    wanted = evaluation.search or (evaluation.comparison.a if evaluation.comparison else "")
    candidates = [
        (strategy, point)
        for strategy in evaluation.strategies
        if strategy.name != evaluation.first and (point := most_expensive(strategy)) is not None
    ]
    named = [pair for pair in candidates if pair[0].name == wanted]
    return max(named or candidates, key=lambda pair: pair[1].accuracy, default=None)


def headline(report: Report) -> str:
    """The run in one sentence."""
    if report.translation:
        return translation_headline(report.translation)
    model = report.model or ModelInfo()
    size = f" of {big(model.parameters)} parameters" if known(model.parameters) else ""
    time = training_seconds(model)
    trained = f", trained in {spoken_duration(time)}{_place(report.run)}," if known(time) else ""
    subject = f"{MODELS.get(str(model.config.get('cell')), 'A transformer')}{size}{trained}"
    if report.text and report.text.models:
        bits = number(report.text.models[0].bits_per_byte)
        return f"{subject} needs {bits} bits for a byte of text that it has never seen."
    if report.text and report.text.encoder:
        share = percent(report.text.encoder.accuracy)
        return f"{subject} fills in {share} of the tokens that are hidden in text that it has never seen."
    name = next((name for name, e in report.evaluation.items() if first_try(e) or with_search(e)), None)
    if name is None:
        return f"{subject.rstrip(',')}: not tested yet."
    evaluation, noun = report.evaluation[name], task_info(report, name).noun
    first, search = first_try(evaluation), with_search(evaluation)
    amount = f"{count(evaluation.problems)} unseen {noun}" if known(evaluation.problems) else f"the unseen {noun}"
    if first is None:
        assert search is not None
        return f"{subject} solves {percent(search[1].accuracy)} of {amount} with {inside(search[0].title)}."
    opening = f"{subject} solves {percent(first[1].accuracy)} of {amount} at first try"
    if search is None:
        return f"{opening}."
    joint = "and" if search[1].accuracy > first[1].accuracy else "and no more than"
    return f"{opening} {joint} {percent(search[1].accuracy)} with {inside(search[0].title)}."


FEW_EXACT = 0.1  # below it a share of exact translations says little
TRANSLATORS = {  # how a sentence calls the models that translate
    "lstm": "LSTM, no attention", "bahdanau": "Bahdanau", "luong-dot": "Luong dot", "luong-general": "Luong general",
    "luong-concat": "Luong concat", "transformer": "transformer", "decoder-only": "decoder only",
}  # fmt: skip


def translator_title(name: str) -> str:
    """What people call a model that translates.

    >>> translator_title("bahdanau-scheduled")
    'Bahdanau, scheduled'
    """
    base = name.removesuffix("-scheduled")
    return TRANSLATORS.get(base, base) + ", scheduled" * (name != base)


def translation_headline(found: TranslationInfo) -> str:
    """The best and the worst of the models, by exact translations, or by BLEU where hardly any is."""
    models = found.models
    if not models:
        return "Models that translate: not tested yet."
    by_exact = any(m.beam.exact.estimate >= FEW_EXACT for m in models) or not all(known(m.beam.bleu) for m in models)

    def score(m: TranslatorInfo) -> float:
        return m.beam.exact.estimate if by_exact else m.beam.bleu

    def told(m: TranslatorInfo) -> str:
        return percent(score(m)) if by_exact else f"BLEU {score(m):.1f}"

    ordered = sorted(models, key=lambda m: (score(m), -m.loss))
    worst, best = ordered[0], ordered[-1]
    amount = f"{count(best.pairs)} unseen texts"
    verb = f"translates {told(best)} of {amount} exactly" if by_exact else f"reaches {told(best)} on {amount}"
    if best is worst:
        return f"{translator_title(best.name)} {verb}."
    return (
        f"At equal size and steps, {translator_title(best.name)} {verb}, {translator_title(worst.name)} {told(worst)}."
    )


def training_seconds(model: ModelInfo) -> float:
    if known(model.training_seconds) or not model.tokens_per_second > 0:
        return model.training_seconds
    return model.training_tokens / model.tokens_per_second


def _place(run: RunInfo) -> str:
    """Where it ran, in words that stay true on another reader's computer."""
    machine = run.machine
    if machine.device.startswith(("cuda", "mps", "gpu")):
        return " on one GPU"
    return f" on {plural(machine.cores, 'processor core')}" if known(machine.cores) else " on one computer"


def measured(strategy: StrategyInfo) -> list[PointInfo]:
    return [point for point in strategy.points if known(point.accuracy)]


def _cost(point: PointInfo, otherwise: float) -> float:
    return point.tokens if known(point.tokens) else otherwise
