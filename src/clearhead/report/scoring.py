"""The section about the reward model: does it tell good steps from bad, and can its probabilities be believed?"""

from __future__ import annotations

from clearhead.report.data import Quality, Reward
from clearhead.report.findings import reward_findings, wilson
from clearhead.report.learning import loss_series, progress
from clearhead.report.markup import Child, Html, tag
from clearhead.report.parts import Column, facts, figure, notes, section, table
from clearhead.report.svg import Axis, Series, line_chart, reliability
from clearhead.report.wording import count, interval, known, number, percent


def reward_section(reward: Reward | None) -> Html | None:
    if reward is None:
        return None
    quality = reward.quality or Quality()
    drawn = [f for f in (_reliability(quality), _by_depth(quality), _curve(reward)) if f]
    pairs = _facts(reward, quality)
    if not drawn and not pairs:
        return None
    intro = (
        "The reward model looks at a half-finished solution and says how likely it still leads to a right answer."
        " Search follows its advice, so search is only as good as this judgement."
    )
    return section(
        "reward",
        "The judge: how good is the reward model?",
        tag("p", intro, cls="lead"),
        notes(reward_findings(quality)),
        facts(pairs) if pairs else None,
        tag("div", *drawn, cls="pair") if drawn else None,
    )


def _facts(reward: Reward, quality: Quality) -> list[tuple[str, Child]]:
    pairs: list[tuple[str, Child]] = []
    if reward.labels and known(reward.labels.count):
        pairs.append(("labelled steps", count(reward.labels.count)))
    if reward.labels and known(reward.labels.positive):
        pairs.append(("of them labelled good", percent(reward.labels.positive)))
    for name, value in (
        ("AUC of steps", quality.auc_process),
        ("AUC of solutions", quality.auc_outcome),
        ("AUC of its labels", quality.label_auc),
        ("Brier score (0 is best)", quality.brier),
    ):
        if known(value):
            pairs.append((name, number(value)))
    return pairs


def _reliability(quality: Quality) -> Html | None:
    bins = [b for b in quality.calibration if known(b.predicted) and known(b.observed) and b.count > 0]
    bounds = [wilson(b.observed, b.count) for b in bins]
    svg = reliability(bins, bounds, 380.0, "Reliability: predicted against observed")
    if svg is None:
        return None
    caption = (
        "Steps grouped by what the reward model said. A perfectly honest judge lies on the dashed diagonal: of the"
        " steps it gives 70 %, 70 % are right. Dots below the line mean too much confidence, above it too little. The"
        " bars below count the steps in each group: trust the small groups less."
    )
    columns = [Column("said"), Column("was right"), Column("95 % interval"), Column("steps")]
    rows = [
        [percent(b.predicted), percent(b.observed), interval(*at), count(b.count)]
        for b, at in zip(bins, bounds, strict=True)
    ]
    return figure(svg, caption, table("calibration", columns, rows))


def _by_depth(quality: Quality) -> Html | None:
    rows = [d for d in quality.by_depth if known(d.depth) and known(d.auc)]
    tips = [f"step {count(d.depth)}: {percent(d.auc)} of pairs in the right order ({count(d.n)} steps)" for d in rows]
    series = [
        Series("reward model", [d.depth for d in rows], [d.auc for d in rows], tips=tips, colour=0),
        Series("a coin", [d.depth for d in rows], [0.5] * len(rows), colour=5, marks=False),
    ]
    lowest = min((d.auc for d in rows), default=0.5)
    axis = Axis("good step ranked above bad", low=min(0.4, lowest), high=1.0, form=lambda v: percent(v, 0))
    depths = Axis("step of the solution", form=lambda v: number(v))
    svg = line_chart(series, depths, axis, 380.0, 280.0, "Quality of the reward model by depth")
    if svg is None or not rows:
        return None
    caption = (
        "The same judgement, by how far into the solution it is made. Early steps decide most and are usually the"
        " hardest to judge."
    )
    columns = [Column("step"), Column("AUC"), Column("steps judged")]
    return figure(svg, caption, table("by depth", columns, [[count(d.depth), number(d.auc), count(d.n)] for d in rows]))


def _curve(reward: Reward) -> Html | None:
    along = progress(reward.curve)
    line = loss_series(reward.curve, "training", 0, along)
    svg = line_chart([line], along.axis, Axis("loss"), 380.0, 260.0, "Loss of the reward model while training")
    return figure(svg, "The reward model's own training: lower is better.") if svg else None
