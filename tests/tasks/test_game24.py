import random
from collections import Counter

import pytest

from clearhead.errors import UserError
from clearhead.tasks import load
from clearhead.tasks.game24 import Game24, solvable
from clearhead.tasks.numbers import evaluate
from clearhead.tasks.task import StepChecked, Task

TASK = Game24()


def is_of_cards(problem):
    return max(map(int, problem.split())) <= 13


@pytest.fixture(scope="module")
def splits():
    found = {split: TASK.problems(split, 10_000, 0) for split in ("valid", "test")}
    return found | {"train": TASK.problems("train", 3_000, 0)}


def test_protocols():
    assert isinstance(TASK, Task)
    assert isinstance(TASK, StepChecked)


def test_the_1362_puzzles_fall_into_three_splits(splits):
    cards = {problem for problem in splits["train"] if is_of_cards(problem)}
    assert (len(cards), len(splits["valid"]), len(splits["test"])) == (1062, 200, 100)
    assert len(cards | set(splits["valid"]) | set(splits["test"])) == 1362
    assert not set(splits["train"]) & set(splits["valid"] + splits["test"])
    assert {"4 5 6 10", "4 9 10 13"} <= set(splits["test"])
    assert all(solvable(problem) for problems in splits.values() for problem in problems)
    assert all(problem == " ".join(map(str, sorted(map(int, problem.split())))) for problem in splits["train"])


def test_the_validation_puzzles_never_change(splits):
    assert sorted(splits["valid"])[:3] == ["1 1 10 12", "1 1 2 6", "1 1 2 7"]


def test_the_mixture(splits):
    assert sum(map(is_of_cards, splits["train"])) / 3_000 == pytest.approx(0.5, abs=0.03)
    relatives = [problem for problem in splits["train"] if not is_of_cards(problem)]
    assert max(int(problem.split()[-1]) for problem in relatives) == 24
    assert len(set(relatives)) == len(relatives)
    assert all(map(is_of_cards, Game24(relatives=0).problems("train", 100, 0)))
    assert not any(map(is_of_cards, Game24(relatives=1, train_max=14).problems("train", 100, 0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_max": 12}, "13 to 50"),
        ({"train_max": 51}, "13 to 50"),
        ({"train_max": 13}, "set relatives=0"),
        ({"relatives": 1.1}, "0 to 1"),
        ({"relatives": -0.1}, "0 to 1"),
        ({"relatives": "half"}, "relatives"),
        ({"lots": 1}, "lots is not a setting"),
        ({"held_out": ["4 5 6 10"]}, "use holdout"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        load("game24", **options)
    assert load("game24", train_max=13, relatives=0).problems("train", 2, 0)


def test_problems_are_the_same_for_the_same_seed():
    for split in ("train", "valid", "test"):
        assert TASK.problems(split, 40, 3) == TASK.problems(split, 40, 3) != TASK.problems(split, 40, 4)
    assert TASK.problems("test", 10, 0) == TASK.problems("test", 100, 0)[:10]


def test_solutions_are_right_at_every_step(splits):
    rng = random.Random(0)
    for problem in splits["test"][:50] + splits["train"][:150]:
        steps = TASK.solve(problem, rng)
        assert len(steps) == 3
        assert not any("=-" in step or ":-" in step or " -" in step for step in steps)
        assert TASK.check(problem, TASK.answer(problem, steps))
        assert all(TASK.check_step(problem, steps[:k]) for k in range(4))


def test_solve_draws_uniformly_from_every_way():
    rng = random.Random(0)
    drawn = Counter(TASK.solve("3 3 8 8", rng)[0] for _ in range(20))
    assert set(drawn) == {"8÷3=8/3:8/3 3 8"}  # the famous one has a single way
    drawn = Counter(tuple(TASK.solve("2 3 7 13", rng)) for _ in range(4000))
    firsts = Counter(way[0] for way in drawn)
    assert len(drawn) == 7 and max(firsts.values()) == 3  # three of the seven begin alike
    assert min(drawn.values()) > 0.6 * 4000 / len(drawn)
    assert max(drawn.values()) < 1.4 * 4000 / len(drawn)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("4 5 6 10", "4 5 6 10"),
        ("10, 6,5 and 4", "4 5 6 10"),
        ("Use 4 5 6 10 to make 24", "4 5 6 10"),
        ("make 24 from 24, 1, 1, 1", "1 1 1 24"),
        ("4 5 6 10 = 24", "4 5 6 10"),
        ("4 5 6 10 -> 24", "4 5 6 10"),
        ("04 5 6 10", "4 5 6 10"),
    ],
)
def test_parse(text, problem):
    assert TASK.parse(text) == problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a puzzle; write four whole numbers from 1 to 24"),
        ("4 5 6", "is not a puzzle"),
        ("4 5 6 10 11", "is not a puzzle"),
        ("4 5 6 10 24", "is not a puzzle"),
        ("4.5 6 10", "is not a puzzle"),
        ("1.5 4 6 10", "is not a puzzle"),
        ("-4 5 6 10", "is not a puzzle"),
        ("4 5 -6 10", "is not a puzzle"),
        ("1/2 5 6", "is not a puzzle"),
        ("٤ ٥ ٦ ١٠", "is not a puzzle"),
        ("9" * 5000 + " 1 2 3", "is not a puzzle"),
        ("0 5 6 10", "0 is out of range; the four numbers must be 1 to 24"),
        ("4 5 6 25", "25 is out of range"),
        ("1 1 1 1", "1 1 1 1 cannot make 24"),
    ],
)
def test_parse_refuses(text, message):
    with pytest.raises(UserError, match=message):
        TASK.parse(text)


def test_answer_of_the_worked_example():
    steps = ["10-4=6:5 6 6", "5×6=30:6 30", "30-6=24"]
    assert TASK.answer("4 5 6 10", steps) in ("5×(10-4)-6", "5×6-(10-4)")
    assert TASK.answer("4 5 6 10", steps[:2]) is None
    assert TASK.answer("4 5 6 10", []) is None
    assert not TASK.check("4 5 6 10", TASK.answer("4 5 6 10", [*steps, steps[-1]]))
    assert (
        TASK.answer("4 5 6 10", ["10-4=6:5 6 6", "5×6=30:6 30", "30+6=36"]) is not None
    )  # arrived, at the wrong place
    assert not TASK.check("4 5 6 10", TASK.answer("4 5 6 10", ["10-4=6:5 6 6", "5×6=30:6 30", "30+6=36"]))


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        (["10-4=6:5 6 6", "5×6=30:6 30", "30-5=24"], "30-5=24"),  # takes a number that is not there
        (["10-4=7:5 6 7", "5×7=35:6 35", "35-6=24"], "5×(10-4)-6"),  # wrong on the way, right as it stands
        (["10+4=18:5 6 18", "18+6=24:5 24", "24-5=24"], "10+4+6-5"),  # bent to end in 24
        (["5÷0=6:4 6 6 10", "4+6=24"], "5÷0=6"),
        (["nonsense"], "nonsense"),
    ],
)
def test_an_answer_is_what_was_written_not_whether_it_is_true(steps, answer):
    """A strategy chooses among answers; one that is missing only where it is wrong would tell it the truth."""
    given = TASK.answer("4 5 6 10", steps)
    assert given is not None
    assert TASK.check("4 5 6 10", given) == (answer == "5×(10-4)-6")
    if "÷0" not in answer:
        assert given == answer


def test_a_solution_may_take_steps_that_ours_never_do():
    steps = ["4-10=-6:-6 5 6", "5×-6=-30:-30 6", "-30+6=-24"]
    assert evaluate(TASK.answer("4 5 6 10", steps))[0] == -24
    assert TASK.check_step("4 5 6 10", steps[:1])
    assert not TASK.check_step("4 5 6 10", steps)
    steps = ["4-10=-6:-6 5 6", "6×5=30:-6 30", "-6+30=24"]
    assert all(TASK.check_step("4 5 6 10", steps[:k]) for k in range(4))
    assert TASK.check("4 5 6 10", TASK.answer("4 5 6 10", steps))


@pytest.mark.parametrize("at", [0, 1, 2])
def test_mutated_steps_are_rejected(at, splits):
    rng = random.Random(1)
    for problem in splits["test"][:20]:
        steps = TASK.solve(problem, rng)
        for mutant in mutants(steps[at]):
            wrong = [*steps[:at], mutant, *steps[at + 1 :]]
            assert not TASK.check_step(problem, wrong[: at + 1]), wrong


def mutants(step):
    move, colon, rest = step.partition(":")
    left, _, result = move.partition("=")
    yield f"{left}={result}1{colon}{rest}"  # another result
    yield f"1{step}"  # another number
    yield f"{left.replace('-', '+') if '-' in left else left + '+1'}={result}{colon}{rest}"
    yield f"{step} 1"  # a number too many
    yield move if rest else f"{move}:24"  # closed too early, or not closed
    yield step.replace("=", "==")
    yield ""
    if " " in rest:
        yield f"{left}={result}:{rest.rpartition(' ')[0]}"  # a number is lost


def test_check_step_knows_a_dead_end():
    assert TASK.check_step("4 5 6 10", ["10-4=6:5 6 6"])
    assert not TASK.check_step("4 5 6 10", ["6-5=1:1 4 10"])
    assert not TASK.check_step("4 5 6 10", ["10+4=14:5 6 14"])
    assert TASK.check_step("2 4 6 12", ["2-4=-2:-2 6 12"])  # 12-6×(-2), through more negative numbers
    assert not TASK.check_step("4 5 6 10", ["10×6=60:4 5 60", "60×5=300:4 300"])
    assert not TASK.check_step("4 5 6 10", ["10-4=6:5 6 6", "5×6=30:6 30", "30+6=36"])


@pytest.mark.parametrize(
    "answer",
    [
        "(10-4)×5-6",
        "(10 - 4) * 5 - 6 = 24",
        "5*(10-4)-6",
        "(10−4)x5–6",
        "((10)-(4))·5-6",
        " (10-4)×5-6 = 24 ",
        "5×6-(10-4)",
    ],
)
def test_check_accepts(answer):
    assert TASK.check("4 5 6 10", answer)


@pytest.mark.parametrize(
    "answer",
    [
        *("", "24", "garbage", "(10-4)×5-6=23", "(10-4)×5-6=24=24", "24=(10-4)×5-6", "= 24"),
        *("4×6", "(10-4)×5-6+4-4", "(10-4)×4", "10+10+4", "(10-4)×5-5", "4+5+6+10", "6×4×10÷10"),  # other numbers
        *("(10-4)×5-6)", "((10-4)×5-6", "10-4×5-6", "(10-4)5-6", "(1 0-4)×5-6", "(10-4)×5-6+0", "46-10×5"),
        *("9**9**9", "9**9**9 = 24", "(" * 10_000 + "24" + ")" * 10_000, "9" * 10_000, "(١٠-4)×5-6", "1÷0", "4!"),
    ],
)
def test_check_rejects(answer):
    assert not TASK.check("4 5 6 10", answer)


def test_fractions():
    assert TASK.check("3 3 8 8", "8/(3-8/3)")
    steps = ["8÷3=8/3:8/3 3 8", "3-8/3=1/3:1/3 8", "8÷1/3=24"]
    assert TASK.answer("3 3 8 8", steps) == "8÷(3-8÷3)"
    assert TASK.check_step("3 3 8 8", ["8÷3=16/6:16/6 3 8"])  # not in lowest terms, and right
    assert not TASK.check_step("3 3 8 8", ["8÷3=2:2 3 8"])


def test_holding_out(tmp_path):
    held = {"1 2 3 4", "1 12 13 14"}
    drawn = Game24(train_max=14).problems("train", 3_000, 0)
    assert held <= set(drawn)
    (tmp_path / "held.txt").write_text("# two\n1 2 3 4\nUse 14, 13, 1, 12\n", encoding="utf-8")
    task = load("game24", holdout=tmp_path / "held.txt", train_max=14)
    assert set(task.problems("test", 10, 0)) == held
    drawn = task.problems("train", 3_000, 0)
    assert len(set(drawn)) > 1300
    assert not held & set(drawn + task.problems("valid", 100, 0))
    (tmp_path / "held.txt").write_text("1 2 3 4\n1 1 1 1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"held.txt, line 2: 1 1 1 1 cannot make 24"):
        load("game24", holdout=tmp_path / "held.txt")
