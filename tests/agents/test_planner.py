"""Plans by a script: parts at once, in the order of their needs, tried again, planned anew; circles told."""

from collections.abc import Sequence

import pytest
from acting import TOOLS, FunctionModel, Told

from clearhead.agents.calls import deny
from clearhead.agents.loop import Limits, Outcome, run
from clearhead.agents.planner import ModelPlanner, Parts, PlanPolicy, answered, faults
from clearhead.agents.policy import Decision, ModelPolicy
from clearhead.agents.prompt import load_style
from clearhead.agents.steps import Action, Answer, Observation, Plan, Step, Subtask, Task
from clearhead.errors import UserError
from clearhead.generation.language_model import SamplingParams

PLAN = [Subtask("pears"), Subtask("plums"), Subtask("sum", (1, 2))]


class Crew:
    """The agents of the parts: each answers by a table, and notes who was asked together."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers, self.asked = answers, list[list[str]]()

    def __call__(self, episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        tasks = [episode[0].text for episode in episodes if isinstance(episode[0], Task)]
        self.asked.append(tasks)
        return [Decision((Answer(self.answers.get(task.split("\n")[0], "")),)) for task in tasks]


def planned(crew: Crew, plans: Sequence[Sequence[Subtask]], told: Told, news: list[str] | None = None) -> Outcome:
    made = iter(plans)

    def decompose(task: str, said: str) -> Sequence[Subtask]:
        if news is not None:
            news.append(said)
        return next(made)

    def final(episodes: Sequence[Sequence[Step]]) -> list[Decision]:
        seen = [step.text for step in episodes[0] if isinstance(step, Observation) and step.ok]
        return [Decision((Answer(seen[-1] if seen else "?"),))]

    task = Task("How many pears and plums?")
    parts = Parts(crew, TOOLS, Limits(), answered, told, [task])
    return run([task], PlanPolicy(decompose, final), TOOLS, Limits(), deny, parts.watch, parts.act)


def test_parts_that_need_nothing_run_together_and_their_results_go_on() -> None:
    crew, told = Crew({"pears": "4", "plums": "9", "sum": "13"}), Told()
    made = planned(crew, [PLAN], told)
    assert made.answer == "13"
    assert crew.asked == [["pears", "plums"], ["sum\npears: 4\nplums: 9"]]
    assert {entry.agent for entry in told.entries} == {"", "1", "2", "3"}


def test_a_part_that_fails_is_tried_again_and_then_planned_anew() -> None:
    crew, news = Crew({"pears": "4", "plums": "", "apples": "7"}), list[str]()
    made = planned(crew, [PLAN, [Subtask("apples")]], Told(), news)
    assert made.answer == "7"
    assert [task for tasks in crew.asked for task in tasks].count("pears") == 1
    tries = [task for tasks in crew.asked for task in tasks if task.startswith("plums")]
    assert len(tries) == 3 and "An earlier attempt failed: the result '' says nothing" in tries[1]
    assert news[0] == "" and "The part 'plums' failed" in news[1]
    assert sum(isinstance(step, Plan) for step in made.steps) == 2


def test_a_plan_that_cannot_be_finished_is_told_and_at_last_the_task_is_one_part() -> None:
    circle, news = [Subtask("a", (2,)), Subtask("b", (1,))], list[str]()
    made = planned(Crew({"How many pears and plums?": "13"}), [circle] * 3, Told(), news)
    assert made.answer == "13" and made.steps[1] == Plan((Subtask("How many pears and plums?"),))
    assert "parts 1 and 2 need each other" in news[1]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([Subtask("a", (1,))], "part 1 needs itself"),
        ([Subtask("a", (2,)), Subtask("b", (3,)), Subtask("c", (1,))], "parts 1, 2 and 3 need each other"),
        ([Subtask("a"), Subtask("b", (5,))], "part 2 needs part 5, and there are 2"),
        ([Subtask("a", (0,))], "part 1 needs part 0"),
        ([Subtask("a", (2,)), Subtask("b")], ""),
    ],
)
def test_circles_and_unknown_numbers_are_found(parts: list[Subtask], told: str) -> None:
    assert faults(parts).startswith(told) and bool(faults(parts)) == bool(told)


def test_the_model_plans_and_checks_in_the_words_of_its_style() -> None:
    asked: list[str] = []

    def answer(text: str, seed: int) -> str:
        asked.append(text)
        if "Divide" in text:
            return '{"subtasks": [{"text": "pears", "needs": []}, {"text": "sum", "needs": [1, 1]}]}'
        return " no" if "Result: bad" in text else " yes"

    style = load_style("react")
    policy = ModelPolicy(FunctionModel(answer), TOOLS, style, len, 9000, SamplingParams(max_tokens=200))
    planner = ModelPlanner(policy)
    assert planner.decompose("Count.", "It failed.") == [Subtask("pears"), Subtask("sum", (1,))]
    assert "Count." in asked[0] and "It failed." in asked[0]
    assert planner.check(Subtask("pears"), "4") == "" and "was judged not" in planner.check(Subtask("pears"), "bad")
    assert "says nothing" in planner.check(Subtask("pears"), " . ") and len(asked) == 3
    with pytest.raises(UserError, match="does not say how a task is divided"):
        ModelPlanner(ModelPolicy(FunctionModel(answer), TOOLS, load_style("bare"), len, 900))


def test_a_plan_goes_on_from_its_steps_alone() -> None:
    """As after an interruption: what is done is not done again."""
    policy = PlanPolicy(lambda task, news: [], lambda episodes: [Decision((Answer("x"),))])
    steps: list[Step] = [Task("t"), Plan(tuple(PLAN)), Action("part", {"number": 1}, 1), Observation("4", 1)]
    assert policy([steps])[0].steps == (Action("part", {"number": 2}, 2),)
