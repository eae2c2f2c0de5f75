"""What to do next: each advice with the evidence that it rests on, and none without.

Pure conclusions from data. The evidence is that of `findings` and `learned`, told there at length.
"""

from __future__ import annotations

from collections.abc import Iterator

from clearhead.charts.wording import count, inside, known, number, percent, points
from clearhead.report.data import Evaluation, Report, RowsCurve
from clearhead.report.findings import (
    MUCH_CUT,
    MUCH_RAMBLED,
    cut_share,
    limit_told,
    rambles,
    remedy,
    worse_than_first,
)
from clearhead.report.learned import memorizes, overfits, result, rising, rows_loss, solved
from clearhead.report.summary import most_expensive, task_info


def advice(report: Report) -> list[str]:
    """What would help this run most, the surest first."""
    return [*_limits(report), *_policy(report), *_rows(report.rows_curve), *_reward(report), *_choosing(report)]


def _limits(report: Report) -> Iterator[str]:
    """For each setting the strategy that it cut off most; no larger limit where the longest of the data fit."""
    worst: dict[str, tuple[float, str]] = {}
    for name, evaluation in report.evaluation.items():
        for s in evaluation.strategies:
            share, rambling = cut_share(s), rambles(s.limits)
            to_do = "Train longer (pretrain.steps)" if rambling else remedy(s)
            if share >= (MUCH_RAMBLED if rambling else MUCH_CUT) and share > worst.get(to_do, (0.0, ""))[0]:
                told = f"{percent(share)} of the {s.cut_unit}s of {inside(s.title)} were cut off{limit_told(s.limits)}"
                why = ", more than any solution of the data needs" if rambling else ""
                worst[to_do] = share, f"{told}{why} ({task_info(report, name).title})"
    for to_do, (_, evidence) in worst.items():
        yield f"{to_do[0].upper()}{to_do[1:]}: {evidence}."


def _policy(report: Report) -> Iterator[str]:
    training = report.training
    if training is None:
        return
    if memorizes(training):
        yield (
            "More rows like these, or a generator that draws them afresh: the policy memorizes its rows (loss "
            f"{number(rows_loss(training))} on them, {number(result(training).loss)} on held-out text, "
            f"{percent(solved(result(training)))} of the held-out problems solved)."
        )
    if known(rise := rising(training.evals)):
        yield (
            "Train longer (pretrain.steps): held-out accuracy was still rising when training stopped, by "
            f"{points(rise)} over its last quarter."
        )


def _rows(curve: RowsCurve | None) -> Iterator[str]:
    """What the curve itself advises; else more rows, where all of them are surely better than fewer."""
    if curve and curve.advice:
        yield curve.advice
        return
    shown = sorted((p for p in curve.points if known(p.accuracy)), key=lambda p: p.rows) if curve else []
    if len(shown) >= 2 and shown[-1].low > shown[-2].accuracy:
        before, last = shown[-2:]
        yield (
            f"More rows like these: {percent(before.accuracy)} solved with {count(before.rows)} rows, "
            f"{percent(last.accuracy)} with {count(last.rows)}, and still rising."
        )


def _reward(report: Report) -> Iterator[str]:
    labels = report.reward.labels if report.reward else None
    if labels and cut_share(labels) >= MUCH_CUT and not rambles(labels.limits):
        evidence = f"{percent(cut_share(labels))} of the completions were cut off{limit_told(labels.limits)}"
        yield f"Raise rollouts.max_tokens: {evidence}, and their steps were labeled wrong for it."
    found = overfits(report.reward) if report.reward else None
    if found and report.reward and not known(report.reward.kept):
        best, last = found
        yield (
            "More rollouts (rollouts.problems), or fewer steps of the reward model (reward.steps): it overfits, its "
            f"held-out loss rose from {number(best.loss)} at step {count(best.step)} to {number(last.loss)}."
        )
    elif found:
        yield (
            "More rollouts (rollouts.problems): the reward model overfits after step "
            f"{count(found[0].step)}, whose weights were kept."
        )


def _choosing(report: Report) -> Iterator[str]:
    """Where the reward model chooses worse than greedy, the best strategy that does without it."""
    for name, evaluation in report.evaluation.items():
        worse = worse_than_first(evaluation)
        if worse and (best := _best_without(evaluation)):
            title, share = best
            yield (
                f"Answer {task_info(report, name).title} with {title} ({percent(share)}): of the strategies that "
                f"choose by the reward model, {len(worse)} {'is' if len(worse) == 1 else 'are'} below the first try."
            )


def _best_without(evaluation: Evaluation) -> tuple[str, float] | None:
    """The strategy with the highest accuracy at its largest budget among those not below the first try."""
    worse = {s.name for s in worse_than_first(evaluation)}
    quoted = [(s, p) for s in evaluation.strategies if s.name not in worse and (p := most_expensive(s)) is not None]
    best = max(quoted, key=lambda pair: pair[1].accuracy, default=None)
    return (inside(best[0].title), best[1].accuracy) if best else None
