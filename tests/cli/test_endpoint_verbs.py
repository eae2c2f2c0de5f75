"""`solve` and `eval` by a model behind an address: the same strategies, and one line where they cannot be."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_endpoint import Reply, Server, served

from clearhead.cli.main import main
from clearhead.tasks import load

TASK = load("multiplication")
PROBLEMS = TASK.problems("test", 4, 0)


def solves(path: str, body: dict[str, Any]) -> Reply:
    """Solves multiplications, but for one; of three samples the first is wrong."""
    problem = body["prompt"].partition("\n")[0]
    steps = "\n".join(TASK.solve(problem, random.Random(0)))
    texts = [steps if problem != PROBLEMS[3] else "=1"] * body["n"]
    if body["n"] > 1:
        texts[0] = "=7"
    choices = [
        {"text": text, "finish_reason": "stop", "stop_reason": None,
         "logprobs": {"tokens": list(text), "token_logprobs": [-0.1] * len(text)}}
        for text in texts
    ]  # fmt: skip
    return Reply({"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": sum(map(len, texts))}})


@pytest.fixture
def server() -> Iterator[Server]:
    with served(solves) as told:
        yield told


def test_a_file_is_solved_and_goes_on_where_it_was_stopped(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, made = tmp_path / "problems.txt", tmp_path / "made.jsonl"
    file.write_text("\n".join(PROBLEMS))
    args = ["solve", str(file), "--run", server.url, "--task", "multiplication", "--out", str(made), "--json"]
    assert main(args) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["problems"], counts["right"], counts["wrong"]) == (4, 3, 1)
    lines = [json.loads(line) for line in made.read_text().splitlines()]
    assert [line["problem"] for line in lines] == PROBLEMS and lines[0]["strategy"] == "greedy"
    assert lines[0]["steps"] == TASK.solve(PROBLEMS[0], random.Random(0)) and lines[0]["generated"] > 0
    part = made.with_name("made.jsonl.part")
    part.write_text(json.dumps({"begun": "otherwise"}) + "\n")
    made.unlink()
    assert main([*args, "--budget", "500"]) == 2 and "was begun with something else" in capsys.readouterr().err


def test_one_problem_by_its_task(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", PROBLEMS[0], "--run", f"{server.url}#tiny", "--task", "multiplication"]) == 0
    assert "(right)" in capsys.readouterr().out
    assert server.asked[0][1]["model"] == "tiny"


def test_strategies_are_compared(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["eval", "--run", server.url, "--task", "multiplication", "--limit", "4", "--seeds", "1", "--json"]
    assert main([*args, "--set", "search.samples=3"]) == 0
    rows = {row["strategy"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {"greedy", "self-consistency"}, "the usual ones without those that need a reward model"
    assert rows["greedy"]["accuracy"] == 0.75 and rows["self-consistency"]["accuracy"] == 0.75
    assert rows["self-consistency"]["generated"] > rows["greedy"]["generated"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["solve", "3 × 4", "--run", "URL"], "name a task, as in --task game24"),
        (["solve", "3 × 4"], "name who is to solve it"),
        (["solve", "3 × 4", "--run", "URL", "--task", "multiplicaton"], "did you mean 'multiplication'"),
        (["solve", "3 × 4", "--run", "URL", "--task", "market"], "clearhead eval agent URL --task market"),
        (["solve", "3 × 4", "--run", "URL", "--task", "multiplication", "--strategy", "mcts-puct"], "a reward model"),
        (
            ["solve", "3 × 4", "--run", "URL", "--task", "multiplication", "--device", "cpu"],
            "--device is for models here",
        ),
        (["eval", "--run", "URL", "--task", "multiplication", "--kv-memory", "1GiB"], "--kv-memory is for models"),
        (["generate", "URL", "hi", "--weights", "int8"], "--weights is for models here"),
        (["generate", "URL", "hi", "--draft", "lookup"], "--draft is for models here"),
        (["agent", "URL", "hi", "--tools", "calculator", "--dtype", "bfloat16"], "--dtype is for models here"),
        (["eval", "--run", "URL", "--task", "multiplication", "--strategies", "halving"], "a reward model"),
        (["eval", "--run", "URL", "--task", "multiplication", "--strategies", "auto"], "calibrated"),
        (["eval", "--run", "URL", "--task", "multiplication", "--set", "reward.steps=9"], "search settings alone"),
        (["solve", "3 × 4", "--run", "http://127.0.0.1:9/v1", "--task", "multiplication"], "cannot be reached"),
    ],
)
def test_what_cannot_be_is_one_line(
    server: Server, args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([server.url if arg == "URL" else arg for arg in args]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1
