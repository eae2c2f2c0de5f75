"""`clearhead agent`: what a person sees, what is kept when it is stopped, and the same again without a model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acting import FunctionModel

from clearhead.agents import transcript
from clearhead.agents.prompt import load_style
from clearhead.agents.steps import Action, Answer, Observation, Summary, Task, Thought
from clearhead.cli import acting
from clearhead.cli.main import main
from clearhead.generation.language_model import SamplingParams

Answering = Callable[[str, int], str]


def sums(text: str, seed: int) -> str:
    """One call, then what it gave; with a plan, two parts."""
    if "Divide" in text:
        return '{"subtasks": [{"text": "first", "needs": []}, {"text": "second", "needs": [1]}]}'
    if "yes or no" in text:
        return " yes"
    if "Observation: 408" in text or "= 408" in text:
        return "Answer: It is 408."
    return 'Thought: I calculate.\nAction: calculator {"expression": "17 * 24"}\nObservation:'


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Answering], None]:
    """The model of every name, and a place for the user's data."""
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))

    def use(answer: Answering) -> None:
        def local(header: Any, settings: Any) -> acting.Ready:
            return acting.Ready(
                FunctionModel(answer, lambda text, more: 0.0),
                load_style("react"),
                len,
                6000,
                SamplingParams(max_tokens=400),
            )

        monkeypatch.setattr(acting, "local_model", local)

    use(sums)
    return use


def test_the_answer_is_on_standard_output_and_the_steps_beside_it(
    model: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trace, page = tmp_path / "t.jsonl", tmp_path / "page.html"
    args = ["agent", "m", "What is 17 * 24?", "--tools", "calculator", "--trace", str(trace), "--report", str(page)]
    assert main(args) == 0
    out, err = capsys.readouterr()
    assert out == "It is 408.\n"
    assert [line.split(":")[0] for line in err.splitlines()] == ["Task", "Thought", "Action", "Observation", "Answer"]
    found = transcript.read(trace)
    assert found.ended == "answered" and [type(step) for step in found.steps()] == [
        Task,
        Thought,
        Action,
        Observation,
        Answer,
    ]
    assert "17 * 24" in page.read_text()
    assert main(args) == 2 and "already exists; --resume goes on" in capsys.readouterr().err
    assert main(["agent", "--replay", str(trace)]) == 0
    again = capsys.readouterr().err
    assert again.splitlines()[:-1] == err.splitlines() and again.splitlines()[-1] == "ended: answered"


def test_json_is_for_programs(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "m", "What is 17 * 24?", "--tools", "calculator", "--json"]) == 0
    out, err = capsys.readouterr()
    made = json.loads(out)
    assert err == "" and made["answer"] == "It is 408." and made["ended"] == "answered" and made["calls"] == 1
    assert [step["step"] for step in made["steps"]] == ["task", "thought", "action", "observation", "answer"]


def test_a_plan_is_carried_out_part_by_part(model: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, page = tmp_path / "t.jsonl", tmp_path / "p.html"
    args = ["agent", "m", "Two things.", "--tools", "calculator", "--plan", "--trace", str(trace)]
    assert main([*args, "--report", str(page)]) == 0
    out, err = capsys.readouterr()
    assert out == "It is 408.\n" and "  1. first\n  2. second (after 1)" in err and "  [1] Thought: I calculate." in err
    assert "✓ 1. first" in page.read_text() and main(["agent", "--replay", str(trace)]) == 0


def test_with_a_world_model_what_is_expected_stands_before_a_call(
    model: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model(lambda text, seed: " 400" if text.endswith("Observation:") else sums(text, seed))
    trace, page = tmp_path / "t.jsonl", tmp_path / "p.html"
    args = ["agent", "m", "What is 17 * 24?", "--tools", "calculator", "--world-model", "--trace", str(trace)]
    assert main([*args, "--report", str(page)]) == 0
    out, err = capsys.readouterr()
    assert out == "It is 408.\n"
    kinds = [line.split(":")[0] for line in err.splitlines()]
    assert kinds == ["Task", "Thought", "Expected", "Action", "Observation", "Answer"] and "Expected: 400" in err
    assert "Expected of call 1" in page.read_text() and main(["agent", "--replay", str(trace)]) == 0


def test_ctrl_c_loses_no_step_and_resume_goes_on(
    model: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def stopped(text: str, seed: int) -> str:
        if "Observation:" in text.rpartition("Task:")[2]:
            raise KeyboardInterrupt
        return sums(text, seed)

    model(stopped)
    assert main(["agent", "m", "What is 17 * 24?", "--tools", "calculator"]) == 130
    assert "clearhead agent --resume --trace" in capsys.readouterr().err
    path = tmp_path / "data" / "agent" / "last.jsonl"
    assert len(transcript.read(path).entries) == 4 and transcript.read(path).ended is None
    model(sums)
    assert main(["agent", "--resume"]) == 0 and capsys.readouterr().out == "It is 408.\n"
    assert transcript.read(path).ended == "answered"


def test_no_answer_in_its_steps_is_told_and_more_of_them_go_on(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model(lambda text, seed: f'Action: calculator {{"expression": "{text.count("Action:")}"}}\nObservation:')
    assert main(["agent", "m", "t", "--tools", "calculator", "--max-steps", "2"]) == 0
    assert "no answer in 2 steps; --resume --max-steps 4 goes on" in capsys.readouterr().err
    model(lambda text, seed: "Answer: enough")
    assert main(["agent", "--resume", "--max-steps", "4"]) == 0 and capsys.readouterr().out == "enough\n"


def test_memory_is_kept_from_one_task_to_the_next(
    model: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    memory = str(tmp_path / "m.db")
    model(
        lambda text, seed: (
            "Answer: noted" if "Observation: noted" in text else 'Action: note {"fact": "x is 4"}\nObservation:'
        )
    )
    assert main(["agent", "m", "Keep x.", "--memory", memory]) == 0
    asked: list[str] = []
    model(lambda text, seed: asked.append(text) or "Answer: 4")  # type: ignore[func-returns-value]
    assert main(["agent", "m", "What is x?", "--memory", memory]) == 0
    assert "x is 4" in asked[0] and "Summary" in capsys.readouterr().err


def test_a_tool_that_writes_is_not_called_where_nobody_can_be_asked(
    model: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from clearhead.agents.toolbox.spec import make_tools

    (tmp_path / "f").mkdir()
    writing = next(name for name, tool in make_tools(f"files:{tmp_path / 'f'}").items() if tool.writes)
    properties = make_tools(f"files:{tmp_path / 'f'}")[writing].schema["properties"]
    call = json.dumps(dict.fromkeys(properties, "a.txt"))
    model(lambda text, seed: "Answer: no" if "not allowed" in text else f"Action: {writing} {call}\nObservation:")
    assert main(["agent", "m", "Write.", "--tools", f"files:{tmp_path / 'f'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failed_calls"] == 1 and not list((tmp_path / "f").iterdir())


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "name a model and a task"),
        (["m"], "name a model and a task"),
        (["m", " "], "the task is empty"),
        (["m", "t", "--tools", "calculater"], "there is no tool 'calculater'"),
        (["m", "t", "--replay", "x"], "--replay needs no model"),
        (["--resume", "--replay", "x"], "three different things"),
        (["--mcp"], "--mcp serves tools, and none is named"),
        (["m", "t", "--port", "1"], "--port is for --mcp"),
        (["--resume"], "there is no transcript"),
        (["--replay", "nowhere.jsonl"], "there is no transcript nowhere.jsonl"),
        (["m", "t", "--memory", "/"], "is no memory file"),
    ],
)
def test_what_cannot_be_is_one_line(model: Any, capsys: pytest.CaptureFixture[str], args: list[str], told: str) -> None:
    assert main(["agent", *args]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1


def test_what_a_model_writes_steers_no_terminal(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model(lambda text, seed: "Answer: \x1b[2Jgone")
    assert main(["agent", "m", "t"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and "\\x1b[2Jgone" in out


def test_a_failure_in_the_middle_names_the_file(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model(lambda text, seed: "gibberish")
    assert main(["agent", "m", "t"]) == 2
    err = capsys.readouterr().err
    assert "neither an Action nor an Answer (the steps so far are in" in err


def test_summaries_are_shown() -> None:
    assert "of the steps up to 4: pears" in acting.shown(transcript.Entry(Summary("pears", 1, 4))).plain
