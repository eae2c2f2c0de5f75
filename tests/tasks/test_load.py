import random

import pytest

from clearhead.errors import UserError
from clearhead.tasks import Task, available, knows, load, read_problems


def test_available_tasks_are_told_in_one_line_each():
    names = [name for name, _ in available()]
    assert names == [
        "multiplication",
        "game24",
        "countdown",
        "blocksworld",
        "market",
        "file:PATH",
        "python:PATH",
        "hub:OWNER/NAME",
        "reasoning-gym:NAME",
    ]
    assert all(statement and "\n" not in statement and len(statement) < 90 for _, statement in available())


@pytest.mark.parametrize("name", ["multiplication", "game24", "countdown", "blocksworld", "market"])
def test_the_examples_in_the_statements_are_problems(name):
    task = load(name)
    assert isinstance(task, Task)
    assert task.name == name
    problem = task.parse(task.statement.rpartition(": ")[2])
    assert knows(task, problem)
    assert task.check(problem, task.answer(problem, task.solve(problem, random.Random(0))))


@pytest.mark.parametrize(
    "name", ["", "nope", "file", "file:", "game24:", "game24:x", "Game24", "reasoning-gym", "reasoning-gym:", ":"]
)
def test_there_is_no_such_task(name):
    with pytest.raises(UserError, match=r"there is no task .*countdown, file:PATH, game24"):
        load(name)


def test_the_nearest_name_is_told():
    with pytest.raises(UserError, match="did you mean 'game24'"):
        load("gane24")


@pytest.mark.parametrize("option", ["path", "held_out", "nothing"])
def test_options_that_a_task_has_not(option):
    with pytest.raises(UserError, match=f"{option} is not a setting"):
        load("game24", **{option: "x"})


def test_read_problems(tmp_path):
    (tmp_path / "mine.txt").write_text("# mine\nUse 10 6 5 4 to make 24\n4 5 6 10\n", encoding="utf-8")
    assert read_problems(tmp_path / "mine.txt", load("game24")) == ("4 5 6 10",)
    with pytest.raises(UserError, match="line 2: 'Use 10 6 5 4"):
        read_problems(tmp_path / "mine.txt", load("multiplication"))
