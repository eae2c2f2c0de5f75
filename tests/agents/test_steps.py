"""Steps there and back through JSON, and lines that nobody wrote as a step."""

import json
from typing import Any

import pytest

from clearhead.agents.steps import (
    KINDS,
    Action,
    Answer,
    Expectation,
    Observation,
    Plan,
    Step,
    Subtask,
    Summary,
    Task,
    Thought,
    from_plain,
    to_plain,
)
from clearhead.errors import UserError

STEPS: list[Step] = [
    Task("add"),
    Plan((Subtask("look up"), Subtask("add", (0,)))),
    Plan(()),
    Thought("é\x1b\u2028"),
    Action("calculator", {"expression": "1 + 2", "more": [1, None, {"a": True}]}, 3),
    Expectation("4", 3),
    Observation("3", 3),
    Observation("no", 4, False),
    Summary("so far", 0, 5),
    Answer(""),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_there_and_back(step: Step) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(step)))) == step


def test_every_kind_is_tried() -> None:
    assert {type(step) for step in STEPS} == set(KINDS.values())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "step = None is none of task, plan"),
        ({"step": "dance"}, "'dance' is none of"),
        ({"step": ["task"]}, "is none of"),
        ({"step": "task"}, "has other fields than"),
        ({"step": "task", "text": "a", "more": 1}, "has other fields than text, more"),
        ({"step": "task", "text": 5}, "text = 5 of a task is no str"),
        ({"step": "action", "tool": "a", "arguments": [], "id": 1}, "arguments"),
        ({"step": "action", "tool": "a", "arguments": {}, "id": "1"}, "id = '1'"),
        ({"step": "observation", "text": "a", "id": 1, "ok": 1}, "ok = 1"),
        ({"step": "plan", "subtasks": 5}, "a plan has other fields"),
        ({"step": "plan", "subtasks": [["a"]]}, "a plan has other fields"),
        ({"step": "plan", "subtasks": [["a", ["x"]]]}, "a plan has other fields"),
        ({"step": "plan"}, "a plan has other fields"),
        ([], "line 3: "),
        (5, "line 3: "),
        (None, "line 3: "),
    ],
)
def test_what_is_no_step_is_told_in_one_line(data: Any, said: str) -> None:
    with pytest.raises(UserError) as error:
        from_plain(data, "line 3")
    assert str(error.value).startswith("line 3: ") and said in str(error.value) and "\n" not in str(error.value)
