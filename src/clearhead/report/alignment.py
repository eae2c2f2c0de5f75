"""The section about what a policy learned from its own answers: reward, distance from the start, and what it gained."""

from __future__ import annotations

from collections.abc import Sequence

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Child, Html, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import count, interval, known, number, percent, points
from clearhead.report.data import Alignment, BeforeAfter, DifferenceInfo, Overoptimization, Pushed, Report, Round
from clearhead.report.learning import bucketed, samples_figure
from clearhead.report.parts import Column, figure, notes, section, table
from clearhead.report.summary import task_info

POINTS = 40  # of a drawn curve: single rounds jump with the problems that they happen to ask
PAID_BY = {
    "checker": "the task's own check, right or wrong",
    "outcome": "the outcome head of the reward model",
    "process": "the process head of the reward model",
}


def alignment_section(report: Report) -> Html | None:
    found = report.alignment
    if found is None or not found.rounds:
        return None
    paid = PAID_BY.get(found.reward, "a reward function of the user's")
    lead = (
        f"After its training the model went on to learn from what it writes itself, by {found.method}: in each of "
        f"{count(len(found.rounds))} rounds it answered problems, the answers were rewarded by {paid}, and what earned "
        "more than its neighbors became likelier. What it is measured on was never among them."
    )
    drawn = round_figures(found)
    return section(
        "alignment",
        "What it learned from its own answers",
        tag("p", lead, cls="lead"),
        notes(_told(found)),
        _gains(found, report),
        tag("div", *drawn, cls="pair") if drawn else None,
        samples_figure(found.samples, "round", "The best answer of that round."),
        *_overoptimization(found.overoptimization),
    )


def _told(found: Alignment) -> list[tuple[str, str]]:
    told = [("bad", line) for line in found.health]
    for key, label in (("greedy", "a greedy answer"), ("sampled", "an answer drawn at temperature 1")):
        for task in found.tasks.values():
            each: BeforeAfter = getattr(task, key)
            if known(each.gain.high) and each.gain.high < 0:
                told.append(("bad", f"It lost: {label} is right {points(each.gain.estimate)} less often than before."))
    if not told:
        told.append(("good", "Reward, KL, entropy and length show none of the faults that are looked for."))
    return told


def _gains(found: Alignment, report: Report) -> Html | None:
    rows = []
    for name, task in found.tasks.items():
        for label, each in (("greedy", task.greedy), ("one sample", task.sampled)):
            if known(each.after.estimate):
                rows.append(
                    [
                        f"{task_info(report, name).title}, {label}", _share(each, "before"), _share(each, "after"),
                        _signed(each.gain),
                    ]
                )  # fmt: skip
    columns = [Column("test problems", numeric=False), Column("before"), Column("after"), Column("gain, 95% interval")]
    return table("what it gained", columns, rows, stacked=True) if rows else None


def _signed(gain: DifferenceInfo) -> str:
    sign = "−" if gain.estimate < 0 else "+"
    return f"{sign}{points(gain.estimate)} ({interval(gain.low, gain.high)})"


def _share(each: BeforeAfter, when: str) -> str:
    found = getattr(each, when)
    return f"{percent(found.estimate)} ({interval(found.low, found.high)})"


def _series(rounds: Sequence[Round], key: str, label: str, color: int) -> Series | None:
    at = [(r.number + 1, getattr(r, key)) for r in rounds if known(getattr(r, key))]
    if not at:
        return None
    runs = bucketed([x for x, _ in at], [y for _, y in at], POINTS)
    xs, ys, low, high = (list(column) for column in zip(*runs, strict=True))
    tips = [f"{label} {number(y)} at round {x:.0f}" for x, y in zip(xs, ys, strict=True)]
    return Series(label, xs, ys, low, high, tips=tips, color=color, marks=False)


def round_figures(found: Alignment, of: str = "") -> list[Html]:
    """Reward, KL, entropy and length by round; `of` says of what, where there are several such."""
    drawn = (_reward_figure(found, of), _distance_figure(found, of), *_course_figures(found, of))
    return [chart for chart in drawn if chart]


def _reward_figure(found: Alignment, of: str) -> Html | None:
    proxy = any(known(r.truth) for r in found.rounds)
    series = [_series(found.rounds, "reward", "reward", 0)]
    if proxy:
        series.append(_series(found.rounds, "truth", "really right", 2))
    svg = _chart(series, "reward", f"Reward by round{of}", high=None if proxy else 1.0)
    if svg is None:
        return None
    told = " Where it parts from what is really right, the policy pleases its reward model." if proxy else ""
    caption = "What an answer earns on average, each round with problems of its own (band: lowest to highest)." + told
    rows = [[count(r.number + 1), number(r.reward), number(r.truth), number(r.length)] for r in found.rounds]
    columns = [Column("round"), Column("reward"), Column("really right"), Column("tokens an answer")]
    return figure(svg, caption, table("reward by round", columns, rows))


def _distance_figure(found: Alignment, of: str) -> Html | None:
    series = [_series(found.rounds, "kl", "KL", 1)]
    svg = _chart(series, "nats an answer", f"Distance from the start by round{of}")
    caption = (
        "How far the policy is from what it was: the KL divergence of an answer, in nats. Little reward for much KL "
        "means that it changes what nobody pays for."
    )
    return figure(svg, caption) if svg else None


def _course_figures(found: Alignment, of: str) -> list[Html]:
    """Entropy and length by round."""
    told = (
        (
            "entropy", "nats a token", 3,
            "How undecided the policy is at a token. It falls as the policy learns; once it is 0, all answers to a "
            "problem are the same and there is nothing left to compare.",
        ),
        (
            "length", "tokens an answer", 4,
            "How much it writes. A reward that says nothing of length may still teach to ramble on, or to be short.",
        ),
    )  # fmt: skip
    charts = []
    for key, unit, color, caption in told:
        svg = _chart([_series(found.rounds, key, key, color)], unit, f"{key.capitalize()} by round{of}")
        charts += [figure(svg, caption)] if svg else []
    return charts


def _chart(series: Sequence[Series | None], unit: str, name: str, high: float | None = None) -> Html | None:
    shown = [each for each in series if each]
    vertical = Axis(unit, low=0.0) if high is None else Axis(unit, low=0.0, high=high)
    return line_chart(shown, Axis("round", low=0.0), vertical, 380.0, 280.0, name)


def _overoptimization(found: Overoptimization | None) -> list[Child]:
    """Proxy and truth against the KL, best-of-N beside the policies, and answers that fooled the proxy."""
    if found is None or not found.lines:
        return []
    policies = sorted(found.lines, key=lambda line: line.kl)
    series = [
        _pushed(points, key, f"{label}, {who}", color)
        for points, who, colors in ((policies, "policies", (0, 2)), (found.best_of_n, "best of N", (1, 3)))
        for key, label, color in (("proxy", "reward model", colors[0]), ("truth", "really right", colors[1]))
        if points
    ]
    axes = Axis("KL from the start, nats an answer", low=0.0), Axis("mean of an answer", low=0.0)
    svg = line_chart(series, *axes, 640.0, 340.0, "Proxy and truth against the KL")
    caption = (
        "What the reward model thinks of the answers to the test problems, and how many are really right, against the "
        "distance from the first policy: each point is a policy trained with another beta, the weakest leash at the "
        "right. Where the upper line goes on and the lower one falls, the policy has learned to please it."
    )
    rows: list[list[Child]] = [
        [f"beta {number(line.beta)}{' (kept)' if line.beta == found.kept else ''}", *_pushed_row(line)]
        for line in policies
    ]
    rows += [[f"best of {count(line.n)}", *_pushed_row(line)] for line in found.best_of_n]
    columns = [Column("policy", numeric=False), Column("KL"), Column("reward model"), Column("really right")]
    told: list[Child] = [tag("h3", "How far the reward model can be pushed")]
    told.append(figure(svg, caption, table("proxy and truth", columns, rows)) if svg else None)
    furthest = policies[-1]
    if furthest.fooled:
        shown = [
            [str(f["problem"]), tag("code", str(f["answer"])), percent(float(f["proxy"]))] for f in furthest.fooled
        ]
        columns = [Column("problem", numeric=False), Column("answer", numeric=False), Column("reward model")]
        told += [tag("h4", "Wrong answers that it believed most"), table("fooled", columns, shown)]
    return told


def _pushed(points: Sequence[Pushed], key: str, label: str, color: int) -> Series:
    each: list[DifferenceInfo] = [getattr(point, key) for point in points]
    tips = [f"{label}: {number(e.estimate)} at {number(p.kl)} nats" for e, p in zip(each, points, strict=True)]
    return Series(
        label, [p.kl for p in points], [e.estimate for e in each], [e.low for e in each], [e.high for e in each],
        tips=tips, color=color,
    )  # fmt: skip


def _pushed_row(line: Pushed) -> list[Child]:
    each = [f"{percent(e.estimate)} ({interval(e.low, e.high)})" for e in (line.proxy, line.truth)]
    return [number(line.kl), *each]
