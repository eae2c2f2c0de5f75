"""Agents on problems with known answers: together as alone, and what is stuck keeps no other from its answer."""

import random
from collections.abc import Mapping, Sequence

import pytest
from acting import TOOLS, FunctionModel

from clearhead.agents.calls import deny
from clearhead.agents.evaluation import market_tools, predict, summarize
from clearhead.agents.grammar import read_inline
from clearhead.agents.loop import Emit, Limits, Outcome, run_together
from clearhead.agents.policy import Decision, ModelPolicy, Policy
from clearhead.agents.prompt import load_style
from clearhead.agents.steps import Answer, Observation, Step, Stuck, Task
from clearhead.agents.tools import Tool
from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams
from clearhead.reasoning.statistics import wilson
from clearhead.tasks.market import Market
from clearhead.tasks.rows import Typed
from clearhead.tasks.task import CALL_END

ASKED = [Typed("pears", "4"), Typed("plums", "9"), Typed("quinces", "3"), Typed("figs", "1")]


def looks_up(text: str, seed: int) -> str:
    """A model that looks every task up, knows figs to be 7, and writes no step of quinces."""
    task = text.partition("Task: ")[2].partition("\n")[0]
    if "Observation: " in text:
        return f"Answer: It is {text.rpartition('Observation: ')[2].strip()}."
    answers = {"figs": "Answer: 7", "quinces": "hm"}
    return answers.get(task, f'Action: look {{"name": "{task}"}}\nObservation:')


def go(policy: Policy, tools: Mapping[str, Tool] = TOOLS, asked: list[int] | None = None):  # type: ignore[no-untyped-def]
    def go(episodes: Mapping[str, Sequence[Step]], emit: Emit) -> dict[str, Outcome]:
        if asked is not None:
            asked.append(len(episodes))
        return run_together(episodes, policy, tools, Limits(), deny, emit)

    return go


def check(problem: str, answer: str, expected: str) -> bool:
    return answer.strip(".").rpartition(" ")[2] == expected


def policy() -> ModelPolicy:
    return ModelPolicy(FunctionModel(looks_up), TOOLS, load_style("bare"), len, 2000, SamplingParams(max_tokens=200))


def test_predictions_are_in_order_and_one_that_is_stuck_keeps_no_other_from_its_answer() -> None:
    sizes: list[int] = []
    made = predict(ASKED, go(policy(), asked=sizes), check)
    assert sizes == [4, 2, 2, 1, 1], "all, then the halves with the one that is stuck"
    assert [(p["problem"], p["correct"], p["ended"]) for p in made] == [
        ("pears", True, "answered"),
        ("plums", True, "answered"),
        ("quinces", False, "stuck"),
        ("figs", False, "answered"),
    ]
    assert made[0]["answer"] == "It is 4." and made[0]["expected"] == "4" and made[0]["calls"] == 1
    assert [step["step"] for step in made[0]["steps"]] == ["task", "action", "observation", "answer"]
    assert "neither an Action nor an Answer" in made[2]["error"] and "error" not in made[0]


def test_company_changes_no_prediction() -> None:
    together = predict(ASKED[:2], go(policy()), check)
    alone = [prediction for typed in ASKED[:2] for prediction in predict([typed], go(policy()), check)]
    for a, b in zip(together, alone, strict=True):
        assert {**a, "seconds": 0, "computed_tokens": 0} == {**b, "seconds": 0, "computed_tokens": 0}


def test_the_summary_counts_what_has_no_answer_as_wrong() -> None:
    found = summarize(predict(ASKED, go(policy()), check))
    assert (found["right"], found["problems"]) == (2, 4)
    assert (found["accuracy"], found["low"], found["high"]) == wilson(2, 4)
    assert found["ended"] == {"answered": 3, "steps": 0, "repeats": 0, "stuck": 1}
    assert found["mean"]["calls"] == 0.5 and found["mean"]["turns"] == pytest.approx((2 + 2 + 0 + 1) / 4)


def test_what_concerns_all_problems_ends_the_evaluation() -> None:
    def unreachable(episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        raise UserError("the endpoint cannot be reached")

    with pytest.raises(UserError, match="cannot be reached"):
        predict(ASKED, go(unreachable), check)


def test_a_task_that_is_too_long_is_stuck_and_tools_that_are_too_many_are_an_error() -> None:
    short = ModelPolicy(FunctionModel(looks_up), TOOLS, load_style("bare"), len, 300, SamplingParams(max_tokens=100))
    (made,) = predict([Typed("pears " * 100, "4")], go(short), check)
    assert made["ended"] == "stuck" and "a shorter task" in made["error"]
    tiny = ModelPolicy(FunctionModel(looks_up), TOOLS, load_style("react"), len, 300, SamplingParams(max_tokens=100))
    with pytest.raises(UserError, match="the list of 2 tools takes") as told:
        predict([Typed("pears", "4")], go(tiny), check)
    assert not isinstance(told.value, Stuck)


class Expert:
    """Looks everything up in the order of the market's own solutions, and adds up what it was given."""

    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        return [Decision(tuple(self.next(steps))) for steps in episodes]

    def next(self, steps: Sequence[Step]) -> list[Step]:
        assert isinstance(steps[0], Task)
        problem, seen = steps[0].text, [step for step in steps if isinstance(step, Observation)]
        lookups = Market().solve(problem, random.Random(0))[:-2]
        if len(seen) < len(lookups):
            return read_inline(lookups[len(seen)].partition(CALL_END)[0] + CALL_END, len(seen) + 1)
        facts = [step.text for step in seen if step.ok]
        return [Answer(Market().total(problem, facts) if len(facts) == len(seen) else "unknown")]


def test_the_market_is_answered_by_its_own_tools_and_by_no_others() -> None:
    market = Market()
    problems = market.problems("test", 20, 0)

    def solved(tools_of: Mapping[str, str]) -> int:
        made = [
            predict([Typed(p, market.expected(p))], go(Expert(), market_tools(tools_of[p])), lambda p, a, e: a == e)[0]
            for p in problems
        ]
        return sum(prediction["correct"] for prediction in made)

    assert solved({problem: problem for problem in problems}) == 20
    assert solved({problem: problems[i - 1] for i, problem in enumerate(problems)}) == 0
