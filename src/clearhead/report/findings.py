"""What the numbers of an evaluation mean, in sentences, and plainly where it is not good.

Pure conclusions from data. A finding is (kind, sentence) with kind "good", "bad" or "plain". Not here: what the curves
of a training mean (`learned`), what to do next (`advice`), drawing, HTML.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from clearhead.charts.wording import count, inside, interval, known, listing, number, percent, points
from clearhead.report.data import (
    Auto,
    AutoChoice,
    Comparison,
    DifferenceInfo,
    Evaluation,
    Labels,
    Limit,
    PointInfo,
    StrategyInfo,
)
from clearhead.report.summary import cheapest, first_try, measured, most_expensive, with_search

Finding = tuple[str, str]
EQUAL_COST = 1.1  # costs within a tenth of each other count as equal
FEW = 20  # of fewer problems than this, no change of accuracy is called sure
MUCH_CUT = 0.01  # a share of solutions cut off that is worth a larger limit
MUCH_RAMBLED = 0.1  # a share of solutions that ramble on past a limit that is not tight, and no accident


def search_findings(evaluation: Evaluation) -> list[Finding]:
    """Does search pay? At equal cost, at every budget, and in absolute terms. And what went wrong on the way?"""
    findings = [*cut_findings(evaluation.strategies), *_worse_than_first(evaluation), *_falling(evaluation)]
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
    told_already = strategy in falling(evaluation)
    if best.accuracy > point.accuracy and best.tokens < point.tokens and not told_already:
        told = (
            f"More budget stopped helping: {percent(best.accuracy)} with {count(best.tokens)} tokens a problem, "
            f"{percent(point.accuracy)} with {count(point.tokens)}."
        )
        findings.append(("plain" if _overlap(best, point) else "bad", told))
    if point.accuracy < 1:
        findings.append(("plain", f"{percent(1 - point.accuracy)} of the problems stay unsolved even so."))
    return findings


def cut_findings(strategies: Sequence[StrategyInfo]) -> list[Finding]:
    """What limits cut off, and which to raise: for each limit a sentence about the strategy that it cut off most."""
    by_limit: dict[str, list[StrategyInfo]] = {}
    for s in strategies:
        if cut_share(s) > 0:
            by_limit.setdefault(limit_names(s), []).append(s)
    findings: list[Finding] = []
    for cut in by_limit.values():
        worst = max(cut, key=cut_share)
        others = {1: "", 2: ", and some of one other strategy"}.get(len(cut), f", and some of {len(cut) - 1} others")
        told = (
            f"{percent(cut_share(worst))} of the {worst.cut_unit}s of {inside(worst.title)} ({count(worst.cut)} of "
            f"{count(worst.drawn)}) were cut off{limit_told(worst.limits)}{others}"
        )
        if rambles(worst.limits):
            kind = "bad" if cut_share(worst) >= MUCH_RAMBLED else "plain"
            cause = ": the model rambles on" if cut_share(worst) >= MUCH_CUT else ""
            findings.append((kind, f"{told}, more than any solution of the data needs{cause}."))
        elif cut_share(worst) >= MUCH_CUT:
            findings.append(("bad", f"{told}: {remedy(worst)}."))
        else:
            findings.append(("plain", f"{told}."))
    return findings


def cut_share(s: StrategyInfo | Labels) -> float:
    """The share of what it drew that limits cut off; 0 where nothing was counted."""
    return s.cut / s.drawn if s.cut > 0 and s.drawn > 0 else 0.0


def limit_told(limits: Sequence[Limit]) -> str:
    """ " at 160 tokens", " at 48 tokens or 8 steps", or nothing where no value is known."""
    told = [
        f"{count(limit.value)} {'steps' if limit.setting.endswith('depth') else 'tokens'}"
        for limit in limits
        if known(limit.value)
    ]
    return f" at {' or '.join(told)}" if told else ""


def rambles(limits: Sequence[Limit]) -> bool:
    """Does every limit hold the longest of the data? Then what it cuts off goes on for no reason."""
    return bool(limits) and all(limit.value >= limit.longest for limit in limits)


def limit_names(s: StrategyInfo) -> str:
    """Which settings cut off; where none was named, the one that bounds a solution or a step."""
    return listing([limit.setting for limit in s.limits] or [f"search.{s.cut_unit}_tokens"])


def remedy(s: StrategyInfo) -> str:
    """What to do against limits that cut off too much: raise those that can be raised."""
    if not any(limit.fixed for limit in s.limits):
        return f"raise {limit_names(s)}"
    to_raise = [f"raise {limit.setting}" for limit in s.limits if not limit.fixed]
    return listing([*to_raise, "give shorter problems or start from a model with a longer context"])


def uses_reward_model(s: StrategyInfo) -> bool:
    """Does it choose by a reward model? Then it has paid for reading."""
    return any(point.reward > 0 for point in s.points)


def worse_than_first(evaluation: Evaluation) -> list[StrategyInfo]:
    """The strategies that choose by the reward model and are surely below the first try, the worst first."""
    worse = [s for s in evaluation.strategies if uses_reward_model(s) and _surely_less(evaluation, s.against_first)]
    return sorted(worse, key=lambda s: s.against_first.estimate if s.against_first else 0.0)


def falling(evaluation: Evaluation) -> list[StrategyInfo]:
    """The strategies whose accuracy surely falls from the smallest to the largest budget, the worst first."""
    fallen = [s for s in evaluation.strategies if _surely_less(evaluation, s.gain)]
    return sorted(fallen, key=lambda s: s.gain.estimate if s.gain else 0.0)


def _surely_less(evaluation: Evaluation, d: DifferenceInfo | None) -> bool:
    """Is the difference below zero with its whole interval, on problems enough to say so?"""
    return d is not None and d.high < 0 and not evaluation.problems < FEW


def _worse_than_first(evaluation: Evaluation) -> list[Finding]:
    worse, first = worse_than_first(evaluation), first_try(evaluation)
    if not worse or first is None:
        return []
    told = [f"{inside(s.title)} is below {inside(first[0].title)} by {_interval(s.against_first)}" for s in worse]
    return [("bad", f"Choosing by the reward model is worse than not choosing: {'; '.join(told)}.")]


def _falling(evaluation: Evaluation) -> list[Finding]:
    findings: list[Finding] = []
    for s in falling(evaluation):
        least, most = cheapest(s), most_expensive(s)
        if least and most:
            told = (
                f"The accuracy of {inside(s.title)} falls with budget: {percent(least.accuracy)} with "
                f"{count(least.budget)} {s.unit}, {percent(most.accuracy)} with {count(most.budget)}, a change of "
                f"{_interval(s.gain, signed=True)}."
            )
            findings.append(("bad", told))
    return findings


def _interval(d: DifferenceInfo | None, signed: bool = False) -> str:
    """ "40.0 points (95 % interval 31.2 to 48.8)"; with its sign where that is the news."""
    if d is None:
        return "an unknown amount"
    low, high = (d.low, d.high) if signed else (-d.high, -d.low)
    form = _signed if signed else (lambda x: f"{100 * x:.1f}")
    estimate = f"{_signed(d.estimate)} points" if signed else points(d.estimate)
    return f"{estimate} (95 % interval {form(low)} to {form(high)})"


def auto_finding(evaluation: Evaluation) -> Finding | None:
    """What `auto` does at its largest budget, and why."""
    auto = evaluation.auto
    if auto is None or not (auto.choices or auto.why):
        return None
    titles = {s.name: inside(s.title) for s in evaluation.strategies}
    told = [_choice_told(auto.choices[-1], titles)] if auto.choices else []
    return ("bad" if auto.reward_model_helps is False else "plain"), " ".join([*told, _why(auto)]).strip()


def _choice_told(choice: AutoChoice, titles: dict[str, str]) -> str:
    name, _, width = choice.strategy.partition(":")
    title = titles.get(name, name) + (f", width {width}" if width else "")
    told = (
        f"With {count(choice.budget)} tokens a problem auto uses {title}"
        if known(choice.budget)
        else f"Auto uses {title}"
    )
    if known(choice.accuracy):
        told += f", which solved {percent(choice.accuracy)} of the problems it was chosen on"
        told += f" (95 % interval {interval(choice.low, choice.high)})" if known(choice.low + choice.high) else ""
    return f"{told}."


def _why(auto: Auto) -> str:
    if auto.why:
        return auto.why[:1].upper() + auto.why[1:] + ("" if auto.why.endswith(".") else ".")
    if auto.reward_model_helps is None:
        return ""
    helps = "helps" if auto.reward_model_helps else "does not help"
    return f"The reward model {helps} on held-out problems."


def losses(evaluation: Evaluation, search: StrategyInfo) -> list[tuple[PointInfo, StrategyInfo, PointInfo]]:
    """Where search loses: its points at which another strategy solves more with no more tokens, and the best rival."""
    found = []
    for point in measured(search):
        better = [rival for rival in _rivals(evaluation, search, point) if rival[1].accuracy > point.accuracy]
        if better:
            other, rival = max(better, key=lambda pair: pair[1].accuracy)
            found.append((point, other, rival))
    return found


def _rivals(evaluation: Evaluation, search: StrategyInfo, point: PointInfo) -> list[tuple[StrategyInfo, PointInfo]]:
    """The points of other strategies that cost no more."""
    others = [s for s in evaluation.strategies if s.name != search.name]
    return [(other, rival) for other in others for rival in measured(other) if rival.tokens <= point.tokens]


def _unbeaten(evaluation: Evaluation, search: StrategyInfo) -> bool:
    """At each of its points search has rivals, and solves more than they do."""
    contests = [(point, _rivals(evaluation, search, point)) for point in measured(search)]
    return all(rivals and all(r.accuracy < point.accuracy for _, r in rivals) for point, rivals in contests)


def _loss_findings(search: StrategyInfo, beaten: Sequence[tuple[PointInfo, StrategyInfo, PointInfo]]) -> list[Finding]:
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


def _amounts(beaten: Sequence[tuple[PointInfo, StrategyInfo, PointInfo]]) -> str:
    return listing([count(point.tokens) for point, _, _ in beaten])


def _overlap(one: PointInfo, other: PointInfo) -> bool:
    """Do the intervals of two points leave open which is the better one? Unknown intervals leave nothing open."""
    low, high = (one, other) if one.accuracy <= other.accuracy else (other, one)
    return known(low.high) and known(high.low) and high.low <= low.high


def _matched(evaluation: Evaluation, c: Comparison) -> Finding:
    """What is said of two strategies at matched cost: by the interval of their difference, and only at equal cost."""
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
        return "bad", f"{sentence} ({bounds})."
    return ("plain" if ratio > EQUAL_COST else "good"), f"{sentence} ({bounds})."


def _change(difference: float) -> str:
    """ "12.0 points more than", "as many as"."""
    if abs(difference) < 5e-4:
        return "as many as"
    return f"{points(difference)} {'more' if difference > 0 else 'fewer'} than"


def _signed(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−") if abs(difference) >= 5e-4 else "0.0"
