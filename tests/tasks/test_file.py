import json
import random

import pytest

from clearhead.errors import UserError
from clearhead.tasks import knows, load
from clearhead.tasks.file import FileTask
from clearhead.tasks.splits import bucket
from clearhead.tasks.task import StepChecked, Task


@pytest.fixture
def save(tmp_path):
    def save(rows, name="mine.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return save


def rows(n, steps="{0}+1\n={1}"):
    made = [{"problem": f"What is {i} and one?", "answer": str(i + 1)} for i in range(n)]
    return [row | ({"steps": steps.format(i, i + 1)} if steps else {}) for i, row in enumerate(made)]


def everything(task):
    """Every problem by split."""
    return {split: task.problems(split, 200 if split == "train" else 10_000, 0) for split in ("train", "valid", "test")}


def test_the_whole_of_it(save):
    path = save(rows(100))
    task = load(f"file:{path}")
    assert isinstance(task, Task)
    assert not isinstance(task, StepChecked)
    assert task.name == f"file:{path}"
    found = everything(task)
    train, valid, test = (set(found[split]) for split in ("train", "valid", "test"))
    assert len(train) + len(valid) + len(test) == len(train | valid | test) == 100
    assert 3 <= len(valid) <= 20
    assert 3 <= len(test) <= 20
    for problem in train | valid | test:
        steps = task.solve(problem, random.Random(0))
        assert task.check(problem, task.answer(problem, steps))
        assert not task.check(problem, "0")
        assert task.parse(problem) == problem
        assert knows(task, problem)
    for split in found:
        assert task.problems(split, 5, 1) == task.problems(split, 5, 1)
    assert task.problems("train", 50, 1) != task.problems("train", 50, 2)


def test_a_problem_stays_in_its_split_when_the_file_grows(save):
    small, large = everything(FileTask(save(rows(60), "a.jsonl"))), everything(FileTask(save(rows(120), "b.jsonl")))
    assert set(small["test"]) <= set(large["test"])
    assert set(small["valid"]) <= set(large["valid"])


def test_ten_problems_are_enough_for_three_splits(save):
    no_test_by_hash = [row for row in rows(100) if bucket(row["problem"]) > 0.5][:10]
    found = everything(FileTask(save(no_test_by_hash)))
    assert all(found.values())
    assert sum(len(set(problems)) for problems in found.values()) == 10


def test_the_file_may_name_the_splits(save):
    named = [row | {"split": ("train", "valid", "test")[i % 3]} for i, row in enumerate(rows(12))]
    found = everything(FileTask(save(named)))
    assert {problem.split()[2] for problem in found["test"]} == {"2", "5", "8", "11"}
    assert {problem.split()[2] for problem in found["train"]} == {"0", "3", "6", "9"}


@pytest.mark.parametrize("names", [("train", "valid"), ("train", "test"), ("train",)])
def test_a_split_that_the_file_lacks_is_taken_from_train(save, names):
    named = [row | {"split": names[i % len(names)]} for i, row in enumerate(rows(60))]
    task = FileTask(save(named))
    found = everything(task)
    assert all(found.values())
    assert sum(len(set(problems)) for problems in found.values()) == 60
    assert task.intake.splits == {split: len(set(problems)) for split, problems in found.items()}
    for name in names[1:]:
        assert set(found[name]) == {row["problem"] for row in named if row["split"] == name}


def test_a_file_without_training_rows(save):
    with pytest.raises(UserError, match="has too few rows with split 'train'"):
        FileTask(save([row | {"split": "test"} for row in rows(12)]))


@pytest.mark.parametrize(
    ("steps", "solution", "options"),
    [
        ("", ["4"], {}),
        ("{0}+1\n{1}", ["3+1", "4"], {}),
        ("{0}+1\n={1}", ["3+1", "=4"], {}),
        ("{0}+1={1}", ["3+1=4"], {}),
        ("x={0}+1={1}", ["x=3+1=4"], {}),
        ("so\n#### {1}", ["so", "#### 4"], {}),
        ("Answer: {1}", ["Answer: 4"], {}),
        ("The answer is {1}", ["The answer is 4"], {"answer_after": "is"}),
    ],
)
def test_where_the_answer_stands(save, steps, solution, options):
    task = FileTask(save(rows(20, steps)), **options)
    problem = "What is 3 and one?"
    assert task.solve(problem, random.Random(0)) == solution
    assert task.answer(problem, solution) == "4"
    wrong = [*solution[:-1], solution[-1].replace("4", "5")]
    assert task.answer(problem, wrong) == "5"
    assert not task.check(problem, "5")
    assert task.answer(problem, []) is None
    assert task.answer(problem, [""]) is None
    if options:
        assert task.answer(problem, ["4"]) is None


@pytest.mark.parametrize(
    ("broken", "options", "message"),
    [
        (
            {"steps": ["5"]},
            {},
            "line 4: the last step '5' does not give the answer '4'; end each solution with the answer",
        ),
        ({"steps": ["4 apples"]}, {}, "line 4: the last step '4 apples' does not give the answer '4'"),
        ({}, {"answer_after": "is"}, "line 1: the last step '=1' .* nothing right stands after answer_after='is'"),
        (
            {"answer": "four", "steps": ["=four"]},
            {"checker": "number"},
            "line 4: the answer 'four' fails its own check, 'number'",
        ),
    ],
)
def test_a_solution_that_does_not_give_its_answer(save, broken, options, message):
    wrong = rows(12, "={1}")
    FileTask(save(wrong))
    wrong[3] |= broken
    with pytest.raises(UserError, match=message):
        FileTask(save(wrong), **options)


def test_an_answer_that_fails_its_own_check(save):
    wrong = rows(12, "")
    wrong[3]["answer"] = "four"
    FileTask(save(wrong))
    with pytest.raises(UserError, match="line 4: the answer 'four' fails its own check, 'number'"):
        FileTask(save(wrong), checker="number")
    wrong[3]["answer"] = r"\d"
    with pytest.raises(UserError, match=r"line 4: the answer .* fails its own check, 'regex'"):
        FileTask(save(wrong), checker="regex")
    wrong[3]["answer"] = "(a+)+"
    with pytest.raises(UserError, match=r"line 4: the answer '\(a\+\)\+' fails its own check, 'regex'"):
        FileTask(save(wrong), checker="regex")


def test_with_steps_and_without_together(save):
    mixed = rows(6, "so\n#### {1}") + [{"problem": f"{i}?", "answer": str(i)} for i in range(6)]
    task = FileTask(save(mixed))
    assert task.solve("3?", random.Random(0)) == ["#### 3"]
    assert task.answer("3?", ["#### 3"]) == "3"
    assert task.solve("What is 3 and one?", random.Random(0)) == ["so", "#### 4"]
    assert (task.intake.with_steps, task.intake.without_steps) == (6, 6)
    tight = FileTask(save(rows(6, "={1}") + mixed[6:]))
    assert tight.solve("3?", random.Random(0)) == ["=3"]


def test_explanations_get_the_answer_as_a_last_step(save):
    told = rows(12, "One more than {0}.\nThat makes {1} in all.")
    told[5]["steps"] = "=6"
    task = FileTask(save(told))
    problem = "What is 3 and one?"
    assert task.solve(problem, random.Random(0)) == ["One more than 3.", "That makes 4 in all.", "4"]
    assert task.answer(problem, ["x", "4"]) == "4"
    assert task.intake.answers_added == 12


def test_all_that_is_wrong_is_told_at_once(save):
    wrong = rows(14, "={1}")
    wrong[2]["steps"] = ["=9"]
    wrong[4]["answer"] = ""
    wrong += [wrong[6] | {"answer": "0", "steps": ["=0"]}, wrong[7]]
    with pytest.raises(UserError, match=r"2 of 16 rows .* \(line 3: the last .*; line 5: answer .*1 problem"):
        FileTask(save(wrong))
    task = FileTask(save(wrong), skip_bad=True, contradictions="last")
    assert task.check("What is 6 and one?", "0")
    assert not task.check("What is 6 and one?", "7")
    report = task.intake
    assert (report.rows, report.used, report.skipped, report.duplicates) == (16, 12, 2, 1)
    assert sum(report.splits.values()) == 12


def test_answers_of_several_lines(save, tmp_path):
    made = [row | {"answer": f"a{i}\n b\n"} for i, row in enumerate(rows(12, ""))]
    task = FileTask(save(made))
    problem = "What is 3 and one?"
    assert task.solve(problem, random.Random(0)) == ["a3 | b"]
    assert task.expected(problem) == "a3 | b"
    assert task.check(problem, "a3 | b")
    assert not task.check(problem, "a3")
    (tmp_path / "check.py").write_text(
        "def check(problem, answer, expected):\n    return len(answer.split()) == 2 == len(expected.split())\n"
    )
    task = FileTask(save(made), checker=str(tmp_path / "check.py"))
    assert task.check(problem, "x | y")
    assert not task.check(problem, "x")


def test_columns_and_few_rows(save):
    made = [{"q": row["problem"], "label": row["answer"]} for row in rows(12, "")]
    task = load(f"file:{save(made)}", columns={"problem": "q"})
    assert task.intake.columns == {"problem": "q", "answer": "label"}
    assert task.expected("What is 3 and one?") == "4"
    assert task.expected("What?") is None
    with pytest.raises(UserError, match="has 9 problems; give at least 10"):
        load(f"file:{save(made[:9])}", columns={"problem": "q"})
    with pytest.raises(UserError, match=r"columns.problem is 3; expected text"):
        load(f"file:{save(made)}", columns={"problem": 3})


def test_checkers_by_option(save, tmp_path):
    path = save(rows(12, "={1}"))
    problem = "What is 3 and one?"
    assert not FileTask(path).check(problem, "4.0")
    assert FileTask(path, checker="number").check(problem, "4.0")
    (tmp_path / "check.py").write_text("def check(problem, answer):\n    return answer in problem or len(answer) < 3\n")
    task = load(f"file:{path}", checker=str(tmp_path / "check.py"))
    assert task.check(problem, "What")
    assert not task.check(problem, "What else")
    with pytest.raises(UserError, match="'digits' is unknown"):
        load(f"file:{path}", checker="digits")


def test_a_problem_that_is_not_on_file(save):
    task = FileTask(save(rows(12)))
    problem = task.parse("  Something\nelse? ")
    assert problem == "Something | else?"
    assert not knows(task, problem)
    assert not task.check(problem, "4")
    with pytest.raises(UserError, match="its answer is not known"):
        task.solve(problem, random.Random(0))
    with pytest.raises(UserError, match="the problem is empty"):
        task.parse(" \n ")


def test_holding_out(save, tmp_path):
    path = save(rows(40))
    held = tmp_path / "held.txt"
    held.write_text("What is 3 and one?\n# not this\n What is 9 and one?\n", encoding="utf-8")
    task = load(f"file:{path}", holdout=held)
    found = everything(task)
    assert set(found["test"]) == {"What is 3 and one?", "What is 9 and one?"}
    assert not set(found["test"]) & set(found["train"] + found["valid"])
    held.write_text("What is 3 and one?\nWhat is 99 and one?\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"held.txt, line 2: .* does not know the answer to 'What is 99 and one\?'"):
        load(f"file:{path}", holdout=held)
    held.write_text("".join(f"What is {i} and one?\n" for i in range(40)), encoding="utf-8")
    with pytest.raises(UserError, match="has no problem left to train on"):
        load(f"file:{path}", holdout=held)


AUGMENT = """\
def augment(row, rng):
    by = rng.randrange(1, 10**6)
    last = f"={int(row['answer']) + by}"
    return {"problem": f"{row['problem']} And {by} more?", "answer": last[1:], "steps": [*row["steps"], last]}
"""


def test_an_augmentation_of_ones_own(save, tmp_path):
    (tmp_path / "more.py").write_text(AUGMENT)
    path = save(rows(30))
    task = load(f"file:{path}", augment=str(tmp_path / "more.py")).kept_in(tmp_path / "drawn")
    found = everything(task)
    plain = everything(FileTask(path))
    assert (found["valid"], found["test"]) == (plain["valid"], plain["test"])
    assert len(set(found["train"])) == 200
    assert {problem.split(" And")[0] for problem in found["train"]} == set(plain["train"])
    other = load(task.name, augment=str(tmp_path / "more.py")).kept_in(tmp_path / "drawn")
    for problem in found["train"]:
        steps = other.solve(problem, random.Random(0))
        assert len(steps) == 3
        assert other.check(problem, other.answer(problem, steps))
        assert not other.check(problem, "0")
        assert other.expected(problem) == steps[-1][1:]
    assert task.problems("train", 300, 0)[:200] == found["train"]
    assert task.problems("train", 50, 1) != found["train"][:50]


def test_an_augmentation_makes_no_row_of_the_file(save, tmp_path):
    (tmp_path / "more.py").write_text(
        "def augment(row, rng):\n    i = rng.randrange(30)\n"
        "    return {'problem': f'What is {i} and one?', 'answer': i + 1}\n"
    )
    task = FileTask(save(rows(30, "")), augment=tmp_path / "more.py")
    assert set(task.problems("train", 100, 0)) == set(FileTask(task.path).problems("train", 100, 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "has no function augment"),
        ("def augment(row, rng): return 3", "augment in .* gave 3"),
        ("def augment(row, rng):\n    1 / 0", "fails on the problem 'What is .*: line 2: ZeroDivisionError"),
        ("def augment(row, rng): return row | {'answer': ''}", "augment in .*gave .*: answer is empty"),
        ("def augment(row, rng): return row | {'answer': '-1'}", "augment in .*gave .*the last step .* does not give"),
    ],
)
def test_an_augmentation_that_is_none(save, tmp_path, text, message):
    (tmp_path / "more.py").write_text(text)
    with pytest.raises(UserError, match=message):
        FileTask(save(rows(30)), augment=tmp_path / "more.py")
