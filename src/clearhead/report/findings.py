"""What the numbers of a run mean, in sentences, and plainly where it is not good.

Pure conclusions from data. A finding is (kind, sentence) with kind "good", "bad" or "plain". Not here: drawing, HTML.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from clearhead.report.data import Comparison, EvalPoint, Evaluation, Point, Quality, Strategy
from clearhead.report.summary import first_try, measured, with_search
from clearhead.report.wording import count, inside, known, listing, number, percent, points

Finding = tuple[str, str]
EQUAL_COST = 1.1  # costs within a tenth of each other count as equal
LEVEL = 1.02  # losses within a fiftieth of each other count as level
NEAR_COIN = 0.65  # an AUC below this is called hardly better than a coin
Z = 1.959963984540054  # of a 95 % interval


def search_findings(evaluation: Evaluation) -> list[Finding]:
    """Does search pay? At equal cost, at every budget, and in absolute terms."""
    findings: list[Finding] = []
    if evaluation.comparison and known(evaluation.comparison.difference):
        findings.append(_matched(evaluation, evaluation.comparison))
    search = with_search(evaluation)
    if search is None:
        return findings
    strategy, point = search
    first = first_try(evaluation)
    if first and known(point.tokens) and first[1].tokens > 0:
        gain = point.accuracy - first[1].accuracy
        told = (
            f"At its largest budget {inside(strategy.title)} solves {_change(gain)} the first try, for "
            f"{number(point.tokens / first[1].tokens, 2)} times the tokens."
        )
        findings.append(("plain" if gain > 0 or (gain == 0 and point.tokens < first[1].tokens) else "bad", told))
    findings += _loss_findings(strategy, losses(evaluation, strategy))
    if _unbeaten(evaluation, strategy):
        told = f"At every budget {inside(strategy.title)} solves more than any other way does with no more tokens."
        findings.append(("good", told))
    best = max(measured(strategy), key=lambda p: p.accuracy)
    if best.accuracy > point.accuracy and best.tokens < point.tokens:
        told = (
            f"More budget stopped helping: {percent(best.accuracy)} with {count(best.tokens)} tokens a problem, "
            f"{percent(point.accuracy)} with {count(point.tokens)}."
        )
        findings.append(("plain" if _overlap(best, point) else "bad", told))
    if point.accuracy < 1:
        findings.append(("plain", f"{percent(1 - point.accuracy)} of the problems stay unsolved even so."))
    return findings


def losses(evaluation: Evaluation, search: Strategy) -> list[tuple[Point, Strategy, Point]]:
    """Where search loses: its points at which another strategy solves more with no more tokens, and the best rival."""
    found = []
    for point in measured(search):
        better = [rival for rival in _rivals(evaluation, search, point) if rival[1].accuracy > point.accuracy]
        if better:
            other, rival = max(better, key=lambda pair: pair[1].accuracy)
            found.append((point, other, rival))
    return found


def _rivals(evaluation: Evaluation, search: Strategy, point: Point) -> list[tuple[Strategy, Point]]:
    """The points of other strategies that cost no more."""
    others = [s for s in evaluation.strategies if s.name != search.name]
    return [(other, rival) for other in others for rival in measured(other) if rival.tokens <= point.tokens]


def _unbeaten(evaluation: Evaluation, search: Strategy) -> bool:
    """At each of its points search has rivals, and solves more than they do."""
    contests = [(point, _rivals(evaluation, search, point)) for point in measured(search)]
    return all(rivals and all(r.accuracy < point.accuracy for _, r in rivals) for point, rivals in contests)


def _loss_findings(search: Strategy, beaten: Sequence[tuple[Point, Strategy, Point]]) -> list[Finding]:
    """One sentence for where search clearly loses, one for where it is behind by less than the intervals can tell."""
    findings: list[Finding] = []
    clear = [loss for loss in beaten if not _overlap(loss[0], loss[2])]
    unsure = [loss for loss in beaten if _overlap(loss[0], loss[2])]
    name = inside(search.title)
    if clear:
        point, other, rival = max(clear, key=lambda loss: loss[2].accuracy - loss[0].accuracy)
        told = (
            f"With {_amounts(clear)} tokens a problem {name} is not worth it: {inside(other.title)} solves "
            f"{percent(rival.accuracy)} with {count(rival.tokens)}, {name} {percent(point.accuracy)} with "
            f"{count(point.tokens)}."
        )
        findings.append(("bad", told))
    if unsure:
        rivals = listing(list(dict.fromkeys(inside(other.title) for _, other, _ in unsure)))
        told = (
            f"With {_amounts(unsure)} tokens a problem {rivals} solved a little more for no more tokens, but the "
            "intervals overlap."
        )
        findings.append(("plain", told))
    return findings


def _amounts(beaten: Sequence[tuple[Point, Strategy, Point]]) -> str:
    return listing([count(point.tokens) for point, _, _ in beaten])


def _overlap(one: Point, other: Point) -> bool:
    """Do the intervals of two points leave open which is the better one? Unknown intervals leave nothing open."""
    low, high = (one, other) if one.accuracy <= other.accuracy else (other, one)
    return known(low.high) and known(high.low) and high.low <= low.high


def _matched(evaluation: Evaluation, c: Comparison) -> Finding:
    """The verdict on two strategies at matched cost: by the interval of their difference, and only at equal cost."""
    titles = {s.name: inside(s.title) for s in evaluation.strategies}
    a, b = titles.get(c.a, c.a), titles.get(c.b, c.b)
    ratio = c.tokens_a / c.tokens_b if c.tokens_b > 0 else math.nan
    cost = f"{count(c.tokens_a)} against {count(c.tokens_b)} tokens a problem"
    if not known(ratio):
        opening = ""
    elif ratio > EQUAL_COST:
        opening = f"At {number(ratio, 2)} times the cost ({cost}), "
    else:
        opening = f"At {'equal' if ratio > 1 / EQUAL_COST else 'lower'} cost ({cost}), "
    sentence = f"{opening}{a} solves {_change(c.difference)} {b}"
    sentence = sentence[:1].upper() + sentence[1:]
    if not (known(c.low) and known(c.high)):
        return "plain", f"{sentence}; no interval was computed."
    bounds = f"95 % interval {_signed(c.low)} to {_signed(c.high)} points"
    if c.low <= 0 <= c.high:
        return "plain", f"{sentence}; the {bounds} includes zero, so this run shows no sure difference."
    if c.difference < 0:
        return "bad", f"{sentence} ({bounds}): search loses here."
    return ("plain" if ratio > EQUAL_COST else "good"), f"{sentence} ({bounds})."


def _change(difference: float) -> str:
    """ "12.0 points more than", "as many as"."""
    if abs(difference) < 5e-4:
        return "as many as"
    return f"{points(difference)} {'more' if difference > 0 else 'fewer'} than"


def _signed(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−") if abs(difference) >= 5e-4 else "0.0"


def training_findings(evals: Sequence[EvalPoint]) -> list[Finding]:
    """Did the held-out loss fall, and did it still fall at the end?"""
    shown = [e for e in evals if known(e.loss)]
    if len(shown) < 3:
        return []
    first, before, last = shown[0].loss, shown[-2].loss, shown[-1].loss
    best = min(shown, key=lambda e: e.loss)
    if last > LEVEL * best.loss:
        told = (
            f"The held-out loss was lowest at step {count(best.step)} ({number(best.loss)}) and ended at "
            f"{number(last)}: the sign of a model that begins to memorise its examples."
        )
        return [("bad", told)]
    if first < LEVEL * last:
        return [("bad", f"The held-out loss hardly fell: from {number(first)} to {number(last)}.")]
    if before > LEVEL * last:
        return [("plain", "The held-out loss was still falling at the end: longer training would probably help.")]
    return [("good", f"The held-out loss fell from {number(first)} to {number(last)} and levelled off.")]


def reward_findings(quality: Quality) -> list[Finding]:
    """How far the reward model can be trusted."""
    findings: list[Finding] = []
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


def calibration_gap(quality: Quality) -> float:
    """The expected calibration error: the mean over cases of |predicted - observed|."""
    bins = [b for b in quality.calibration if known(b.predicted) and known(b.observed) and b.count > 0]
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.predicted - b.observed) for b in bins) / total if total else math.nan


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of n cases; stays inside [0, 1] and is honest at 0 and 1.

    >>> [round(bound, 3) for bound in wilson(0.0, 10)]
    [0.0, 0.278]
    """
    if not (0 <= share <= 1 and n > 0):
        return math.nan, math.nan
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return max(0.0, centre - half), min(1.0, centre + half)
