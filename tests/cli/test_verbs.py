"""run, solve, eval and report as a person types them, on a tiny run; wrong inputs get one line and exit code 2."""

import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import clearhead, start, write_recipe

from clearhead.cli.display import Display
from clearhead.reasoning.evaluate import EvalRow
from clearhead.reasoning.strategies import STRATEGIES


def one_line(err: str) -> str:
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return lines[0]


def test_solve_answers_with_steps_and_price(tiny_run: Path, tmp_path: Path) -> None:
    out, _ = clearhead("solve", "abc", "--run", tiny_run, "--task", "letters", "--json", cwd=tmp_path)
    data = json.loads(out)
    assert data["problem"] == "abc"
    assert data["strategy"] == "auto", "what the run has measured to help"
    assert data["generated"] > 0
    assert "tree" not in data
    out, _ = clearhead(
        "solve",
        "What is 17 × 24?",
        "--run",
        tiny_run,
        "--task",
        "multiplication",
        "--strategy",
        "mcts-puct",
        "--tree",
        cwd=tmp_path,
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


def test_memory_for_keys_and_values_changes_no_answer_and_too_little_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    about = ("--run", tiny_run, "--task", "letters", "--json")
    (tmp_path / "words.txt").write_text("abc\nfed\ncab\nfab\n", encoding="utf-8")
    solve = ("solve", "words.txt", *about[:-1], "--strategy", "self-consistency", "--budget", "100")
    plenty, tight = (predictions(clearhead(*solve, *more, cwd=tmp_path)[0]) for more in ((), ("--kv-memory", "900KB")))
    assert [{**entry, "seconds": 0} for entry in tight] == [{**entry, "seconds": 0} for entry in plenty]
    for verb in (solve, ("eval", *about, "--strategies", "mcts-puct", "--limit", "2", "--seeds", "1")):
        assert "--kv-memory" in one_line(clearhead(*verb, "--kv-memory", "20KiB", cwd=tmp_path, expect=2)[1])
    assert "is no size" in clearhead(*solve, "--kv-memory", "much", cwd=tmp_path, expect=2)[1]


LONG = "a" * 200  # more than the model's context holds


def predictions(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_solve_a_file_answers_as_one_problem_does_in_order(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("abc\n\nSEE\n fed \r\n" + "a" * 200 + "\ncab\nabc\n", encoding="utf-8")
    solve = ("solve", "words.txt", "--run", tiny_run, "--task", "letters")
    out, err = clearhead(*solve, cwd=tmp_path, expect=1)
    found = predictions(out)
    assert [entry["problem"] for entry in found] == ["abc", "SEE", "fed", "a" * 200, "cab", "abc"]
    assert "context" in found[3]["error"] and found[1]["correct"] is None
    assert "1 not read" in err
    (alone, _), read = clearhead(*("solve", "cab", *solve[2:], "--json"), cwd=tmp_path), found[4]
    assert all(json.loads(alone)[key] == read[key] for key in ("answer", "steps", "strategy", "generated", "correct"))
    assert found[0] == found[5]
    assert found[0]["expected"] == (None if found[0]["correct"] is None else "bcd")
    assert set(found[0]) >= {"problem", "answer", "steps", "strategy", "tokens", "correct", "expected", "cut_off"}


def test_solve_reads_rows_and_pipes(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id;wort\n1;abc\n2;fed\n", encoding="utf-8")
    about = ("--run", tiny_run, "--task", "letters", "--strategy", "greedy")
    out, _ = clearhead("solve", "rows.csv", *about, "--columns", "problem=wort", cwd=tmp_path)
    assert [entry["problem"] for entry in predictions(out)] == ["abc", "fed"]
    process = start("solve", "-", *about, cwd=tmp_path, stdin=subprocess.PIPE)
    piped, _ = process.communicate("abc\nfed\n", timeout=300)
    assert process.returncode == 0
    assert [entry["answer"] for entry in predictions(piped)] == [entry["answer"] for entry in predictions(out)]


def test_solve_compares_with_the_answers_that_rows_have(tiny_run: Path, tmp_path: Path) -> None:
    rows = [{"word": "abc", "answer": "right\n#### bcd"}, {"word": "fed", "answer": "no"}, {"word": "cab"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    about = ("--run", tiny_run, "--task", "letters", "--strategy", "greedy", "--columns", "problem=word")
    found = predictions(clearhead("solve", "rows.jsonl", *about, cwd=tmp_path)[0])
    own = json.loads(clearhead("solve", "cab", *about[:-2], "--json", cwd=tmp_path)[0])
    assert [entry["expected"] for entry in found] == ["bcd", "no", own["expected"]]
    assert [entry["correct"] for entry in found[:2]] == [found[0]["answer"] == "bcd", False]
    assert "answer" in clearhead("solve", "rows.jsonl", *about[:-1], "problem=word,answer=x", cwd=tmp_path, expect=2)[1]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_solve_goes_on_where_it_was_stopped(tiny_run: Path, tmp_path: Path, stop: signal.Signals) -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdef", k=3)) for _ in range(400)]
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    args = ("solve", "words.txt", "--run", tiny_run, "--task", "letters", "--out", "found.jsonl")
    process, part = start(*args, cwd=tmp_path), tmp_path / "found.jsonl.part"
    while process.poll() is None and not (part.is_file() and part.read_bytes().count(b"\n") > 1):
        time.sleep(0.02)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if stop == signal.SIGINT else -9), err
    assert "Traceback" not in err
    assert not (tmp_path / "found.jsonl").exists()
    done = part.read_text(encoding="utf-8").splitlines()[1:]
    assert 0 < len(done) < len(words)
    if stop == signal.SIGINT:
        assert f"stopped after {len(done)} of 400 problems" in err
    _, err = clearhead(*args, "--budget", 50, cwd=tmp_path, expect=2)
    assert "budget: 1000 then, 50 now" in err
    out, err = clearhead(*args, "--json", cwd=tmp_path)
    assert f"{len(done)} of 400 problems were solved before" in err
    text = (tmp_path / "found.jsonl").read_text(encoding="utf-8")
    assert text.splitlines()[: len(done)] == done and not part.exists()
    assert [entry["problem"] for entry in predictions(text)] == words
    counts = json.loads(out)
    assert counts["problems"] == 400 and counts["right"] == sum(bool(e["correct"]) for e in predictions(text))
    _, err = clearhead(*args, cwd=tmp_path, expect=2)
    assert "found.jsonl already exists" in one_line(err)


def test_eval_measures_new_rows(tiny_run: Path, tmp_path: Path) -> None:
    answers = {"abc": "bcd", "fed": "xxx", "cab": "dbc", LONG: "no"}
    rows = [{"question": problem, "label": answer} for problem, answer in answers.items()]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    args = ("--data", "new.jsonl", "--strategies", "greedy,self-consistency", "--seeds", 2, "--out", "found.jsonl")
    out, err = clearhead("eval", "--run", tiny_run, *args, "--json", cwd=tmp_path)
    assert "1 of 4 problems cannot be read and count as unanswered" in err
    found = predictions((tmp_path / "found.jsonl").read_text(encoding="utf-8"))
    assert len(found) == 4 * (1 + 2), "a greedy answer needs one seed"
    assert {entry["problem"]: entry["expected"] for entry in found} == answers
    assert all(entry["correct"] == (entry["answer"] == entry["expected"]) for entry in found)
    assert [entry["answer"] for entry in found if entry["problem"] == LONG] == [None] * 3
    for row in json.loads(out):
        right = [entry["correct"] for entry in found if entry["strategy"] == row["strategy"]]
        assert row["accuracy"] == pytest.approx(sum(right) / len(right))


def test_search_settings_can_be_changed(tiny_run: Path, tmp_path: Path) -> None:
    spent = []
    for samples in (2, 12):
        out, _ = clearhead(
            "solve", "abc", "--run", tiny_run, "--task", "letters", "--strategy", "beam", "--json",
            "--set", f"search.samples={samples}", cwd=tmp_path,
        )  # fmt: skip
        spent.append(json.loads(out)["generated"])
    assert spent[0] < spent[1]
    out, _ = clearhead(
        "eval", "--run", tiny_run, "--set", "search.samples=2", "--strategies", "beam", "--limit", 4, "--seeds", 1,
        "--json", cwd=tmp_path,
    )  # fmt: skip
    assert json.loads(out)[0]["generated"] <= 2 * spent[0]


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
    row = EvalRow("mcts-puct", "MCTS", 300, 0.5, 0.4, 0.6, 100.0, 100.0, 0.1, 37, 1200, ("search.step_tokens",))
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
        (["solve", "abc", "--run", "RUN", "--set", "pretrain.steps=9"], "search settings alone: search.samples"),
        (["solve", "abc", "--run", "RUN", "--set", "search.sample=9"], "did you mean 'samples'?"),
        (["solve", "abc", "--run", "RUN", "--out", "found.jsonl"], "there is no file 'abc'"),
        (["solve", "missing.jsonl", "--run", "RUN"], "there is no file missing.jsonl"),
        (["solve", "RECIPE", "--run", "RUN", "--tree"], "type one problem"),
        (["solve", "RECIPE", "--run", "RUN", "--columns", "problem=x"], "is read line by line"),
        (["solve", "RECIPE", "--run", "RUN", "--out", "nowhere/found.jsonl"], "no folder nowhere"),
        (["eval", "--run", "RUN", "--problems", "missing.txt"], "missing.txt"),
        (["eval", "--run", "RUN", "--data", "missing.jsonl"], "missing.jsonl"),
        (["eval", "--run", "RUN", "--data", "a.jsonl", "--problems", "b.txt"], "give one of them"),
        (["eval", "--run", "RUN", "--columns", "problem=x"], "name that file"),
        (["eval", "--run", "RUN", "--set", "reward.steps=9"], "search settings alone"),
        (["run", "--resume"], "clearhead run --resume runs/NAME"),
        (["run"], "name a RECIPE"),
        (["run", "RUN"], "go on with it by --resume"),
        (["run", "--resume", "RUN", "--seed", "9"], "seed: 0 then, 9 now"),
        (["run", "--resume", "RUN", "--out", "other"], "leave out --out other"),
        (["run", "RECIPE", "--from", "RUN", "--redo", "reward"], "takes the recipe of that run"),
        (["run", "--from", "RUN"], "go together"),
        (["run", "--from", "RUN", "--redo", "magic"], "no stage 'magic'"),
        (["run", "--from", "RUN", "--redo", "reward", "--set", "model.preset=demo"], "belongs to the stage pretrain"),
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


def test_the_help_of_eval_names_every_strategy(tmp_path: Path) -> None:
    told = "".join(clearhead("eval", "--help", cwd=tmp_path)[0].split())  # names may be broken at a hyphen
    assert [name for name in STRATEGIES if name not in told] == []
