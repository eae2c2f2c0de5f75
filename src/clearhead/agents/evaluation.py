"""An agent measured on problems whose answers are known: a prediction for each, and what they say together.

Several problems advance at once. One at which the agent is stuck is unanswered and keeps no other from its answer.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from clearhead.agents.loop import Emit, Outcome
from clearhead.agents.steps import Step, Stuck, Task, to_plain
from clearhead.agents.toolbox.calculator import calculator
from clearhead.agents.toolbox.table import lookup_in
from clearhead.agents.tools import Tool, tool
from clearhead.agents.trace import totals
from clearhead.agents.transcript import Entry
from clearhead.generation.backend import NoRoom
from clearhead.reasoning.statistics import wilson
from clearhead.tasks.market import table_in
from clearhead.tasks.rows import Typed

AT_ONCE = 16  # problems
MEANS = ("turns", "calls", "failed_calls", "prompt_tokens", "generated_tokens", "computed_tokens", "seconds")

Go = Callable[[Mapping[str, Sequence[Step]], Emit], Mapping[str, Outcome]]  # episodes by their names -> how they ended
Check = Callable[[str, str, str], bool]  # (problem, answer, expected)


def market_tools(problem: str) -> dict[str, Tool]:
    """What a question of the market can be answered with: the table that it is about, and a calculator."""
    rows = {item: {column: str(value) for column, value in row.items()} for item, row in table_in(problem).items()}
    return {made.name: made for made in (lookup_in(rows), tool(calculator, seconds=math.inf))}


def predict(asked: Sequence[Typed], go: Go, check: Check) -> list[dict[str, Any]]:
    """A prediction for each problem, in order; where one is stuck, or memory runs out, halves are tried instead."""
    names = [str(i) for i in range(len(asked))] if len(asked) > 1 else [""]
    entries = {name: [Entry(Task(typed.problem))] for name, typed in zip(names, asked, strict=True)}

    def emit(told: Sequence[Entry]) -> None:
        for entry in told:
            if len(asked) > 1:
                entries[entry.agent].append(entry._replace(agent=""))
            else:
                entries[""].append(entry)  # an agent of its own for each part of a plan

    try:
        outcomes = go({name: [entries[name][0].step] for name in names}, emit)
    except (Stuck, NoRoom) as error:
        if len(asked) == 1 and isinstance(error, NoRoom):
            raise
        if len(asked) == 1:
            return [prediction(asked[0], entries[""], None, check) | {"error": str(error)}]
        middle = len(asked) // 2
        return [*predict(asked[:middle], go, check), *predict(asked[middle:], go, check)]
    return [prediction(typed, entries[name], outcomes[name], check) for name, typed in zip(names, asked, strict=True)]


def prediction(typed: Typed, entries: Sequence[Entry], outcome: Outcome | None, check: Check) -> dict[str, Any]:
    """A line for a program: the answer beside the right one, what it took, and the steps."""
    spent = asdict(totals(entries))
    seconds = spent.pop("model_seconds") + spent.pop("tool_seconds")
    answer = outcome.answer if outcome else None
    return {
        "problem": typed.problem, "answer": answer, "expected": typed.answer,
        "correct": answer is not None and check(typed.problem, answer, typed.answer or ""),
        "ended": outcome.ended if outcome else "stuck", **spent, "seconds": seconds,
        "steps": [to_plain(entry.step) for entry in entries],
    }  # fmt: skip


def summarize(predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Accuracy with Wilson's 95% interval, how episodes ended, and what one cost in the mean."""
    right = sum(made["correct"] for made in predictions)
    accuracy, low, high = wilson(right, len(predictions))
    ended = {
        reason: sum(made["ended"] == reason for made in predictions)
        for reason in ("answered", "steps", "repeats", "stuck")
    }
    means = {name: fmean(made[name] for made in predictions) for name in MEANS}
    return {
        "problems": len(predictions), "right": right, "accuracy": accuracy, "low": low, "high": high, "ended": ended,
        "mean": means,
    }  # fmt: skip
