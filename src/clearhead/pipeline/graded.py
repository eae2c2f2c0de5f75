"""What the graded results of one task say: lines of the plot, what changed, kinds of mistakes, answers to look at.

Plain data for the report, computed from results alone. What is deliberately not here: run directories (`summary`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clearhead.errors import UserError
from clearhead.pipeline.recipe import Recipe
from clearhead.pipeline.sizes import BOUNDED_BY, Sizes, is_fixed, limit
from clearhead.reasoning.evaluate import EvalResult, EvalRow, by_strategy, change, compare, label, table, within
from clearhead.reasoning.mistakes import KINDS, kind_of_error
from clearhead.reasoning.samples import SAMPLED, SINGLE
from clearhead.reasoning.searches import SEARCHES
from clearhead.reasoning.strategies import family

SHOWN_ANSWERS = 8  # of each kind
RIGHT = "right"


def strategies(results: Sequence[EvalResult], recipe: Recipe, found: Sizes | None = None) -> list[dict[str, Any]]:
    """Lines of the plot, with what their whole runs tell; all widths of a beam are one line, which the widest ends."""
    budgets, groups = recipe.evaluation.budgets, by_strategy(results)
    lines: dict[str, dict[str, Any]] = {}
    last: dict[str, EvalRow] = {}
    for row in table(results, budgets):
        name = family(row.strategy)
        line = lines.setdefault(name, {"name": name, "label": label(name), "unit": "tokens", "points": []})
        keys = ("budget", "accuracy", "low", "high", "generated", "reward", "seconds")
        line["points"].append({key: getattr(row, key) for key in keys})
        last[name] = row
    for name, row in last.items():
        lines[name] |= {
            "cut": row.cut, "drawn": row.drawn, "cut_unit": "step" if name in SEARCHES else "solution",
            "limits": limit_values(recipe, row.limits, found),
            "kinds": kinds(within(groups[row.strategy], math.inf)),
            **_changes(groups, row.strategy, budgets),
        }  # fmt: skip
    return list(lines.values())


def kinds(group: Iterable[EvalResult]) -> dict[str, int]:
    """How many of the final answers were right, and how many were mistakes of each kind."""
    found = Counter(kind_of_error(entry) or RIGHT for result in group for entry in result["problems"])
    return {kind: found[kind] for kind in (RIGHT, *KINDS)}


def _changes(groups: Mapping[str, list[EvalResult]], strategy: str, budgets: Sequence[int]) -> dict[str, Any]:
    """What more budget changed, and what the strategy changed of the first try at its largest budget."""
    runs, least, most = groups[strategy], min(budgets), max(budgets)
    changed: dict[str, Any] = {}
    if least < most and family(strategy) not in SINGLE and ":" not in strategy:
        changed["gain"] = change(runs, most, runs, least)._asdict()
    if "greedy" in groups and family(strategy) not in SINGLE:
        changed["against_first"] = change(runs, most, groups["greedy"], math.inf)._asdict()
    return changed


def limit_values(recipe: Recipe, names: Iterable[str], found: Sizes | None) -> list[dict[str, Any]]:
    """Settings by their names in the recipe with their values, and the longest of the data that each has to hold."""
    return [
        {
            "setting": name, "value": limit(recipe, name), "fixed": is_fixed(recipe, name),
            "longest": getattr(found, BOUNDED_BY[name]) if found else None,
        }
        for name in names
    ]  # fmt: skip


def answers(results: Sequence[EvalResult], budgets: Sequence[int]) -> list[dict[str, Any]]:
    """Given beside expected answers of the best strategy at its largest budget and of greedy, with the first seed."""
    rows = {row.strategy: row for row in table(results, [max(budgets)])}
    best = max(rows, key=lambda name: rows[name].accuracy)
    groups = by_strategy(results)
    return [_answers(within(groups[name], math.inf)[0]) for name in dict.fromkeys((best, "greedy")) if name in groups]


def _answers(result: EvalResult) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in (*KINDS, RIGHT)}
    for entry in result["problems"]:
        kind = kind_of_error(entry)
        found[kind or RIGHT].append(
            {
                "problem": entry["problem"], "expected": entry.get("expected"), "given": entry["answer"],
                "ended": entry["steps"][-1] if entry["steps"] else None, "kind": kind,
            }
        )  # fmt: skip
    return {
        "strategy": family(result["strategy"]),
        "counts": {kind: len(group) for kind, group in found.items()},
        "shown": [answer for group in found.values() for answer in group[:SHOWN_ANSWERS]],
    }


def comparison(results: Sequence[EvalResult], recipe: Recipe) -> dict[str, Any] | None:
    """The search of the recipe against best-of-N with the same reward model, at the largest budget both can spend."""
    a, b = recipe.report.compare
    if not {a, b} <= {result["strategy"] for result in results}:
        return None
    for budget in [recipe.report.compare_at] if recipe.report.compare_at else sorted(recipe.evaluation.budgets)[::-1]:
        try:
            matched = compare(results, a, b, budget)
        except UserError:  # best-of-N never spent as much
            continue
        estimate, low, high = matched.difference
        return {
            "a": family(a), "b": family(b), "tokens_a": matched.cost_a, "tokens_b": matched.cost_b,
            "difference": estimate, "low": low, "high": high,
        }  # fmt: skip
    return None


def examples(results: Sequence[EvalResult], recipe: Recipe) -> list[dict[str, Any]]:
    """Problems that search solved and greedy did not, that both solved, and that search failed, side by side."""
    first = {result["strategy"]: result for result in results if result["seed"] == 0}
    search = next((s for s in (recipe.report.compare[0], *SEARCHES, *SAMPLED) if s in first), None)
    if "greedy" not in first or search is None:
        return []
    kinds: dict[tuple[bool, bool], list[dict[str, Any]]] = {}
    for quick, slow in zip(first["greedy"]["problems"], first[search]["problems"], strict=True):
        ok = (bool(quick["marks"][-1][3]), bool(slow["marks"][-1][3]))
        kinds.setdefault(ok, []).append(
            {
                "problem": quick["problem"], "greedy_ok": ok[0], "search_ok": ok[1],
                "greedy_steps": quick["steps"] or [], "greedy_answer": quick["answer"],
                "search_steps": slow["steps"] or [], "search_answer": slow["answer"],
            }
        )  # fmt: skip
    share = max(1, recipe.report.examples // 3)
    wanted = [(False, True), (True, True), (False, False), (True, False)]
    return [example for kind in wanted for example in kinds.get(kind, [])[:share]][: recipe.report.examples]
