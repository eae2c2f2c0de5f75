"""The sections about solving problems: accuracy against cost, the search trees, and solutions side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from clearhead.charts.lines import Series, line_chart
from clearhead.charts.markup import Html, join, tag
from clearhead.charts.svg import Axis
from clearhead.charts.wording import count, duration, interval, known, percent, plural
from clearhead.report.data import Evaluation, ExampleInfo, PointInfo, Report, StrategyInfo, TreeInfo
from clearhead.report.findings import auto_finding, search_findings
from clearhead.report.parts import FIRST, SEARCH, Column, figure, fold, notes, section, share_bar, steps, table
from clearhead.report.summary import most_expensive, task_info, with_search
from clearhead.report.tree import size, tree_figure

SHOWN_EXAMPLES = 4
OTHERS = (1, 2, 3, 4)  # the colors that are neither the first try's nor search's


def evaluation_section(report: Report) -> Html | None:
    evaluations = {name: e for name, e in report.evaluation.items() if e.strategies}
    if not evaluations:
        return None
    intro = (
        "The same model can be asked once, asked many times and put to a vote, or led step by step by a search that"
        " consults the reward model. More thinking costs more tokens, so the fair question is what each way solves for"
        " the same cost."
    )
    colors = strategy_colors(evaluations)
    return section(
        "search",
        "Does thinking longer help?",
        tag("p", intro, cls="lead"),
        *(
            join(
                tag("h3", task_info(report, name).title) if len(evaluations) > 1 or len(report.tasks) > 1 else None,
                tag("p", _tested(evaluation), cls="aside"),
                notes([*([found] if (found := auto_finding(evaluation)) else []), *search_findings(evaluation)]),
                _accuracy_figure(evaluation, colors, task_info(report, name).title, explained=i == 0),
                _strategy_table(evaluation, colors),
                _every_point(evaluation),
            )
            for i, (name, evaluation) in enumerate(evaluations.items())
        ),
    )


def strategy_colors(evaluations: Mapping[str, Evaluation]) -> dict[str, int]:
    """The colors of the strategies worth following, the same on the whole page; the others stay gray and thin.

    The first try and search keep theirs; then come what search is compared with and the strongest of the rest.
    """
    fixed: dict[str, int] = {}
    rest: dict[str, float] = {}  # how strong each is, summed over tasks
    for evaluation in evaluations.values():
        search = with_search(evaluation)
        if search:
            fixed.setdefault(search[0].name, SEARCH)
        fixed.setdefault(evaluation.first, FIRST)
        for strategy in evaluation.strategies:
            point = most_expensive(strategy)
            compared = evaluation.comparison is not None and strategy.name == evaluation.comparison.b
            followed = compared or strategy.name == "auto"
            strength = math.inf if followed else point.accuracy if point else 0.0
            rest[strategy.name] = rest.get(strategy.name, 0.0) + strength
    others = sorted((name for name in rest if name not in fixed), key=lambda name: -rest[name])
    return fixed | dict(zip(others, OTHERS, strict=False))


def _tested(evaluation: Evaluation) -> str:
    problems = plural(evaluation.problems, "problem") if known(evaluation.problems) else "Problems"
    seeds = f", {plural(evaluation.seeds, 'random seed')}" if known(evaluation.seeds) else ""
    return f"{problems} that the model never saw in training{seeds}."


def _accuracy_figure(evaluation: Evaluation, colors: Mapping[str, int], title: str, explained: bool) -> Html | None:
    # The axis starts at nothing, unless all the lines would then crowd at the top.
    shares = [v for s in evaluation.strategies for p in s.points for v in (p.accuracy, p.low) if known(v)]
    lowest = min(shares, default=0.0)
    floor = 0.0 if lowest < 0.5 else math.floor(min(lowest, 0.9) * 10) / 10
    x = Axis("tokens for one problem", log=True, form=count)
    y = Axis("problems solved", low=floor, high=1.0, form=lambda v: percent(v, 0))
    name = f"{title}: problems solved against tokens spent on a problem, one line a strategy"
    wide = line_chart([_line_of(s, colors, True) for s in evaluation.strategies], x, y, 880.0, 400.0, name)
    narrow = line_chart([_line_of(s, colors, False) for s in evaluation.strategies], x, y, 350.0, 340.0, name)
    if wide is None:
        return None
    quiet = any(s.name not in colors for s in evaluation.strategies)
    explanation = (
        "Each line is one way of thinking; its points are rising budgets. Higher solves more, further right costs more"
        " tokens (written by the model plus read by the reward model, on a scale where equal distances multiply). The"
        " band around a line is its 95 % interval: where bands overlap, the difference may be chance."
        + (" The thin gray lines are the other ways of the table." if quiet else "")
    )
    warning = f"Mind the axis: it starts at {percent(floor, 0)}." if floor else ""
    caption = " ".join(filter(None, [explanation if explained else "", warning]))
    return figure([tag("div", wide, cls="wide"), tag("div", narrow, cls="narrow")], caption)


def _line_of(s: StrategyInfo, colors: Mapping[str, int], all_named: bool) -> Series:
    quiet = s.name not in colors
    return Series(
        label=s.title if all_named or not quiet else "",
        x=[p.tokens for p in s.points],
        y=[p.accuracy for p in s.points],
        low=[p.low for p in s.points],
        high=[p.high for p in s.points],
        tips=[_tip(s, p) for p in s.points],
        color=colors.get(s.name, FIRST),
        quiet=quiet,
    )


def _tip(strategy: StrategyInfo, point: PointInfo) -> str:
    budget = f", {_budget(strategy, point)}" if known(point.budget) else ""
    return (
        f"{strategy.title}{budget}: {percent(point.accuracy)} ({interval(point.low, point.high)}), "
        f"{count(point.tokens)} tokens a problem"
    )


def _budget(strategy: StrategyInfo, point: PointInfo) -> str:
    return f"{count(point.budget)} {strategy.unit}".strip()


def _strategy_table(evaluation: Evaluation, colors: Mapping[str, int]) -> Html:
    columns = [
        Column("strategy", numeric=False),
        Column("budget"),
        Column("solved"),
        Column("95 % interval", numeric=False),
        Column("tokens written"),
        Column("reward-model tokens"),
        Column("time a problem"),
    ]
    rows = []
    quoted = [(s, p) for s in evaluation.strategies if (p := most_expensive(s)) is not None]
    for s, p in sorted(quoted, key=lambda pair: -pair[1].accuracy):
        color = colors.get(s.name, FIRST)
        bar = join(share_bar(p.accuracy, p.low, p.high, color), tag("small", interval(p.low, p.high)))
        rows.append(
            [s.title, _budget(s, p), percent(p.accuracy), bar, count(p.generated), count(p.reward), duration(p.seconds)]
        )
    caption = "Each strategy at its largest budget, the best first. Tokens and time are means for one problem."
    return tag("figure", table("strategies", columns, rows, stacked=True), tag("figcaption", caption))


def _every_point(evaluation: Evaluation) -> Html:
    titles = [
        "strategy",
        "budget",
        "solved",
        "95 % interval",
        "tokens written",
        "reward-model tokens",
        "time a problem",
    ]
    columns = [Column(title, numeric=i > 0) for i, title in enumerate(titles)]
    rows = [
        [
            s.title,
            _budget(s, p),
            percent(p.accuracy),
            interval(p.low, p.high),
            count(p.generated),
            count(p.reward),
            duration(p.seconds),
        ]
        for s in evaluation.strategies
        for p in s.points
    ]
    return fold("Every budget as a table", table("every strategy at every budget", columns, rows))


def tree_section(trees: Sequence[TreeInfo]) -> Html | None:
    shown = [tree for tree in trees if tree.root]
    if not shown:
        return None
    intro = (
        "A search tries several next steps, looks further into the ones that seem good, and comes back to the others"
        " when they disappoint. Below is the whole of one such thought: every line is a step the model wrote."
    )
    caption = (
        "Open a step to see what was tried after it. Visits count how often the search came by; value is the mean of"
        " what it found below, from 0 (hopeless) to 1 (right); prior is how likely the model thought the step at first"
        " sight; reward is the reward model's own score of it. The shaded path is the answer. Right and wrong marks are"
        " the truth, which the search never sees."
    )
    figures = [
        join(_tree_head(tree), tag("figure", tree_figure(tree), tag("figcaption", caption if i == 0 else None)))
        for i, tree in enumerate(shown)
    ]
    return section("tree", "One thought, opened", tag("p", intro, cls="lead"), *figures)


def _tree_head(tree: TreeInfo) -> Html:
    assert tree.root is not None
    told = [plural(size(tree.root), "step") + " in the tree"]
    if tree.strategy:
        told.insert(0, tree.strategy)
    answer = tag("p", "Answer: ", tag("code", tree.answer), cls="answer") if tree.answer else None
    return join(tag("h3", tree.title or tree.problem), tag("p", ", ".join(told), cls="aside"), answer)


def examples_section(report: Report) -> Html | None:
    shown = {name: examples for name, examples in report.examples.items() if examples}
    if not shown:
        return None
    intro = (
        "The model's first try on the left, what search arrived at on the right. They are picked to show both kinds, so"
        " count nothing from them."
    )
    body = []
    for name, examples in shown.items():
        cards = [_example(example) for example in examples]
        rest = (
            fold(f"{len(cards) - SHOWN_EXAMPLES} more", *cards[SHOWN_EXAMPLES:])
            if len(cards) > SHOWN_EXAMPLES
            else None
        )
        body += [tag("h3", task_info(report, name).title) if len(shown) > 1 else None, *cards[:SHOWN_EXAMPLES], rest]
    return section("examples", "Solved and failed, side by side", tag("p", intro, cls="lead"), *body)


def _example(e: ExampleInfo) -> Html:
    kinds = {
        (False, True): "search mended it",
        (True, True): "right both times",
        (True, False): "search spoiled it",
        (False, False): "wrong both times",
    }
    head = tag("h4", tag("code", e.problem), " ", tag("small", kinds[e.greedy_ok, e.search_ok]))
    sides = [
        _attempt("First try", e.greedy_steps, e.greedy_answer, e.greedy_ok),
        _attempt("With search", e.search_steps, e.search_answer, e.search_ok),
    ]
    return tag("article", head, tag("div", *sides, cls="sides"), cls="example")


def _attempt(title: str, lines: Sequence[str], answer: str | None, right: bool) -> Html:
    badge = tag("span", "✓ right" if right else "✗ wrong", cls="badge good" if right else "badge bad")
    said = tag("p", "Answer: ", tag("code", answer), cls="answer") if answer else tag("p", "No answer.", cls="answer")
    return tag("div", tag("h5", title, " ", badge), steps(lines) if lines else None, said, cls="attempt")
