"""The section about the reward model: does it tell good steps from bad, and can its probabilities be believed?"""

from __future__ import annotations

from collections.abc import Sequence

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, join, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import count, interval, known, number, percent
from clearhead.report.data import Quality, Report, Reward, Within
from clearhead.report.findings import limit_told
from clearhead.report.learned import overfit_finding, reward_findings, share_interval
from clearhead.report.learning import held_out_series, loss_series, progress
from clearhead.report.parts import Column, facts, figure, notes, section, table
from clearhead.report.reliability import reliability
from clearhead.report.summary import task_info


def reward_section(report: Report) -> Html | None:
    reward = report.reward
    if reward is None:
        return None
    measured = [_quality(report, name, quality) for name, quality in reward.quality.items()]
    parts = [_labels(reward), *measured, _curve(reward)]
    if not any(parts):
        return None
    intro = (
        "The reward model looks at a half-finished solution and says how likely it still leads to a right answer."
        " Search follows its advice, so search is only as good as this judgment."
    )
    return section(
        "reward",
        "How good is the reward model?",
        tag("p", intro, cls="lead"),
        notes([found] if (found := overfit_finding(reward)) else []),
        *parts,
    )


def _quality(report: Report, name: str, quality: Quality) -> Html | None:
    """What was measured of it on one task, as far as the task has a truth to measure by."""
    drawn = [f for f in (_reliability(quality), _within_by_depth(quality), _auc_by_depth(quality)) if f]
    pairs = _facts(quality)
    if not (drawn or pairs):
        return None
    return join(
        tag("h3", task_info(report, name).title) if len(report.evaluation) > 1 or len(report.tasks) > 1 else None,
        notes(reward_findings(quality)),
        facts(pairs) if pairs else None,
        tag("div", *drawn, cls="pair") if drawn else None,
    )


def _labels(reward: Reward) -> Html | None:
    pairs: list[tuple[str, Child]] = []
    if reward.labels and known(reward.labels.count):
        pairs.append(("labeled steps", count(reward.labels.count)))
    if reward.labels and known(reward.labels.positive):
        pairs.append(("of them labeled good", percent(reward.labels.positive)))
    if reward.labels and reward.labels.drawn > 0:
        cut_off = f"completions cut off{limit_told(reward.labels.limits)}"
        pairs.append((cut_off, percent(reward.labels.cut / reward.labels.drawn)))
    return facts(pairs) if pairs else None


def _facts(quality: Quality) -> list[tuple[str, Child]]:
    within = quality.within or Within()
    pairs: list[tuple[str, Child]] = [
        (name, number(value))
        for name, value in (
            ("AUC of steps", quality.auc_process),
            ("AUC of solutions", quality.auc_outcome),
            ("AUC of its labels", quality.label_auc),
            ("Brier score (0 is best)", quality.brier),
        )
        if known(value)
    ]
    return ([("right one of two first", percent(within.right_first))] if known(within.right_first) else []) + pairs


def _reliability(quality: Quality) -> Html | None:
    bins = [b for b in quality.calibration if known(b.predicted) and known(b.observed) and b.count > 0]
    bounds = [share_interval(b.observed, b.count) for b in bins]
    svg = reliability(bins, bounds, 380.0, "Reliability: predicted against observed")
    if svg is None:
        return None
    caption = (
        "Steps grouped by what the reward model said. A perfectly calibrated model lies on the dashed diagonal: of the"
        " steps it gives 70 %, 70 % are right. Dots below the line mean too much confidence, above it too little. The"
        " bars below count the steps in each group: trust the small groups less."
    )
    columns = [Column("said"), Column("was right"), Column("95 % interval"), Column("steps")]
    rows = [
        [percent(b.predicted), percent(b.observed), interval(*at), count(b.count)]
        for b, at in zip(bins, bounds, strict=True)
    ]
    return figure(svg, caption, table("calibration", columns, rows))


def _within_by_depth(quality: Quality) -> Html | None:
    rows = [(d.depth, d.right_first, d.pairs) for d in quality.within.by_depth] if quality.within else []
    caption = (
        "Two solutions of the same problem, one that ends right and one that ends wrong: how often the right one has"
        " the higher score, after so many steps of both. Choosing makes this comparison, so this is what it can gain."
    )
    return _by_depth(rows, "right one of two first", "pairs", caption)


def _auc_by_depth(quality: Quality) -> Html | None:
    caption = (
        "Good against bad steps of all problems together, by how far into the solution they are. Early steps decide"
        " most and are usually the hardest to judge."
    )
    return _by_depth([(d.depth, d.auc, d.n) for d in quality.by_depth], "AUC of steps", "steps scored", caption)


def _by_depth(rows: Sequence[tuple[float, float, float]], title: str, unit: str, caption: str) -> Html | None:
    """Shares of pairs in the right order by the step of the solution, beside a coin's; rows are (depth, share, n)."""
    rows = [row for row in rows if known(row[0]) and known(row[1])]
    depths, shares = [depth for depth, _, _ in rows], [share for _, share, _ in rows]
    tips = [f"step {count(depth)}: {percent(share)} ({count(n)} {unit})" for depth, share, n in rows]
    series = [
        Series("reward model", depths, shares, tips=tips, color=0),
        Series("a coin", depths, [0.5] * len(rows), color=5, marks=False),
    ]
    axis = Axis(title, low=min([0.4, *shares]), high=1.0, form=lambda v: percent(v, 0))
    svg = line_chart(series, Axis("step of the solution", form=number), axis, 380.0, 280.0, f"{title}, by depth")
    if svg is None:
        return None
    cells = [[count(depth), percent(share), count(n)] for depth, share, n in rows]
    return figure(svg, caption, table(f"{title}, by depth", [Column("step"), Column(title), Column(unit)], cells))


def _curve(reward: Reward) -> Html | None:
    along = progress([*reward.curve, *reward.evals])
    series = [loss_series(reward.curve, "training", 5 if reward.evals else 0, along)]
    if reward.evals:
        series.append(held_out_series(reward.evals, along))
    svg = line_chart(series, along.axis, Axis("loss"), 380.0, 260.0, "Loss of the reward model while training")
    held_out = " The blue line is text that it never trains on." if reward.evals else ""
    return figure(svg, f"The reward model's own training: lower is better.{held_out}") if svg else None
