"""run, solve, eval and report as a person types them, on a tiny run; wrong inputs get one line and exit code 2."""

import json
import shutil
from pathlib import Path

import pytest
from tiny import clearhead, write_recipe

from clearhead.cli.display import Display
from clearhead.reasoning.evaluate import Row


def one_line(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]


def test_solve_answers_with_steps_and_price(tiny_run: Path, tmp_path: Path) -> None:
    out, _ = clearhead("solve", "abc", "--run", tiny_run, "--task", "letters", "--json", cwd=tmp_path)
    data = json.loads(out)
    assert data["problem"] == "abc"
    assert data["strategy"] == "mcts-puct"
    assert data["generated"] > 0 and data["reward"] > 0
    assert "tree" not in data
    out, _ = clearhead(
        "solve", "What is 17 × 24?", "--run", tiny_run, "--task", "multiplication", "--tree", cwd=tmp_path
    )
    assert out.splitlines()[0] == "17 × 24"
    assert "value" in out and "visits" in out


def test_solve_greedy_is_the_policy_alone(tiny_run: Path, tmp_path: Path) -> None:
    out, _ = clearhead(
        "solve", "abc", "--run", tiny_run, "--task", "letters", "--strategy", "greedy", "--json", cwd=tmp_path
    )
    data = json.loads(out)
    assert data["reward"] == 0
    assert data["correct"] == (data["answer"] == "bcd")


def test_eval_measures_what_is_asked(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("# words\nabc\nfed\n\n", encoding="utf-8")
    out, _ = clearhead(
        "eval", "--run", tiny_run, "--task", "letters", "--problems", "mine.txt", "--strategies", "greedy,beam:2",
        "--budget", 50, "--budget", 100, "--seeds", 1, "--json", cwd=tmp_path,
    )  # fmt: skip
    rows = json.loads(out)
    assert [row["strategy"] for row in rows] == ["greedy", "beam:2"]
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 for row in rows)
    out, _ = clearhead("eval", "--run", tiny_run, "--strategies", "greedy", "--seeds", 1, "--limit", 3, cwd=tmp_path)
    assert "greedy" in out and "seconds" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_dry_run_tells_what_a_run_would_do_and_writes_nothing(tiny_run: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    before = sorted(tmp_path.iterdir())
    out, _ = clearhead("run", recipe, "--dry-run", cwd=tmp_path)
    assert "letters: longest problem 4 tokens" in out and "time on this machine: " in out
    out, _ = clearhead("run", recipe, "--dry-run", "--json", cwd=tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    kept = json.loads((tiny_run / "preflight.json").read_text(encoding="utf-8"))
    told = json.loads(out)
    for found in (told, kept):
        del found["seconds"]
        found["tasks"]["letters"]["rows"].pop("path")
    assert told == kept, "the run has told the same before it began"


def test_data_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Display().say("column 'a\x1b[2Jb' [red]")
    assert capsys.readouterr().err == "column 'a\\x1b[2Jb' [red]\n"


def test_a_table_tells_what_limits_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("mcts-puct", "MCTS", 300, 0.5, 0.4, 0.6, 100.0, 100.0, 0.1, 37, 1200, ("search.step_tokens",))
    Display().table([row._replace(strategy="greedy", cut=0, limits=()), row, row._replace(budget=600)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "cut off" in line]
    assert line.startswith("mcts-puct: 37 of the 1,200 texts it drew were cut off by search.step_tokens: raise it")


def test_report_is_written_again(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "report.html").unlink()
    out, _ = clearhead("report", run, "--json", cwd=tmp_path)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "17 × 24" in page and "<html" in page
    assert json.loads(out)["accuracy"]["letters"]["greedy"]["accuracy"] >= 0


def test_a_half_finished_run_has_a_report_too(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for name in ("evaluation", "rollouts"):
        shutil.rmtree(run / name)
    for name in ("reward.jsonl", "reward.safetensors", "report.html"):
        (run / name).unlink()
    clearhead("report", run, cwd=tmp_path)
    assert (run / "report.html").is_file()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["solve", "abc", "--run", "nowhere"], "nowhere is not a run"),
        (["solve", "abc", "--run", "RUN", "--task", "game24"], "'game24' is not in this run"),
        (["solve", "999 × 999", "--run", "RUN", "--task", "multiplication"], "999"),
        (["solve", "ab9", "--run", "RUN", "--task", "letters"], None),
        (["solve", "abc", "--run", "RUN", "--strategy", "magic"], "'magic' is unknown"),
        (["solve", "abc", "--run", "RUN", "--strategy", "greedy", "--tree"], "builds no tree"),
        (["solve", "abc", "--run", "RUN", "--budget", "0"], "0"),
        (["eval", "--run", "RUN", "--problems", "missing.txt"], "missing.txt"),
        (["eval", "--run", "RUN", "--strategies", "beam:x"], "beam:x"),
        (["run", "no-such-recipe"], "no-such-recipe"),
        (["run", "RECIPE", "--set", "pretrain.stepz=3"], "pretrain.stepz"),
        (["run", "RECIPE", "--set", "tasks.letters.source=file:gone.jsonl"], "gone.jsonl"),
        (["run", "RECIPE", "--device", "tpu"], "tpu"),
        (["run", "RECIPE", "--holdout", "mine.txt"], "--holdout TASK=FILE"),
        (["run", "RECIPE", "--holdout", "letters=gone.txt"], "gone.txt"),
        (["run", "RECIPE", "--holdout", "game24=mine.txt"], "no task 'game24'"),
        (["run", "RECIPE", "--resume"], "no run of tiny"),
        (["report", "nowhere"], "nowhere is not a run"),
    ],
)
def test_wrong_inputs(tiny_run: Path, tmp_path: Path, args: list[str], told: str | None) -> None:
    recipe = write_recipe(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    args = [{"RUN": str(tiny_run), "RECIPE": str(recipe)}.get(arg, arg) for arg in args]
    if told is None:  # a character that the model has never seen
        clearhead(*args, cwd=tmp_path)
        return
    _, err = clearhead(*args, cwd=tmp_path, expect=2)
    assert told in one_line(err)
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing half-written"
