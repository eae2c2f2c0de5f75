import random
from itertools import permutations, product

import pytest

from clearhead.errors import UserError
from clearhead.tasks import load
from clearhead.tasks.countdown import Countdown
from clearhead.tasks.numbers import fewest_moves, whole
from clearhead.tasks.splits import split_of
from clearhead.tasks.task import StepChecked, Task

TASK = Countdown()


@pytest.fixture(scope="module")
def splits():
    return {split: TASK.problems(split, 60, 0) for split in ("train", "valid", "test")}


def test_protocols():
    assert isinstance(TASK, Task)
    assert isinstance(TASK, StepChecked)


def made_by_three(numbers):
    """Every whole positive number that two or three of three numbers make, written out by hand."""

    def results(x, y):
        if x is not None and y is not None:
            yield from (x + y, x * y)
            if x > y:
                yield x - y
            if x % y == 0:
                yield x // y

    found = set()
    for a, b, c in permutations(numbers):
        for first in results(a, b):
            found |= {first, *results(first, c), *results(c, first)}
    return found


def test_solvable_agrees_with_brute_force():
    for numbers in product((2, 3, 7), (5, 8), (12, 25, 3)):
        made = made_by_three(numbers) | set(numbers)
        for target in range(1, 120):
            assert (fewest_moves(numbers, target, whole) is not None) is (target in made), (numbers, target)


def test_problems_are_as_the_options_say(splits):
    for split, problems in splits.items():
        assert len(problems) == 60
        for problem in problems:
            numbers, target = problem.split("=")
            values = list(map(int, numbers.split()))
            assert 3 <= len(values) <= 4
            assert values == sorted(values)
            assert max(values) <= 50
            assert 10 <= int(target) <= 100
            assert split_of(problem) == split
            assert TASK.parse(problem) == problem
    assert len(set(splits["test"])) == 60
    other = Countdown(fewest=2, most=2, largest=9, target_min=5, target_max=6).problems("train", 20, 0)
    assert all(len(problem.split()) == 2 and problem[-2:] in ("=5", "=6") for problem in other)


def test_the_splits_share_nothing(splits):
    small = Countdown(largest=5, most=3, target_max=20)
    train, valid, test = (set(small.problems(split, n, 1)) for split, n in (("train", 300), ("valid", 8), ("test", 8)))
    assert (len(valid), len(test)) == (8, 8)
    assert len(train) < 150  # so few are there that draws repeat
    assert len(train | valid | test) == len(train) + 16
    assert not set(splits["train"]) & set(splits["valid"] + splits["test"])
    assert not set(splits["valid"]) & set(splits["test"])


def test_problems_are_the_same_for_the_same_seed():
    for split in ("train", "valid", "test"):
        assert TASK.problems(split, 8, 3) == TASK.problems(split, 8, 3) != TASK.problems(split, 8, 4)


def test_solutions_are_right_and_the_shortest(splits):
    rng = random.Random(0)
    lengths = set()
    for problem in splits["train"] + splits["test"]:
        steps = TASK.solve(problem, rng)
        lengths.add(len(steps))
        numbers, target = problem.split("=")
        assert len(steps) == fewest_moves(tuple(map(int, numbers.split())), int(target), whole)
        assert TASK.check(problem, TASK.answer(problem, steps))
        assert all(TASK.check_step(problem, steps[:k]) for k in range(len(steps) + 1))
    assert lengths == {1, 2, 3}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("3 7 25 50 = 82", "3 7 25 50=82"),
        ("50,25,7,3 -> 82", "3 7 25 50=82"),
        ("make 82 from 3, 7, 25 and 50", "3 7 25 50=82"),
        ("Use 3 7 25 50 to reach 82", "3 7 25 50=82"),
        ("3 7 9 25 50 = 765", "3 7 9 25 50=765"),
        ("2 2=4", "2 2=4"),
    ],
)
def test_parse(text, problem):
    assert TASK.parse(text) == problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a problem; write 2 to 6 whole numbers and a target"),
        ("3 7 25 50", "is not a problem"),
        ("= 82", "is not a problem"),
        ("3 = 82", "is not a problem"),
        ("1 2 3 4 5 6 7 = 82", "is not a problem"),
        ("3 7 = 25 = 82", "is not a problem"),
        ("3.5 7 25 = 82", "is not a problem"),
        ("-3 7 25 = 82", "is not a problem"),
        ("3 7 25 = -82", "is not a problem"),
        ("٣ ٧ = ١٠", "is not a problem"),
        ("0 7 25 = 82", "the numbers must be 1 to 999"),
        ("3 1000 = 82", "the numbers must be 1 to 999"),
        ("3 " + "9" * 5000 + " = 82", "the numbers must be 1 to 999"),
        ("3 7 = 10000", "the target must be 1 to 9999"),
        ("3 7 = 0", "the target must be 1 to 9999"),
        ("3 7 25 50 = 25", "25 is one of the numbers"),
        ("3 7 25 50 = 765", "3 7 25 50 cannot make 765"),
        ("1 1 = 9", "1 1 cannot make 9"),
    ],
)
def test_parse_refuses(text, message):
    with pytest.raises(UserError, match=message):
        TASK.parse(text)


def test_answer_and_check_step():
    problem = "3 7 25 50=82"
    steps = ["50+25=75:3 7 75", "75+7=82"]
    assert TASK.answer(problem, steps) == "50+25+7"
    assert TASK.answer(problem, steps[:1]) is None
    assert TASK.answer(problem, ["50+25=75:3 7 75", "75+3=78"]) == "50+25+3"  # arrived, at the wrong place
    assert not TASK.check(problem, "50+25+3")
    assert not TASK.check_step(problem, ["50+25=75:3 7 75", "75+3=78"])
    assert not TASK.check_step(problem, ["50×25=1250:3 7 1250", "1250×7=8750:3 8750"])  # nothing small is left
    assert TASK.check_step("2 3 4 9=9", []) is True
    halves = ["3÷2=3/2:3/2 4 9", "4×3/2=6"]
    assert TASK.answer("2 3 4 9=6", halves) == "4×3÷2"
    assert not TASK.check("2 3 4 9=6", "4×(3÷2)")
    assert not TASK.check_step("2 3 4 9=6", halves)
    assert not TASK.check_step("2 4=8", ["4+2=6:6"])


@pytest.mark.parametrize(
    "steps",
    [
        ["50+25=76:3 7 76", "76+7=82"],
        ["50+25=75:3 7 75", "75+7=83"],
        ["50+25=75:3 7 25 75", "75+7=82"],  # used and kept
        ["50+50=100:3 7 25", "75+7=82"],  # used twice
        ["50+25=75:3 75", "75+7=82"],  # lost
        ["50+25=75", "75+7=82"],  # closed too early
        ["50+25=75:3 7 75", "75+7=82", "82+3=85"],
        ["3-7=-4:-4 25 50", "50--4=54"],  # negative
        ["7-7=0:3 25 50"],
        ["7÷3=7/3:7/3 25 50", "7/3×50=350/3"],  # not whole
        ["garbage"],
        [""],
    ],
)
def test_wrong_steps_are_rejected(steps):
    assert not TASK.check_step("3 7 25 50=82", steps)


@pytest.mark.parametrize("answer", ["50+25+7", "7 + 25 + 50 = 82", "(50+25)+7", "25*3+7", "3×25+7=82"])
def test_check_accepts(answer):
    assert TASK.check("3 7 25 50=82", answer)


@pytest.mark.parametrize(
    "answer",
    [
        *("", "82", "50+25+7=83", "= 82", "82 = 50+25+7", "garbage", "50+25+8", "50+25+7+7-7", "50+50-25+7", "50+32"),
        *("7-50+25+100", "3-7+25+50+11", "(3-7)×25+182", "7÷3×3+75", "9**9**9", "(" * 10_000, "٥٠+25+7"),
        *("25-50+7+100", "7-3-4+82"),
    ],
)
def test_check_rejects(answer):
    assert not TASK.check("3 7 25 50=82", answer)


def test_check_refuses_results_that_are_not_whole_and_positive():
    assert TASK.check("2 3 4 9=6", "3×4÷2")
    assert not TASK.check("2 3 4 9=6", "3÷2×4")
    assert TASK.check("2 3 4 9=3", "4-3+2")
    assert not TASK.check("2 3 4 9=3", "2-3+4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fewest": 1}, "2 to 6"),
        ({"most": 7}, "2 to 6"),
        ({"fewest": 4, "most": 3}, "2 to 6"),
        ({"largest": 0}, "1 to 999"),
        ({"target_min": 50, "target_max": 40}, "1 to 9999"),
        ({"target_max": 10_000}, "1 to 9999"),
        ({"numbers": 4}, "numbers is not a setting"),
        ({"test_targets": (9,)}, "9 is no target"),
        ({"target_min": 10, "target_max": 11, "test_targets": (10, 11)}, "every target"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        load("countdown", **options)


def test_options_that_leave_no_problem():
    with pytest.raises(UserError, match="widen these options"):
        Countdown(fewest=2, most=2, largest=2, target_min=90).problems("train", 1, 0)


def test_holding_out(tmp_path):
    small = {"fewest": 2, "most": 2, "largest": 4, "target_min": 1, "target_max": 9}
    drawn = load("countdown", **small).problems("train", 300, 0)
    (tmp_path / "held.txt").write_text(f"{drawn[0]}\n{drawn[1].replace('=', ' -> ')}\n", encoding="utf-8")
    task = load("countdown", holdout=tmp_path / "held.txt", **small)
    assert set(task.problems("test", 10, 0)) == set(drawn[:2])
    assert not set(drawn[:2]) & set(task.problems("train", 300, 0))
    assert len(set(task.problems("train", 300, 0))) > 10


STRICT = Countdown(fewest=4, most=4, largest=99, use_all=True, test_targets=(14, 39))


def test_every_number_must_be_used_where_that_is_the_rule():
    assert STRICT.check("2 3 4 9=6", "9-4+3-2") and not STRICT.check("2 3 4 9=6", "9-3")
    assert TASK.check("2 3 4 9=6", "9-3")
    assert STRICT.check_step("2 3 4 9=6", ["9-4=5:2 3 5", "5+3=8:2 8", "8-2=6"])
    assert not STRICT.check_step("2 3 4 9=6", ["9-3=6"]), "numbers are left"
    assert STRICT.check_step("2 3 4 9=6", ["9-4=5:2 3 5"]) and not STRICT.check_step("2 3 4 99=6", ["99+4=103:2 3 103"])
    with pytest.raises(UserError, match="cannot make 50 from all of them"):
        STRICT.parse("5 5 60 97 = 50")


def test_solutions_use_every_number():
    rng = random.Random(0)
    for problem in STRICT.problems("train", 30, 0) + STRICT.problems("test", 10, 0):
        steps = STRICT.solve(problem, rng)
        assert len(steps) == 3 and STRICT.check(problem, STRICT.answer(problem, steps))
        assert all(STRICT.check_step(problem, steps[:k]) for k in range(4))
        assert STRICT.parse(problem) == problem


def test_targets_kept_for_the_test_are_in_no_other_split():
    targets = {split: {int(p.split("=")[1]) for p in STRICT.problems(split, 60, 0)} for split in ("train", "valid")}
    assert not (targets["train"] | targets["valid"]) & {14, 39}
    assert {int(problem.split("=")[1]) for problem in STRICT.problems("test", 20, 0)} == {14, 39}
    assert not set(STRICT.problems("train", 200, 0)) & set(STRICT.problems("valid", 60, 0))
