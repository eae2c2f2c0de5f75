"""What the curves of a training mean, and how far a reward model can be trusted.

Pure conclusions from data, as in `findings`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from clearhead.alignment.quality import Bin, expected_calibration_error
from clearhead.charts.wording import count, interval, known, number, percent, plural, points
from clearhead.reasoning.statistics import wilson
from clearhead.report.data import CurvePoint, EvalPoint, Quality, Reward, Training, Within
from clearhead.report.findings import Finding

LEVEL = 1.02  # losses within a fiftieth of each other count as level
NEAR_COIN = 0.65  # an AUC below this is called hardly better than a coin
GAP = 2.0  # a held-out loss this many times the training loss is that of a model that memorized its rows
FAR = 0.1  # nats a token: and by at least so much
SOLVES = 0.9  # a policy that solves this much of its held-out problems has learned the rule, whatever its loss
RISING = 0.05  # held-out accuracy that grew so much over the last quarter of the training is still rising
RANKS = 0.85  # a reward model that ranks so many pairs of one problem right is good


def training_findings(training: Training) -> list[Finding]:
    """Did the held-out loss fall, did it still fall at the end, and was the rule learned or the rows?"""
    findings = [] if (found := _loss_finding(training)) is None else [found]
    if memorizes(training):
        told = (
            f"The policy memorizes its rows: its loss on them is {number(rows_loss(training))} and "
            f"{number(result(training).loss)} on held-out text, and it solves {percent(solved(result(training)))} of "
            "the held-out problems at first try."
        )
        findings = [finding for finding in findings if finding[0] != "good"] + [("bad", told)]
    rise = rising(training.evals)
    if known(rise):
        told = f"Held-out accuracy was still rising when training stopped, by {points(rise)} over its last quarter."
        findings.append(("plain", told))
    return findings


def _loss_finding(training: Training) -> Finding | None:
    shown = [e for e in training.evals if known(e.loss)]
    if len(shown) < 3:
        return None
    first, before, last = shown[0].loss, shown[-2].loss, shown[-1].loss
    best = min(shown, key=lambda e: e.loss)
    if last > LEVEL * best.loss:
        told = (
            f"The held-out loss was lowest at step {count(best.step)} ({number(best.loss)}) and ended at "
            f"{number(last)}: the sign of a model that begins to memorize its examples."
        )
        kept = known(training.kept) and training.kept < shown[-1].step
        return ("plain" if kept else "bad"), told + _kept_told(training.kept if kept else math.nan)
    if first < LEVEL * last:
        return "bad", f"The held-out loss hardly fell: from {number(first)} to {number(last)}."
    if before > LEVEL * last:
        return "plain", "The held-out loss was still falling at the end: longer training would probably help."
    return "good", f"The held-out loss fell from {number(first)} to {number(last)} and leveled off."


def _kept_told(step: float) -> str:
    return f" The weights of step {count(step)} were kept." if known(step) else ""


def memorizes(training: Training) -> bool:
    """Is the loss on held-out text far above that on the rows, while many held-out problems are not solved?"""
    reached, learned = result(training), rows_loss(training)
    return reached.loss >= max(GAP * learned, learned + FAR) and solved(reached) < SOLVES


def rows_loss(training: Training) -> float:
    """The loss on the rows of the weights that the training left, as measured then, else as trained."""
    reached = result(training)
    if known(reached.seen_loss):
        return reached.seen_loss
    return final_loss([p for p in training.curve if not p.step > reached.step])


def final_loss(curve: Sequence[CurvePoint]) -> float:
    """The mean training loss over the last tenth of the curve."""
    losses = [p.loss for p in curve if known(p.loss)]
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail) if tail else math.nan


def result(training: Training) -> EvalPoint:
    """The evaluation of the weights that the training left: those that were kept, else the last ones."""
    kept = [e for e in training.evals if e.step == training.kept]
    return (kept or training.evals or [EvalPoint()])[-1]


def solved(at: EvalPoint) -> float:
    """The share of held-out problems solved at first try, of the task that does worst; NaN where none was tried."""
    return min((share for share in at.accuracy.values() if known(share)), default=math.nan)


def rising(evals: Sequence[EvalPoint]) -> float:
    """By how much held-out accuracy rose from the third quarter of the training to the last; NaN where it did not.

    An evaluation tries few problems, so the last one must also be better than every other: a plateau is no rise.
    """
    shares = [share for e in evals if known(share := _mean_accuracy(e))]
    quarter = len(shares) // 4
    if not quarter or shares[-1] <= max(shares[:-1]):
        return math.nan
    rise = (sum(shares[-quarter:]) - sum(shares[-2 * quarter : -quarter])) / quarter
    return rise if rise >= RISING - 1e-9 else math.nan


def _mean_accuracy(at: EvalPoint) -> float:
    shares = [share for share in at.accuracy.values() if known(share)]
    return sum(shares) / len(shares) if shares else math.nan


def overfits(reward: Reward) -> tuple[EvalPoint, EvalPoint] | None:
    """The evaluations of a reward model at which its held-out loss was lowest and at which it ended, where it rose from
    one to the other while the training loss went on falling.
    """
    shown = [e for e in reward.evals if known(e.loss)]
    if len(shown) < 2:
        return None
    best, last = min(shown, key=lambda e: e.loss), shown[-1]
    if not last.loss > LEVEL * best.loss:
        return None
    before = final_loss([p for p in reward.curve if p.step <= best.step])
    return (best, last) if final_loss(reward.curve) < before else None


def overfit_finding(reward: Reward) -> Finding | None:
    found = overfits(reward)
    if found is None:
        return None
    best, last = found
    told = (
        f"The reward model overfits: its held-out loss was lowest at step {count(best.step)} ({number(best.loss)}) and "
        f"ended at {number(last.loss)}, while its training loss fell to {number(final_loss(reward.curve))}."
    )
    kept = known(reward.kept) and reward.kept < last.step
    return ("plain" if kept else "bad"), told + _kept_told(reward.kept if kept else math.nan)


def reward_findings(quality: Quality) -> list[Finding]:
    """How far the reward model can be trusted."""
    findings = [within_finding(quality.within)] if quality.within and known(quality.within.right_first) else []
    auc = quality.auc_process
    if known(auc):
        kind = "good" if auc >= 0.8 else "plain" if auc >= NEAR_COIN else "bad"
        told = (
            f"Given one good and one bad step, the reward model scores the good one higher {percent(auc)} of the time "
            "(50 % would be a coin)."
        )
        warning = " That is hardly better than tossing a coin, and search guided by it will wander."
        findings.append((kind, told + (warning if auc < NEAR_COIN else "")))
    if known(quality.auc_outcome):
        share = percent(quality.auc_outcome)
        findings.append(
            ("plain", f"Of a right and a wrong finished solution, it prefers the right one {share} of the time.")
        )
    if known(quality.label_auc):
        told = (
            "It learned from labels made automatically, without the truth; these labels alone rank a good step above a "
            f"bad one {percent(quality.label_auc)} of the time."
        )
        findings.append(("plain", told))
    first = quality.first_error
    if first and known(first.accuracy):
        told = (
            f"In {count(first.n)} wrong solutions, the step it trusts least is the first wrong one "
            f"{percent(first.accuracy)} of the time."
        )
        findings.append(("plain", told))
    gap = calibration_gap(quality)
    if known(gap):
        kind = "good" if gap < 0.05 else "plain" if gap < 0.1 else "bad"
        findings.append((kind, f"On average its probabilities are off by {points(gap)}."))
    return findings


def within_finding(within: Within) -> Finding:
    """The comparison that choosing makes: two solutions of one problem, one right and one wrong."""
    shown = [f"95 % interval {interval(within.low, within.high)}"] if known(within.low) and known(within.high) else []
    shown += [plural(within.pairs, "pair")] if known(within.pairs) else []
    doubt = f" ({', '.join(shown)})" if shown else ""
    told = (
        f"Of a right and a wrong solution of the same problem, it scores the right one higher "
        f"{percent(within.right_first)} of the time{doubt}; 50 % would be a coin. This is the comparison that choosing "
        "among solutions makes."
    )
    coin = within.low <= 0.5 if known(within.low) else within.right_first < NEAR_COIN
    if coin:
        return "bad", told + " It cannot tell them apart."
    return ("good" if within.right_first >= RANKS else "plain"), told


def calibration_gap(quality: Quality) -> float:
    """The expected calibration error, over the groups in which both shares are known."""
    bins = [Bin(b.predicted, b.observed, b.count) for b in quality.calibration]
    return expected_calibration_error([b for b in bins if known(b.predicted) and known(b.observed) and b.count > 0])


def share_interval(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of n cases, not known where the share is not.

    >>> [round(bound, 3) for bound in share_interval(0.0, 10)]
    [0.0, 0.278]
    """
    if not (0 <= share <= 1 and n > 0):
        return math.nan, math.nan
    _, low, high = wilson(share * n, n)
    return low, high
