"""Units, tables and comparisons on numbers worked by hand."""

import random
from collections.abc import Sequence

import pytest

from clearhead.errors import UserError
from clearhead.reasoning.evaluate import EvaluationConfig, at, change, compare, grade, label, table
from clearhead.reasoning.strategy import CostPoint, Trace


class Doubles:
    """The answer to "3" is "6"."""

    name = "doubles"
    statement = "twice the number"
    held_out: tuple[str, ...] = ()

    def parse(self, text: str) -> str:
        return text

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        return []

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        return [str(2 * int(problem))]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return steps[-1].removeprefix("=") if steps and steps[-1].startswith("=") else None

    def check(self, problem: str, answer: str) -> bool:
        return answer == str(2 * int(problem))


def marks(*entries: tuple[int, int, str | None]) -> tuple[CostPoint, ...]:
    return tuple(CostPoint(g, r, 0.5, None if answer is None else (answer,)) for g, r, answer in entries)


def test_grading_checks_every_answer_on_the_way() -> None:
    attempt = Trace("3", marks((5, 5, None), (10, 10, "=5"), (20, 20, "=6"), (20, 20, "=7")))
    entry = grade(Doubles(), "mcts-puct", 0, 200, [attempt])["problems"][0]
    assert [point[3] for point in entry["marks"]] == [0, 0, 0], "of two marks at one cost the later counts"
    assert entry["answer"] == "7"
    entry = grade(Doubles(), "mcts-puct", 0, 200, [Trace("3", attempt.points[:3])])["problems"][0]
    assert [point[3] for point in entry["marks"]] == [0, 0, 1]


def test_a_direct_answer_is_its_own_text() -> None:
    (entry,) = grade(Doubles(), "direct", 0, 200, [Trace("3", marks((2, 0, "6")))])["problems"]
    assert entry["marks"][-1][3] == 1
    (entry,) = grade(Doubles(), "greedy", 0, 200, [Trace("3", marks((2, 0, "6")))])["problems"]
    assert entry["marks"][-1][3] == 0, "steps that arrive at nothing are wrong"


class Told(Doubles):
    """The same, which can show the right answer."""

    def expected(self, problem: str) -> str | None:
        return str(2 * int(problem))


def test_grading_keeps_the_expected_answer_and_what_was_cut_off() -> None:
    told = ("expected", "cut", "drawn", "limits")
    attempt = Trace("3", marks((10, 10, "=6")), cut=2, drawn=9, limits=("search.depth",))
    (entry,) = grade(Told(), "self-consistency", 0, 200, [attempt])["problems"]
    assert [entry[key] for key in told] == ["6", 2, 9, ["search.depth"]]
    (entry,) = grade(Doubles(), "self-consistency", 0, 200, [Trace("3", attempt.points)])["problems"]
    assert [entry[key] for key in told] == [None, 0, 0, []], "this task has no answer to show"


def test_a_row_counts_what_was_cut_off_in_all_its_runs() -> None:
    graded = [
        grade(Told(), "self-consistency", seed, 200, [Trace("3", marks((10, 0, "=6")), cut, 4, limits)])
        for seed, (cut, limits) in enumerate([(1, ("b", "a")), (2, ("b",)), (0, ())])
    ]
    (row,) = table(graded, [200])
    assert (row.cut, row.drawn, row.limits) == (3, 12, ("a", "b"))
    for unit in graded:  # as an older run kept it
        for key in ("expected", "cut", "drawn", "limits"):
            del unit["problems"][0][key]
    (row,) = table(graded, [200])
    assert (row.cut, row.drawn, row.limits) == (0, 0, ())


def test_a_change_is_paired_by_problem() -> None:
    runs = [u for u in units() if u["strategy"] == "mcts-puct"]
    found = change(runs, 100, runs, 30)
    assert found.estimate == 0.75 - 0.25
    assert change(runs, 30, runs, 100).estimate == -found.estimate
    assert change(runs, 100, runs, 100) == (0, 0, 0), "the same runs differ on no problem"


def units() -> list:
    """Two problems, two seeds of search; greedy once. Search solves 3 at 40 tokens, 4 at 100 in one seed."""
    task = Doubles()
    search = [
        [Trace("3", marks((10, 10, None), (20, 20, "=6"))), Trace("4", marks((20, 20, "=9"), (50, 50, "=8")))],
        [Trace("3", marks((10, 10, "=6"))), Trace("4", marks((30, 30, "=9")))],
    ]
    rival = [Trace("3", marks((30, 30, "=6"))), Trace("4", marks((30, 30, "=9"), (60, 60, "=9")))]
    found = [grade(task, "mcts-puct", seed, 200, attempts) for seed, attempts in enumerate(search)]
    found += [grade(task, "best-of-n-last", seed, 200, rival) for seed in range(2)]
    return [
        *found,
        grade(task, "greedy", 0, 200, [Trace("3", marks((7, 0, "=6"))), Trace("4", marks((9, 0, "=0")))]),
    ]


def test_accuracy_and_cost_at_a_budget() -> None:
    scores, costs = at([u for u in units() if u["strategy"] == "mcts-puct"], 50)
    assert scores.tolist() == [[1, 1], [0, 0]]
    assert costs[:, :, :2].sum(-1).tolist() == [[40, 20], [40, 60]], (
        "60 is over the budget, but it was the first answer"
    )
    scores, _ = at([u for u in units() if u["strategy"] == "mcts-puct"], 100)
    assert scores.tolist() == [[1, 1], [1, 0]]


def test_the_table_has_every_budget_for_a_search_and_one_row_for_greedy() -> None:
    rows = {(row.strategy, row.budget): row for row in table(units(), [30, 100])}
    assert set(rows) == {(s, b) for s in ("mcts-puct", "best-of-n-last") for b in (30, 100)} | {("greedy", 100)}
    assert rows["mcts-puct", 30].accuracy == 0.25
    assert rows["mcts-puct", 100].accuracy == 0.75
    greedy = rows["greedy", 100]
    assert (greedy.accuracy, greedy.generated, greedy.reward) == (0.5, 8, 0)
    assert all(row.low <= row.accuracy <= row.high for row in rows.values())
    assert all(row.low < row.high for row in rows.values()), "two problems never make an accuracy certain"


def test_the_comparison_gives_the_rival_at_least_as_much() -> None:
    matched = compare(units(), "mcts-puct", "best-of-n-last", 100)
    assert matched.cost_a == (40 + 20 + 100 + 60) / 4
    assert matched.cost_b >= matched.cost_a
    assert matched.difference.estimate == 0.75 - 0.5
    with pytest.raises(UserError, match="not measured"):
        compare(units(), "mcts-puct", "beam:2", 100)


def test_settings_are_checked() -> None:
    for wrong in ({"problems": 0}, {"seeds": 0}, {"budgets": (0,)}, {"strategies": ("magic",)}):
        with pytest.raises(UserError):
            EvaluationConfig(**wrong)
    assert label("beam:4") == "step beam search, width 4"
