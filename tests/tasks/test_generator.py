import random
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.tasks import knows, load
from clearhead.tasks.drawn import KeepsDrawn
from clearhead.tasks.generator import SHARE
from clearhead.tasks.splits import split_of
from clearhead.tasks.task import StepChecked, Task, expected

SUMS = """\
import random

def problems(split, seed):
    rng = random.Random(seed)
    while True:
        a, b = rng.randrange(1000), rng.randrange(1000)
        yield {"problem": f"{a}+{b}", "steps": [f"{a}+{b}={a + b}"], "answer": a + b}
"""


@pytest.fixture
def make(tmp_path):
    def make(text, name="mine.py", **options):
        (tmp_path / name).write_text(text)
        return load(f"python:{tmp_path / name}", **options)

    return make


def test_the_whole_of_it(make, tmp_path):
    task = make(SUMS)
    assert isinstance(task, Task)
    assert isinstance(task, KeepsDrawn)
    assert not isinstance(task, StepChecked)
    found = {split: task.problems(split, 60, 0) for split in ("train", "valid", "test")}
    for split, problems in found.items():
        assert len(set(problems)) == 60
        assert {split_of(problem, SHARE, SHARE) for problem in problems} == {split}
        assert task.problems(split, 10, 0) == problems[:10]
        assert task.problems(split, 60, 1) != problems
        for problem in problems:
            steps = task.solve(problem, random.Random(0))
            assert task.check(problem, task.answer(problem, steps))
            assert not task.check(problem, "0.5")
            assert expected(task, problem) == str(sum(map(int, problem.split("+"))))
            assert knows(task, problem)
    assert not knows(task, "1+1")
    assert not task.check("1+1", "2")
    with pytest.raises(UserError, match=r"has not drawn the problem '1\+1'"):
        task.solve("1+1", random.Random(0))


def test_another_process_knows_what_was_drawn(make, tmp_path):
    task = make(SUMS).kept_in(tmp_path / "drawn")
    problems = task.problems("train", 50, 7)
    other = load(task.name).kept_in(tmp_path / "drawn")
    assert all(other.check(problem, expected(task, problem)) for problem in problems)
    assert [other.solve(problem, random.Random(0)) for problem in problems] == [
        task.solve(problem, random.Random(0)) for problem in problems
    ]
    fresh = make(SUMS).problems("train", 120, 7)
    for n in range(60, 121, 10):  # goes on behind what was noted
        assert load(task.name).kept_in(tmp_path / "drawn").problems("train", n, 7) == fresh[:n]
    assert fresh[:50] == problems


def test_its_own_check_gets_the_expected_answer(make):
    check = "def check(problem, answer, expected):\n    return answer == expected + '!' or answer == expected\n"
    task = make(SUMS + check)
    (problem,) = task.problems("test", 1, 0)
    right = expected(task, problem)
    assert task.check(problem, right + "!")
    assert not task.check(problem, right + "?")
    assert not make(SUMS + check, checker="number").check(problem, right + "!")
    assert task.same("new", "7!", "7")


def test_tuples_without_steps_and_an_end(make):
    task = make("def problems(split, seed):\n    for i in range(60):\n        yield f'after {i}?', i + 1\n")
    found = {split: task.problems(split, 200, 0) for split in ("train", "valid", "test")}
    assert [len(found[split]) == 200 for split in found] == [True, False, False]
    assert sum(len(set(problems)) for problems in found.values()) == 60
    assert set(found["train"][:20]) == set(task.problems("train", 20, 0))
    assert task.solve(found["test"][0], random.Random(0)) == [expected(task, found["test"][0])]


def test_explanations_get_the_answer_as_a_last_step(make):
    text = "def problems(split, seed):\n    for i in range(60):\n"
    task = make(text + "        yield f'after {i}?', i + 1, 'One more.\\nThat is it.'\n")
    (problem,) = task.problems("test", 1, 0)
    assert task.solve(problem, random.Random(0)) == ["One more.", "That is it.", expected(task, problem)]


def test_the_common_generator_is_repeatable_too(make):
    text = "from random import randrange\ndef problems(split, seed):\n    while True:\n        a = randrange(9999)\n"
    text += "        yield str(a), a\n"
    problems = make(text).problems("train", 300, 3)
    assert make(text).problems("train", 300, 3) == problems
    text += "def check(problem, answer, expected):\n    return randrange(9) < 9 and answer == expected\n"
    task = make(text)
    assert task.problems("train", 300, 3) == problems
    assert not task.check(problems[0], "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has no function problems"),
        ("1 / 0", "fails when it is loaded: line 1: ZeroDivisionError"),
        ("def problems(seed): yield 1", r"problems in .* fails for the split 'train': TypeError"),
        ("def problems(split, seed): return 3", "gave 3; yield one problem after the other"),
        ("def problems(split, seed):\n    yield 3", r"problems in .* gave 3; give \{\"problem\""),
        ("def problems(split, seed):\n    yield 'a', 'b', [], 4", r"gave \('a', 'b', \[\], 4\)"),
        ("def problems(split, seed):\n    yield {'question': 'a'}", "gave .*there is no 'problem' among 'question'"),
        ("def problems(split, seed):\n    yield 'a', ''", "gave .*answer is empty"),
        ("def problems(split, seed):\n    yield 'a', 'b'\n    [][1]", "fails while it draws: line 3: IndexError"),
        ("def problems(split, seed): return []", "gave nothing for 'train' and the seed 0"),
        (
            "def problems(split, seed):\n    yield 'a', 'b', ['=c']\n" + "    yield 'd', 'e', ['=e']",
            "'a': the last step",
        ),
        (
            "import os\ndef problems(split, seed):\n    yield 'a', os.urandom(4).hex()",
            "gives other problems for the same",
        ),
        (
            "def problems(split, seed):\n    yield 'a', 'b'\ndef check(p, a): return a == 'c'",
            "'a': the answer 'b' fails",
        ),
    ],
)
def test_a_file_that_is_no_generator(make, text, message):
    with pytest.raises(UserError, match=message) as error:
        make(text)
    assert "\n" not in str(error.value)


def test_a_split_that_never_comes(make):
    def never(split):
        return next(text for text in map(str, range(999)) if split_of(text, SHARE, SHARE) != split)

    text = f"def problems(split, seed):\n    while True:\n        yield '{never('test')}', '1'\n"
    task = make(text)
    with pytest.raises(UserError, match="gave no problem that falls to test; let problems give more different ones"):
        task.problems("test", 5, 0)


def test_a_later_mistake_is_told_with_its_problem(make):
    task = make("def problems(split, seed):\n    for i in range(99):\n        yield f'{i}?', i, [f'={i - (i > 70)}']\n")
    with pytest.raises(UserError, match=r"problems in .*'71\?': the last step '=70' does not give the answer '71'"):
        task.problems("train", 90, 0)


def test_an_endless_silence_is_ended(make, monkeypatch):
    monkeypatch.setattr("clearhead.tasks.generator.DRAW_SECONDS", 2.0)
    with pytest.raises(UserError, match="gave nothing for 2 s"):
        make("def problems(split, seed):\n    while True: pass\n    yield 1\n")


def test_the_example(tmp_path):
    path = Path(__file__).parents[2] / "examples" / "change.py"
    task = load(f"python:{path}")
    (problem,) = task.problems("test", 1, 0)
    assert task.check(problem, expected(task, problem))
    assert not task.check(problem, "1+1")
    assert not task.check(problem, "garbage")


@pytest.mark.parametrize("option", ["drawn", "path", "nothing"])
def test_options_that_it_has_not(make, option):
    with pytest.raises(UserError, match=f"{option} is not a setting"):
        make(SUMS, **{option: "x"})
