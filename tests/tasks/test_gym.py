import random
import sys
import time

import pytest

from clearhead.errors import UserError
from clearhead.tasks import knows, load
from clearhead.tasks.gym import BLOCK, GymTask, safe
from clearhead.tasks.task import StepChecked, Task, expected


def test_the_package_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(UserError, match=r"pip install 'clearhead\[gym\]'"):
        load("reasoning-gym:chain_sum")


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("(8-4)*6", "8*3"),
        ("3*x**2", "x**2*3"),
        ("sin(x)", "2*sin(x)"),
        ("Yes!", "No!"),
        ("a\nb | c", "d"),
        ("x" * 200, ""),
    ],
)
def test_safe_answers(answer, right):
    assert safe(answer, right)


@pytest.mark.parametrize(
    "answer",
    [
        *("9**9**9", "9 ** 9", "9^9^9", "(9*9)**99", "99999999!", "1<<999999999", "factorial(99999999)", "open ('x')"),
        *("__import__('os').system('x')", "().__class__", "[0]*999999999", "'a'*999999999", "9*[0]", "(0,)*99999999"),
        *("lambda: 0", "x" * 1000),
    ],
)
def test_answers_that_no_verifier_sees(answer):
    assert not safe(answer, "10*(8 - 5) - 6")


@pytest.fixture(scope="module", params=["chain_sum", "gsm_symbolic", "puzzle24", "countdown"])
def task(request):
    pytest.importorskip("reasoning_gym", reason="needs the extra gym")
    return load(f"reasoning-gym:{request.param}")


@pytest.fixture(scope="module")
def drawn(task):
    few = 1 if task.generator == "puzzle24" else 12  # its generator takes its time
    return {split: task.problems(split, few, 0) for split in ("train", "valid", "test")}


def test_problems_and_their_answers(task, drawn):
    assert isinstance(task, Task)
    assert not isinstance(task, StepChecked)
    for problem in [problem for problems in drawn.values() for problem in problems]:
        assert "\n" not in problem
        assert task.parse(problem) == problem
        assert knows(task, problem)
        steps = task.solve(problem, random.Random(0))
        assert len(steps) == 1
        assert task.check(problem, task.answer(problem, steps))
        assert expected(task, problem) == steps[0]


def test_wrong_answers(task, drawn):
    before = time.perf_counter()
    right = task.solve(drawn["test"][0], random.Random(0))[0]
    for answer in (
        "",
        " ",
        "garbage",
        right + "1",
        "no " + right[1:] + "7",
        "9**9**9",
        "(" * 10_000,
        "1" * 100_000,
        "٣",
        "9!" * 9,
    ):
        assert not task.check(drawn["test"][0], answer), answer
    assert time.perf_counter() - before < 5


def test_splits(task, drawn):
    train, valid, test = (set(drawn[split]) for split in ("train", "valid", "test"))
    assert len(valid) == len(test) == len(drawn["train"])
    assert not train & valid
    assert not train & test
    assert not valid & test
    assert GymTask(task.generator).problems("valid", 1, 0) == drawn["valid"][:1]
    assert task.problems("train", 1, 1) != drawn["train"][:1]


def test_the_splits_share_nothing_even_where_texts_repeat():
    pytest.importorskip("reasoning_gym")
    task = load("reasoning-gym:chain_sum", min_terms=2, max_terms=2, min_digits=1, max_digits=1)
    train, valid, test = (set(task.problems(split, 250, 0)) for split in ("train", "valid", "test"))
    assert len(train) < 200
    assert len(train | valid | test) == len(train) + len(valid) + len(test)


def test_a_problem_that_was_not_drawn():
    pytest.importorskip("reasoning_gym")
    task = GymTask("chain_sum")
    problem = task.parse(" 1 +\n1 = ")
    assert problem == "1 + | 1 ="
    assert not knows(task, problem)
    assert expected(task, problem) is None
    assert not task.check(problem, "2")
    assert task.answer(problem, ["2"]) == "2"
    assert task.answer(problem, []) is None
    with pytest.raises(UserError, match="its answer is not known"):
        task.solve(problem, random.Random(0))
    with pytest.raises(UserError, match="empty"):
        task.parse(" ")


def test_answers_of_several_lines():
    pytest.importorskip("reasoning_gym")
    task = GymTask("spiral_matrix")
    grid = GymTask("rotate_matrix")
    for each in (task, grid):
        for problem in each.problems("train", 3, 0):
            (step,) = each.solve(problem, random.Random(0))
            assert "\n" not in step
            assert each.check(problem, step)
    assert " | " in step


def test_holding_out(tmp_path):
    pytest.importorskip("reasoning_gym")
    (tmp_path / "held.txt").write_text("1 + 1 =\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"held.txt, line 1: reasoning-gym:chain_sum does not know the answer"):
        load("reasoning-gym:chain_sum", holdout=tmp_path / "held.txt")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("chain_sums", {}, "has no generator 'chain_sums'; did you mean 'chain_sum'"),
        ("chain_sum", {"terms": 3}, "terms"),
        ("chain_sum", {"min_terms": -3}, "min_terms must be positive"),
        ("chain_sum", {"size": 10}, "size"),
        ("chain_sum", {"seed": 10}, "seed"),
    ],
)
def test_a_wrong_name_or_option(name, options, message):
    pytest.importorskip("reasoning_gym")
    with pytest.raises(UserError, match=message) as error:
        load(f"reasoning-gym:{name}", **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["graph_color", "propositional_logic"])
def test_generators_that_note_only_an_example_of_an_answer(name):
    pytest.importorskip("reasoning_gym")
    task = GymTask(name)
    for problem in task.problems("train", 5, 0):
        (step,) = task.solve(problem, random.Random(0))
        assert task.check(problem, step)
        assert not task.check(problem, step[:-2])


def test_another_version_of_the_generator_is_told(tmp_path):
    pytest.importorskip("reasoning_gym")
    (problem,) = GymTask("chain_sum").kept_in(tmp_path).problems("train", 1, 0)
    other = GymTask("chain_sum", {"min_digits": 3, "max_digits": 3}).kept_in(tmp_path)
    with pytest.raises(UserError, match=r"makes other problems than when .* was drawn"):
        other.check(problem, "1")


def test_blocks_of_a_generator_share_no_problems():
    pytest.importorskip("reasoning_gym")
    task = load("reasoning-gym:chain_sum", min_terms=4, max_terms=4, min_digits=3, max_digits=3)
    problems = task.problems("train", 2 * BLOCK, 0)
    assert len(set(problems)) == 2 * BLOCK


def test_a_seed_that_a_generator_gives_up_on_is_passed_over():
    pytest.importorskip("reasoning_gym")
    task = GymTask("chain_sum")
    entry, asked = task._entry, []

    def sometimes(place):
        asked.append(place)
        if len(asked) % 3 == 0:
            raise RuntimeError("could not find a cell after 1000 attempts")
        return entry(place)

    task.__dict__["_entry"] = sometimes
    assert len(task.problems("valid", 20, 0)) == 20


def test_problems_that_programs_draw_at_random_are_the_same_every_time(capsys):
    pytest.importorskip("reasoning_gym")
    one, other = GymTask("codeio"), GymTask("codeio")
    for place in (43, 50, 87):
        assert one._entry(place)["question"] == other._entry(place)["question"]
    state = random.getstate()
    assert one._entry(51) and random.getstate() == state and capsys.readouterr().out == ""
