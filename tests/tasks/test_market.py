import json
import random

import pytest

from clearhead.errors import UserError
from clearhead.tasks import load
from clearhead.tasks.market import Market, called, table_of
from clearhead.tasks.task import CALL_END, StepChecked, Task, UsesTools

TASK = Market()
RNG = random.Random(0)


def test_protocols() -> None:
    assert isinstance(TASK, Task) and isinstance(TASK, StepChecked) and isinstance(TASK, UsesTools)
    assert load("market") == TASK


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_every_solution_is_right_and_all_its_calls_were_answered_so(split: str) -> None:
    problems = TASK.problems(split, 300, 1)
    assert len(set(problems)) == 300 and TASK.problems(split, 20, 1) == problems[:20]
    lookups = []
    for problem in problems:
        steps = TASK.solve(problem, RNG)
        *calls, answer = steps
        for step in calls:
            call, _, result = step.partition(CALL_END)
            assert TASK.respond(problem, call) == result
        assert TASK.answer(problem, steps) == answer and TASK.check(problem, answer)
        assert TASK.check_step(problem, steps) and TASK.parse(f"  {problem} ") == problem
        lookups.append(sum(step.startswith("lookup") for step in steps))
    assert set(lookups) == {2, 3, 4, 5}


def test_no_table_is_in_two_splits() -> None:
    tables = [{problem[:10] for problem in TASK.problems(split, 400, 0)} for split in ("train", "valid", "test")]
    assert not (tables[0] & tables[1] or tables[0] & tables[2] or tables[1] & tables[2])


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what do 3 kumozil and 12 sudake cost?", 3 * 25 + 12 * 24),
        ("how much is left of 900 after 2 olgefs and 5 hijo?", 900 - 2 * 37 - 5 * 34),
        ("how many kumozil, sudake and hijo are there?", 76 + 15 + 23),
        ("how much more is sudake than kumozil?", 24 - 25),
        ("what is all the kumozil and sudake worth?", 25 * 76 + 24 * 15),
    ],
)
def test_by_hand(question: str, answer: int) -> None:
    prices = {"kumozil": (25, 76), "sudake": (24, 15), "olgefs": (37, 62), "hijo": (34, 23)}
    assert {name: tuple(table_of("7f3a")[name].values()) for name in prices} == prices
    problem = TASK.parse(f"table 7f3a, {question}")
    assert TASK.check(problem, str(answer)) and not TASK.check(problem, str(answer + 1))
    assert TASK.expected(problem) == str(answer) and TASK.solve(problem, RNG)[-1] == str(answer)


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ('lookup {"item": "kumozil", "column": "stock"}', "76"),
        ('lookup {"item": "kumozil", "column": "weight"}', "error: no column weight"),
        ('lookup {"item": "nobody", "column": "price"}', "error: no item nobody"),
        ("lookup {}", "error: no item "),
        ("lookup kumozil", "error: no call"),
        ('lookup {"item": ', "error: no call"),
        ("lookup [1]", "error: no call"),
        ('buy {"item": "kumozil"}', "error: no call"),
        ('calculator {"expression": "(2+3)*4-1"}', "19"),
        ('calculator {"expression": "7/2"}', "7/2"),
        ('calculator {"expression": "2**99999"}', "error: no expression"),
        ('calculator {"expression": "1/0"}', "error: no expression"),
        ('calculator {"expression": 7}', "7"),
        ("calculator " + json.dumps({"expression": "(" * 9999}), "error: no expression"),
    ],
)
def test_what_tools_give(call: str, given: str) -> None:
    assert called(table_of("7f3a"), call) == given and "\n" not in given


def test_tools_are_for_the_markets_own_questions() -> None:
    assert TASK.respond("17 × 24", 'calculator {"expression": "1"}') is None


@pytest.mark.parametrize(
    "typed",
    ["17 × 24", "table 7f3a, what?", "table 7f3a, what do 3 nobody cost?", "table xyz, how many kumozil are there?"],
)
def test_what_is_no_question_is_told(typed: str) -> None:
    with pytest.raises(UserError):
        TASK.parse(typed)


def test_steps_that_lead_nowhere() -> None:
    problem = "table 7f3a, how much more is sudake than kumozil?"
    first = 'lookup {"item": "sudake", "column": "price"}→24'
    assert TASK.check_step(problem, [first])
    for wrong in (first.replace("→24", "→25"), 'lookup {"item": "x", "column": "price"}→error: no item x', "-2"):
        assert not TASK.check_step(problem, [wrong])
    assert not TASK.check_step(problem, [first, 'calculator {"expression": "24-26"}→-2'])
    assert TASK.answer(problem, [first]) is None and not TASK.check(problem, "twenty")
