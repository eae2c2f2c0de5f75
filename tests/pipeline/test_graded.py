"""What a task's units say, on units made by hand."""

from typing import Any

import pytest

from clearhead.pipeline.graded import answers, kinds, strategies
from clearhead.pipeline.recipe import Recipe, parse
from clearhead.pipeline.sizes import FIELDS, read_sizes

CUT = {"cut": 1, "drawn": 4, "limits": ["search.solution_tokens"]}


def recipe(**settings: Any) -> Recipe:
    search = {"solution_tokens": 160} | settings.pop("search", {})
    return parse({"name": "x", "tasks": {"game24": {}}, "search": search, **settings})


def entry(problem: str, given: str | None, right: bool, *, early: bool = False, **more: Any) -> dict[str, Any]:
    """Stopped at 10 tokens `early` says whether the answer was right, at 20 `right` does."""
    return {
        "problem": problem, "marks": [[10, 0, 0.1, int(early)], [20, 0, 0.2, int(right)]], "answer": given,
        "steps": None if given is None else [given], "expected": "408", "cut": 0, "drawn": 4, "limits": [], **more,
    }  # fmt: skip


def unit(strategy: str, entries: list[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    return {"strategy": strategy, "seed": seed, "budget": 20, "problems": entries}


GREEDY = unit("greedy", [entry("a", "408", True), entry("b", "418", False), entry("c", None, False, **CUT)])
VOTE = [
    unit("self-consistency", [entry("a", "408", True), entry("b", "408", True), entry("c", "408", True)], seed)
    for seed in (0, 1)
]
BEST_OF = unit("best-of-n-last", [entry("a", "1", False, early=True), entry("b", "9", False), entry("c", "7", False)])


def test_a_line_tells_what_was_cut_off_and_the_limit() -> None:
    settings = recipe(evaluation={"budgets": [10, 20]})
    lines = {line["name"]: line for line in strategies([GREEDY, *VOTE, BEST_OF], settings)}
    greedy = lines["greedy"]
    assert (greedy["cut"], greedy["drawn"], greedy["cut_unit"]) == (1, 12, "solution")
    assert greedy["limits"] == [{"setting": "search.solution_tokens", "value": 160, "longest": None, "fixed": False}]
    (search,) = strategies([unit("mcts-puct", [entry("a", None, False, **CUT)])], settings)
    assert search["cut_unit"] == "step"


def test_a_line_tells_what_budget_and_choice_changed() -> None:
    lines = {
        line["name"]: line for line in strategies([GREEDY, *VOTE, BEST_OF], recipe(evaluation={"budgets": [10, 20]}))
    }
    assert lines["self-consistency"]["gain"]["estimate"] == 1.0
    assert lines["self-consistency"]["against_first"]["estimate"] == pytest.approx(2 / 3)
    assert lines["best-of-n-last"]["gain"]["estimate"] == pytest.approx(-1 / 3)
    assert "gain" not in lines["greedy"] and "against_first" not in lines["greedy"]
    (alone,) = strategies(VOTE, recipe(evaluation={"budgets": [20]}))
    assert "gain" not in alone, "one budget cannot show a change"
    assert "against_first" not in alone, "greedy was not measured"


def test_mistakes_are_counted_over_all_seeds() -> None:
    assert kinds([GREEDY]) == {"right": 1, "cut off": 1, "malformed": 0, "near miss": 1, "wrong": 0}
    assert kinds(VOTE)["right"] == 6


def test_answers_are_those_of_the_best_strategy_and_of_greedy() -> None:
    best, greedy = answers([GREEDY, *VOTE, BEST_OF], [10, 20])
    assert (best["strategy"], greedy["strategy"]) == ("self-consistency", "greedy")
    assert best["counts"]["right"] == 3, "of the first seed alone"
    assert [(a["problem"], a["kind"], a["given"], a["expected"]) for a in greedy["shown"]] == [
        ("c", "cut off", None, "408"), ("b", "near miss", "418", "408"), ("a", None, "408", "408"),
    ]  # fmt: skip
    assert [part["strategy"] for part in answers([GREEDY, BEST_OF], [20])] == ["greedy"]


def test_few_answers_of_each_kind_are_shown() -> None:
    (part,) = answers([unit("greedy", [entry(str(i), "1", False) for i in range(50)])], [20])
    assert part["counts"]["wrong"] == 50 and len(part["shown"]) == 8


def test_a_limit_stands_beside_the_longest_of_the_data() -> None:
    found = read_sizes(dict.fromkeys(FIELDS, 7) | {"longest_document": 90, "longest_step": 12})
    entries = [entry("a", None, False, cut=1, limits=["model.max_positions", "search.step_tokens"])]
    settings = recipe(model={"max_positions": 96}, search={"step_tokens": 48}, evaluation={"budgets": [20]})
    (line,) = strategies([unit("mcts-puct", entries)], settings, found)
    assert line["limits"] == [
        {"setting": "model.max_positions", "value": 96, "longest": 90, "fixed": False},
        {"setting": "search.step_tokens", "value": 48, "longest": 12, "fixed": False},
    ]
