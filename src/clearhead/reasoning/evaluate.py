"""Strategies compared at equal compute: the same problems, several sampling seeds, every token counted.

An `EvalResult` is one strategy with one seed on all problems, as plain data that a run directory keeps. Tables and
comparisons are computed from results alone, so they can be made again at any time. This is the one place where answers
are checked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clearhead.errors import UserError
from clearhead.reasoning import statistics
from clearhead.reasoning.curve import Graded, at_budget
from clearhead.reasoning.strategies import family, known, strategy_of
from clearhead.reasoning.strategy import CostPoint, Trace
from clearhead.tasks.task import Task, expected

EvalResult = Mapping[str, Any]
"""{"strategy", "seed", "budget", "problems": [{"problem", "marks", "steps", "answer", "expected", "cut", "drawn",
"limits"}]}, where each mark is [generated, reward, seconds, correct], steps and answer are the last ones, expected is a
right answer or None, and the rest is the trace's. Results of older runs lack what follows answer."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured after training. `budgets` count generated and reward-model tokens of one problem together.

    A recipe of tasks may leave them out: then they are multiples of what a solution costs (pipeline/sizes.py).
    """

    problems: int = 150
    seeds: int = 1
    budgets: tuple[int, ...] = ()
    strategies: tuple[str, ...] = ("greedy", "self-consistency", "best-of-n-joint", "beam", "mcts-puct")

    def __post_init__(self) -> None:
        if self.problems < 1 or self.seeds < 1:
            raise UserError(f"evaluation: problems = {self.problems} and seeds = {self.seeds} must be at least 1")
        if any(budget < 1 for budget in self.budgets):
            raise UserError(f"evaluation.budgets = {list(self.budgets)} must be positive numbers of tokens")
        known(self.strategies)


def grade(task: Task, strategy: str, seed: int, budget: int, traces: Sequence[Trace]) -> EvalResult:
    """Check every answer that a strategy would have given on its way. The same answer is checked once."""
    problems = []
    for trace in traces:
        right: dict[tuple[str, ...] | None, bool] = {None: False}
        for point in trace.points:
            if point.steps is not None and point.steps not in right:
                answer = final_answer(task, strategy, trace.problem, point.steps)
                right[point.steps] = answer is not None and task.check(trace.problem, answer)
        final = trace.points[-1].steps
        problems.append(
            {
                "problem": trace.problem,
                "marks": [
                    [m.generated, m.reward, m.seconds, int(right[m.steps])] for m in _one_for_each_cost(trace.points)
                ],
                "steps": None if final is None else list(final),
                "answer": None if final is None else final_answer(task, strategy, trace.problem, final),
                "expected": expected(task, trace.problem),
                "cut": trace.cut,
                "drawn": trace.drawn,
                "limits": list(trace.limits),
            }
        )
    return {"strategy": strategy, "seed": seed, "budget": budget, "problems": problems}


def final_answer(task: Task, strategy: str, problem: str, steps: Sequence[str]) -> str | None:
    """The answer that the steps arrive at; a direct answer is its own text."""
    return "".join(steps) if family(strategy) == "direct" else task.answer(problem, steps)


def _one_for_each_cost(points: Sequence[CostPoint]) -> list[CostPoint]:
    """In order of cost; where nothing was spent between two points, the later one counts."""
    by_cost = {point.generated + point.reward: point for point in points}
    return [by_cost[cost] for cost in sorted(by_cost)]


class EvalRow(NamedTuple):
    """One strategy at one budget: accuracy with its 95% interval, and the means of what a problem cost.

    Of `drawn` solutions (of a search: steps), `cut` were cut off by the settings named in `limits`; these are counted
    over the whole runs behind this row, whatever its budget.
    """

    strategy: str
    label: str
    budget: int
    accuracy: float
    low: float
    high: float
    generated: float
    reward: float
    seconds: float
    cut: int = 0
    drawn: int = 0
    limits: tuple[str, ...] = ()


def table(results: Iterable[EvalResult], budgets: Sequence[int]) -> list[EvalRow]:
    """Every strategy at every budget that it can use; a single-answer strategy has one row, at what it costs."""
    rows = []
    for strategy, runs in by_strategy(results).items():
        single = strategy_of(strategy).kind == "single"
        for budget in budgets[-1:] if single or ":" in strategy else budgets:
            group = within(runs, budget)
            scores, costs = at(group, budget)
            interval = statistics.bootstrap_mean(scores)
            if single or interval.low == interval.high:  # resampling equal scores knows no doubt, Wilson does
                interval = statistics.wilson(round(scores.mean() * len(scores)), len(scores))
            generated, reward, seconds = costs.mean(axis=(0, 1)).tolist()
            rows.append(
                EvalRow(strategy, label(strategy), budget, *interval, generated, reward, seconds, *cut_off(group))
            )
    return rows


def cut_off(group: Sequence[EvalResult]) -> tuple[int, int, tuple[str, ...]]:
    """What limits cut off in these runs, of how many drawn, and which limits; older runs counted none of it."""
    entries = [entry for result in group for entry in result["problems"]]
    cut, drawn = (sum(entry.get(key, 0) for entry in entries) for key in ("cut", "drawn"))
    return cut, drawn, tuple(sorted({limit for entry in entries for limit in entry.get("limits", ())}))


def within(runs: Sequence[EvalResult], budget: float) -> list[EvalResult]:
    """The runs that show a strategy at a budget: those that were given the smallest budget which is enough.

    A search that can be stopped at any time has runs of one budget, the largest; one that plans ahead, one for each.
    """
    enough = [run["budget"] for run in runs if run["budget"] >= budget] or [max(run["budget"] for run in runs)]
    return [run for run in runs if run["budget"] == min(enough)]


def at(group: Sequence[EvalResult], budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Of one strategy's results: right or wrong "P S", and (generated, reward, seconds) "P S 3", stopped at the budget.

    A run that had already passed the budget at its first answer counts as unanswered, with what that answer cost.
    """
    P, S = len(group[0]["problems"]), len(group)
    scores, costs = np.zeros((P, S)), np.zeros((P, S, 3))
    for s, result in enumerate(group):
        for p, entry in enumerate(result["problems"]):
            curve = [Graded(generated + reward, i) for i, (generated, reward, _, _) in enumerate(entry["marks"])]
            paid = at_budget(curve, budget)
            generated, reward, seconds, correct = entry["marks"][0 if paid is None else int(paid.correct)]
            scores[p, s] = 0.0 if paid is None else correct
            costs[p, s] = generated, reward, seconds
    return scores, costs


def change(a: Sequence[EvalResult], budget_a: float, b: Sequence[EvalResult], budget_b: float) -> statistics.Interval:
    """The accuracy of runs a stopped at one budget minus that of runs b stopped at another, paired by problem."""
    scores = [at(within(runs, budget), budget)[0] for runs, budget in ((a, budget_a), (b, budget_b))]
    return statistics.bootstrap_difference(*scores)


def compare(results: Iterable[EvalResult], a: str, b: str, budget: float) -> statistics.Matched:
    """Strategy a, stopped at the budget, against b at a mean cost of at least a's."""
    groups = by_strategy(results)
    for name in (a, b):
        if name not in groups:
            raise UserError(f"strategy {name!r} was not measured; measured were {', '.join(groups)}")
    return statistics.matched_difference(_curves(within(groups[a], budget)), _curves(groups[b]), budget)


def _curves(group: Sequence[EvalResult]) -> list[list[list[Graded]]]:
    """Problem by problem, seed by seed."""
    P = len(group[0]["problems"])
    return [
        [[Graded(g + r, float(correct)) for g, r, _, correct in result["problems"][p]["marks"]] for result in group]
        for p in range(P)
    ]


def by_strategy(results: Iterable[EvalResult]) -> dict[str, list[EvalResult]]:
    """The results of each strategy, in the order of their first appearance."""
    groups: dict[str, list[EvalResult]] = {}
    for result in results:
        groups.setdefault(result["strategy"], []).append(result)
    return groups


def label(strategy: str) -> str:
    """How a table calls a strategy: "step beam search, width 4" for beam:4."""
    name, _, number = strategy.partition(":")
    label = strategy_of(name).label
    return f"{label}, width {number}" if number else label
