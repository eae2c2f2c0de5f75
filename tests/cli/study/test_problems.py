"""`clearhead practice problems`: known solutions, other numbers, wrong ones, and answers that are asked for."""

import json

import numpy as np
import pytest

from clearhead.cli.main import main
from clearhead.study.practice.problem_set import PROBLEMS
from clearhead.study.practice.solved import SOLUTIONS, solve

SOLVE = ["practice", "problems", "--solve"]
Capture = pytest.CaptureFixture[str]


def answer(capsys: Capture, *args: str, code: int = 0) -> dict:
    assert main(["practice", *args, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def solved(capsys: Capture, *args: str) -> dict[str, object]:
    assert main([*SOLVE, *args, "--json"]) == 0
    return {line["name"]: line["value"] for line in json.loads(capsys.readouterr().out)}


def test_the_usual_numbers(capsys: Capture) -> None:
    assert solved(capsys, "gradient-descent")["w"] == 1.032
    back = solved(capsys, "mlp-backward")
    assert back["L"] == 0.25 and back["dL/dW₂"] == [[0, 1.5]] and back["dL/dW₁"] == [[0, 0], [1, 2]]
    assert solved(capsys, "momentum") == {"v": 0.29, "w": 0.471}
    assert solved(capsys, "bayes")["ill, if positive"] == 0.153846
    assert solved(capsys, "mcts")["answer"] == "= 408"
    assert solved(capsys, "parameter-count")["total"] == 124_439_808
    assert solved(capsys, "layer-norm")["dx"] == [0.204124, -0.408248, 0.204124]


def test_other_numbers(capsys: Capture) -> None:
    one = solved(capsys, "gradient-descent", "--numbers", "w=3", "--numbers", "x=1", "--numbers", "y=1",
                 "--numbers", "rate=0.25", "--numbers", "steps=1")  # fmt: skip
    assert one["w"] == 3 - 0.25 * 2 * 2
    back = solved(capsys, "mlp-backward", "--numbers", "w1=1,0;0,1;1,1", "--numbers", "b1=0,0,0",
                  "--numbers", "w2=1,1,1", "--numbers", "y=0")  # fmt: skip
    assert back["ŷ"] == [6] and back["dL/dW₁"] == [[12, 24], [12, 24], [12, 24]]
    assert solved(capsys, "softmax", "--numbers", "z=0,0")["softmax(z)"] == [0.5, 0.5]
    assert solved(capsys, "attention", "--numbers", "v=5,5;5,5")["output"] == [[5, 5], [5, 5]]


@pytest.mark.parametrize("name", SOLUTIONS)
def test_every_problem_is_told_in_lines(name: str, capsys: Capture) -> None:
    assert main([*SOLVE, name]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) >= (1 if name in PROBLEMS and PROBLEMS[name].variables else 2) and "np." not in out


def test_the_list_names_all_with_their_numbers(capsys: Capture) -> None:
    assert main(SOLVE) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in SOLUTIONS) and "rate=0.1" in out and "w1=0.5,-0.5;0.5,0.5" in out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["momentun"], "did you mean 'momentum'"),
        (["momentum", "--numbers", "q=1"], "write name=value, of w=0.5"),
        (["momentum", "--numbers", "w"], "'w' is no number"),
        (["momentum", "--numbers", "w=x"], "w = 'x' must be a number"),
        (["momentum", "--numbers", "beta=1.5"], "beta"),
        (["gradient-descent", "--numbers", "steps=2.5"], "a whole number"),
        (["attention", "--numbers", "v=1,2;3"], "a matrix such as"),
        (["softmax", "--numbers", "z=a,b"], "a vector such as"),
        (["mlp-forward", "--numbers", "x=1,2,3"], "x: 3, but columns of w1: 2"),
        (["mlp-backward", "--numbers", "y=1,2"], "y: 2, but rows of w2: 1"),
        (["attention", "--numbers", "v=1,2"], "rows of k: 2, but rows of v: 1"),
        (["layer-norm", "--numbers", "weight=1,2"], "weight: 2, but x: 3"),
        (["parameter-count", "--numbers", "heads=7"], "multiple of heads = 7"),
        (["--numbers", "w=1"], "need a problem"),
        (["mcts", "--seed", "1"], "no numbers to draw"),
        (["bayes", "--answer", "1"], "do not go together"),
    ],
)
def test_wrong_numbers_are_one_line(args: list[str], told: str, capsys: Capture) -> None:
    assert main([*SOLVE, *args]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1


def test_numbers_drawn_are_those_of_the_question(capsys: Capture) -> None:
    posed = answer(capsys, "problems", "softmax", "--seed", "3")
    lines = solved(capsys, "softmax", "--seed", "3")
    told = ", ".join(f"{value:g}" for value in PROBLEMS["softmax"].draw(np.random.default_rng(3))["z"])
    assert told in posed["question"]
    assert lines == {line.name: line.value for line in solve("softmax", (f"z={told}",))}


def test_the_list_is_told_to_people(capsys: Capture) -> None:
    assert main(["practice", "problems"]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == len(PROBLEMS)
    assert all(name in out and problem.title in out for name, problem in PROBLEMS.items())


def test_numbers_are_not_for_what_is_posed(capsys: Capture) -> None:
    assert main(["practice", "problems", "bayes", "--numbers", "prior=0.5"]) == 2
    assert "--solve" in capsys.readouterr().err


def test_an_answer_is_checked(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"bayes", "mlp-backward"} <= {row["name"] for row in answer(capsys, "problems")}
    posed = answer(capsys, "problems", "softmax", "--seed", "3")
    assert posed["question"].startswith("What is softmax(") and posed["seed"] == 3
    wrong = answer(capsys, "problems", "softmax", "--seed", "3", "--answer", "1, 1, 1", code=1)
    right = wrong["solution"][2]["value"]
    assert not wrong["right"] and answer(capsys, "problems", "softmax", "--seed", "3", "--answer", str(right))["right"]
    typed = iter(["what", "1, 0, 0"])
    monkeypatch.setattr("click.prompt", lambda *args, **kwargs: next(typed))
    assert main(["practice", "problems", "softmax", "--seed", "3"]) == 1
    told = capsys.readouterr().out
    assert "cannot be read" not in told.splitlines()[0] and "'what' is not known" in told and "→ softmax(z)" in told
    for args in (["--seed", "3"], ["bayes", "--answer", "1"], ["byes"], ["bayes", "--seed", "1", "--answer", "1 +"]):
        assert main(["practice", "problems", *args]) == 2
        assert capsys.readouterr().err.count("\n") == 1
