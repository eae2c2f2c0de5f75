import random
from itertools import product

import pytest

from clearhead.errors import UserError
from clearhead.tasks import load
from clearhead.tasks.multiplication import Multiplication
from clearhead.tasks.task import StepChecked, Task

TASK = Multiplication()
ALL = 10**6


@pytest.fixture(scope="module")
def splits():
    """Every problem of the three splits, training without single lines."""
    plain = Multiplication(practice=0)
    found = {split: set(TASK.problems(split, ALL, 0)) for split in ("valid", "test")}
    return found | {
        "train": set(plain.problems("train", 180_000, 0))
    }  # as many draws as two passes over the larger pool


def test_protocols():
    assert isinstance(TASK, Task)
    assert isinstance(TASK, StepChecked)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("What is 17 × 24?", "17 × 24"),
        ("17*24", "17 × 24"),
        ("17 x 24", "17 × 24"),
        ("17 × 24", "17 × 24"),
        ("what's 17 times 24", "17 × 24"),
        ("  What's 17 multiplied by 24 ?  ", "17 × 24"),
        ("17 X 24 =", "17 × 24"),
        ("Calculate 999 · 99.", "999 × 99"),
        ("24 × 170", "170 × 24"),
        ("340+68", "340+68"),
        ("17×20+17×4", "17×20+17×4"),
    ],
)
def test_parse(text, problem):
    assert TASK.parse(text) == problem
    assert TASK.parse(problem) == problem


@pytest.mark.parametrize("text", ["9 × 24", "17 × 9", "1000 × 10", "170 × 240", "10 × 1000", "0 × 0", "1" * 20 + "×10"])
def test_parse_out_of_range(text):
    with pytest.raises(UserError, match="10 to 999 and the second 10 to 99"):
        TASK.parse(text)


@pytest.mark.parametrize(
    "text", ["", "17", "17 + 24 = x", "17 × -24", "1.7 × 24", "17 × 24 × 3", "١٧ × ٢٤", "hello", "9" * 10_000]
)
def test_parse_refuses(text):
    with pytest.raises(UserError, match="is not a multiplication; write it like 17 × 24"):
        TASK.parse(text)


def test_the_steps():
    rng = random.Random(0)
    assert TASK.solve("17 × 24", rng) == ["17×24=17×20+17×4", "=340+68", "=408"]
    assert TASK.solve("17 × 30", rng) == ["17×30=17×30+17×0", "=510+0", "=510"]
    assert TASK.solve("17×20+17×4", rng) == ["=340+68", "=408"]
    assert TASK.solve("340+68", rng) == ["=408"]


def test_every_problem_is_in_one_split_and_so_is_its_mirror_image(splits):
    pairs = {f"{a} × {b}" for a, b in product(range(10, 1000), range(10, 100))}
    assert splits["train"] | splits["valid"] | splits["test"] == pairs
    assert sum(map(len, splits.values())) == len(pairs)
    for split in ("valid", "test"):
        assert len(splits[split]) / len(pairs) == pytest.approx(0.05, abs=0.005)
    where = {problem: split for split, problems in splits.items() for problem in problems}
    for a, b in product(range(10, 100), repeat=2):
        assert where[f"{a} × {b}"] == where[f"{b} × {a}"], (a, b)


def test_the_shown_problem_is_for_the_test(splits):
    assert {"17 × 24", "24 × 17"} <= splits["test"]
    assert not {"17 × 24", "24 × 17"} & (splits["train"] | splits["valid"])


def test_problems_are_the_same_for_the_same_seed():
    for split in ("train", "valid", "test"):
        assert TASK.problems(split, 50, 3) == TASK.problems(split, 50, 3) != TASK.problems(split, 50, 4)
    assert len(set(TASK.problems("test", 300, 0))) == 300
    with pytest.raises(UserError, match="split"):
        TASK.problems("dev", 1, 0)


def test_the_mixture():
    drawn = Multiplication(practice=0.25).problems("train", 4000, 0)
    lines = [problem for problem in drawn if "+" in problem]
    assert len(lines) / 4000 == pytest.approx(0.25, abs=0.03)
    assert sum("×" in line for line in lines) / len(lines) == pytest.approx(0.5, abs=0.06)
    for split in ("valid", "test"):
        assert sum(len(problem) == len("17 × 24") for problem in TASK.problems(split, 200, 0)) == 100
    with pytest.raises(UserError, match="0 to 1"):
        Multiplication(practice=1.5)


def test_solutions_are_right_at_every_step():
    rng = random.Random(0)
    for problem in TASK.problems("train", 400, 0) + TASK.problems("test", 100, 0):
        steps = TASK.solve(problem, rng)
        assert TASK.parse(problem) == problem
        assert TASK.check(problem, TASK.answer(problem, steps))
        assert all(TASK.check_step(problem, steps[:k]) for k in range(len(steps) + 1))


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        ([], None),
        (["17×24=17×20+17×4"], None),
        (["17×24=17×20+17×4", "=340+68"], None),
        (["17×24=17×20+17×4", "=340+68", "=408"], "408"),
        (["17×24=409"], "409"),
        (["408"], "408"),
        (["=408="], None),
        (["=4 08"], None),
        (["=-408"], None),
        (["=٤٠٨"], None),
        (["=" + "9" * 5000], None),
        ([""], None),
    ],
)
def test_answer(steps, answer):
    assert TASK.answer("17 × 24", steps) == answer


@pytest.mark.parametrize(
    "answer", ["409", "", " ", "-408", "408.0", "4e2", "17×24", "٤٠٨", "9" * 10_000, "0x198", "408 408", "²"]
)
def test_check_rejects(answer):
    assert TASK.check("17 × 24", "408")
    assert not TASK.check("17 × 24", answer)


@pytest.mark.parametrize(
    "steps",
    [
        ["17×24=17×20+17×5"],
        ["17×24=17×20+17×4", "=340+69"],
        ["17×24=17×20+17×4", "=340+68", "=409"],
        ["17×24=17×20+17×4", "340+68", "=408"],
        ["17×25=17×20+17×5"],
        ["=340+68"],
        ["17×24"],
        ["17×24="],
        ["17×24==408"],
        ["17×24=9**9**9"],
        ["17×24=" + "(" * 10_000],
        [""],
        ["="],
    ],
)
def test_check_step_rejects(steps):
    assert not TASK.check_step("17 × 24", steps)


def test_holding_out(tmp_path):
    line = Multiplication(practice=1).problems("train", 1, 0)[0]
    (tmp_path / "held.txt").write_text(f"12 × 34\n56 times 78\n{line}\n", encoding="utf-8")
    task = load("multiplication", holdout=tmp_path / "held.txt", practice=0)
    assert set(task.problems("test", 10, 0)) == {"12 × 34", line, "56 × 78"}
    rest = set(task.problems("train", 180_000, 0)) | set(task.problems("valid", ALL, 0))
    assert not {"12 × 34", "34 × 12", "56 × 78", "78 × 56"} & rest
    assert len(rest) > 80_000
    lines = load("multiplication", holdout=tmp_path / "held.txt", practice=1).problems("train", 1000, 0)
    assert line not in lines
    (tmp_path / "held.txt").write_text("12 × 34\n1 × 1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"held.txt, line 2: 1 × 1 is out of range"):
        load("multiplication", holdout=tmp_path / "held.txt")
