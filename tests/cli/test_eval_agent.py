"""`clearhead eval agent`: predictions, their summary, what an interruption leaves, wrong inputs in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from acting import FunctionModel

from clearhead.agents.prompt import load_style
from clearhead.cli import acting
from clearhead.cli.main import main
from clearhead.generation.language_model import SamplingParams

SUMS = {"2+2": "4", "3*5": "15", "7-9": "-2", "10/4": "2.5"}


class Adds:
    """One call, then what it gave; stopped at the n-th new problem."""

    def __init__(self, stop_at: int = 99) -> None:
        self.stop_at, self.asked = stop_at, list[str]()

    def __call__(self, text: str, seed: int) -> str:
        task = text.rpartition("Task: ")[2].partition("\n")[0]
        if "Observation: " in text.rpartition("Task: ")[2]:
            return f"Answer: It is {text.rpartition('Observation: ')[2].strip()}."
        self.asked.append(task)
        if len(self.asked) > self.stop_at:
            raise KeyboardInterrupt
        return "Answer: 0" if task == "7-9" else f'Action: calculator {{"expression": "{task}"}}\nObservation:'


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("clearhead.agents.evaluation.AT_ONCE", 2)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"problem": p, "answer": a}) + "\n" for p, a in SUMS.items()))
    return path


def use(monkeypatch: pytest.MonkeyPatch, model: Adds) -> None:
    def local(header: Any, settings: Any) -> acting.Ready:
        return acting.Ready(FunctionModel(model), load_style("react"), len, 6000, SamplingParams(max_tokens=400))

    monkeypatch.setattr(acting, "local_model", local)


def test_the_summary_and_every_prediction(
    rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    use(monkeypatch, Adds())
    args = ["eval", "agent", "m", "--data", str(rows), "--tools", "calculator"]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 of 4 right: 75.0%, 95% interval 30.1% to 95.4% (compared as last-number)\n")
    assert "each: 1.8 decisions, 0.8 calls (0.0 without a result)" in out
    made = tmp_path / "made.jsonl"
    assert main([*args, "--json", "--out", str(made)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["right"] == 3 and found["predictions"] == str(made) and found["checker"] == "last-number"
    lines = [json.loads(line) for line in made.read_text().splitlines()]
    assert [(line["problem"], line["correct"]) for line in lines] == [(p, p != "7-9") for p in SUMS]
    assert lines[0]["answer"] == "It is 4." and lines[0]["steps"][1]["tool"] == "calculator"
    assert main([*args, "--out", str(made)]) == 2 and "already exists" in capsys.readouterr().err
    assert main([*args, "--checker", "exact", "--limit", "2"]) == 0
    assert "0 of 2 right" in capsys.readouterr().out


def test_ctrl_c_leaves_what_was_done_and_the_same_command_goes_on(
    rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = tmp_path / "made.jsonl"
    args = ["eval", "agent", "m", "--data", str(rows), "--tools", "calculator", "--out", str(made)]
    use(monkeypatch, Adds(stop_at=2))
    assert main(args) == 130
    assert "stopped after 2 of 4 problems, 2 of them right; they are in" in capsys.readouterr().err
    assert not made.exists()
    rest = Adds()
    use(monkeypatch, rest)
    assert main([*args, "--seed", "1"]) == 2 and "was begun with something else (seed" in capsys.readouterr().err
    assert main(args) == 0
    out, err = capsys.readouterr()
    assert out.startswith("3 of 4 right") and "2 of 4 problems were done before" in err
    assert rest.asked == ["7-9", "10/4"] and len(made.read_text().splitlines()) == 4


def test_parts_of_a_plan_count(rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def planned(text: str, seed: int) -> str:
        if "Divide" in text:
            return '{"subtasks": [{"text": "first", "needs": []}, {"text": "second", "needs": []}]}'
        return " yes" if "yes or no" in text else "Answer: 4"

    use(monkeypatch, planned)  # type: ignore[arg-type]
    assert main(["eval", "agent", "m", "--data", str(rows), "--plan", "--limit", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["right"] == 1 and found["mean"]["calls"] == 2


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["m"], "problems come from --data FILE or from --task market"),
        (["m", "--data", "ROWS", "--task", "market"], "give one of them"),
        (["m", "--task", "market", "--tools", "calculator"], "brings its own tools; leave out --tools"),
        (["m", "--task", "market", "--checker", "exact"], "--checker is about the rows"),
        (["m", "--data", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
        (["m", "--data", "ROWS", "--checker", "exactly"], "checker 'exactly' is unknown"),
        (["m", "--data", "ROWS", "--out", "/nowhere/a.jsonl"], "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(
    rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str], told: str
) -> None:
    model = Adds()
    use(monkeypatch, model)
    assert main(["eval", "agent", *(str(rows) if arg == "ROWS" else arg for arg in args)]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not model.asked


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--run", "x", "agent", "m"], "--run belongs behind 'agent'"),
        ([], "name a finished run, as in --run DIR; or measure an agent"),
        (["agnet"], "No such command 'agnet'"),
    ],
)
def test_eval_and_its_command_keep_their_options_apart(
    args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *args]) == 2 and told in capsys.readouterr().err
