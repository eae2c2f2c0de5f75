"""Every example does what its first lines say, in small: rows are made, the run ends, the report is there."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from datetime import date
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest
from tiny import clearhead

from clearhead.config import load_toml

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
RECIPES = sorted(path.stem for path in EXAMPLES.glob("*.toml"))
WRITERS = sorted(path.stem for path in EXAMPLES.glob("*.py") if "from lines import" in path.read_text(encoding="utf-8"))
SMALL = (
    "model.preset=tiny", "pretrain.steps=2", "pretrain.warmup=1", "pretrain.batch_size=4", "pretrain.compile=off",
    "rollouts.problems=2", "rollouts.widths=[2]", "rollouts.completions=1", "reward.steps=2", "reward.warmup=1",
    "reward.batch_size=4", "reward.compile=off", "search.samples=2", "evaluation.problems=2", "evaluation.seeds=1",
    "evaluation.budgets=[40]", 'evaluation.strategies=["greedy","self-consistency"]',
)  # fmt: skip
SETTINGS = [argument for setting in SMALL for argument in ("--set", setting)]
FEWER = {" 3000 ": " 60 ", " 3100 ": " 64 ", "-n 100": "-n 4", "reward.steps=600": "reward.steps=3"}
SHELL = f"""
export PYTHONPATH={shlex.quote(str(ROOT / "src"))} OMP_NUM_THREADS=1
python() {{ {shlex.quote(sys.executable)} "$@"; }}
clearhead() {{ python -m clearhead "$@"; }}
"""


def write(name: str, rows: int) -> str:
    script = EXAMPLES / f"{name}.py"
    return subprocess.run([sys.executable, script, str(rows)], capture_output=True, encoding="utf-8", check=True).stdout


def rows(name: str, n: int = 500) -> list[dict]:
    return [json.loads(line) for line in write(name, n).splitlines()]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def readme_commands(readme: str) -> list[str]:
    """What a person types who follows the section "Your own task"."""
    section = readme.partition("\n## Your own task\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^ *```\n(.*?)```", section, flags=re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("python ", "clearhead "))]


def test_every_command_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    """With fewer rows and steps, one after the other, in one folder."""
    commands = readme_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(commands) >= 8
    (tmp_path / "examples").symlink_to(EXAMPLES)
    for command in commands:
        for many, few in FEWER.items():
            command = command.replace(many, few)
        if command.startswith("clearhead run examples/"):
            command = shlex.join([*shlex.split(command), *SETTINGS])
        told = subprocess.run(["bash", "-ec", f"{SHELL}\n{command}"], cwd=tmp_path, capture_output=True, text=True)
        assert told.returncode == 0, f"{command}\n{told.stdout}\n{told.stderr}"


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "dates"])  # that one is the README's
def test_an_example_goes_from_rows_to_a_report(name: str, tmp_path: Path) -> None:
    if name in WRITERS:
        (tmp_path / f"{name}.jsonl").write_text(write(name, 60), encoding="utf-8")
    (tmp_path / "examples").symlink_to(EXAMPLES)
    recipe = EXAMPLES / f"{name}.toml"
    out, _ = clearhead("run", recipe, "--json", *SETTINGS, cwd=tmp_path)
    (task,) = load_toml(recipe)["tasks"]
    run = tmp_path / "runs" / name
    assert (run / "report.html").stat().st_size > 10_000
    assert task in json.loads((run / "report.json").read_text())["evaluation"]
    assert json.loads(out)


@pytest.mark.parametrize("name", RECIPES)
def test_the_commands_at_the_top_name_files_that_are_there(name: str) -> None:
    text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    named = re.findall(r"examples/\w+\.\w+", text)
    assert f"examples/{name}.toml" in named
    assert all((EXAMPLES.parent / path).is_file() for path in named)
    assert load_toml(EXAMPLES / f"{name}.toml")["name"] == name


@pytest.mark.parametrize("name", WRITERS)
def test_rows_are_the_same_every_time_and_no_problem_comes_twice(name: str) -> None:
    assert write(name, 300) == write(name, 300)
    made = rows(name, 300)
    assert len({row["problem"] for row in made}) == len(made) == 300


def test_dates_are_what_their_steps_and_their_digits_say() -> None:
    for row in rows("dates"):
        year, month, day = (int(step.split()[1]) for step in row["steps"][:3])
        assert date(year, month, day) == date.fromisoformat(row["answer"]) and row["steps"][3] == row["answer"]
        assert re.search(rf"(?<!\d){day}(?!\d)|{day:02}", row["problem"]), row
        assert f"{year % 100:02}" in row["problem"], row
    assert len({re.sub(r"\d", "9", row["problem"]) for row in rows("dates")}) > 300, "too few forms"


@pytest.mark.parametrize("name", ["invoices", "units"])
def test_every_step_of_the_arithmetic_is_right(name: str) -> None:
    for row in rows(name):
        for step in row["steps"]:
            left, _, right = step.partition(" = ")
            if percent := re.fullmatch(r"(\d+)% of (\S+)", left):
                exact = Fraction(percent[1]) / 100 * Fraction(percent[2])
                assert abs(exact - Fraction(right)) <= Fraction(1, 200), row
            else:
                assert Fraction(right) == calculate(left), row
        assert row["steps"][-1].endswith(f"= {row['answer']}")


def calculate(expression: str) -> Fraction:
    """The value of numbers joined by one kind of sign, with spaces around it."""
    first, *rest = expression.split()
    value = Fraction(first)
    for sign, number in zip(rest[::2], map(Fraction, rest[1::2]), strict=True):
        value = {"+": value + number, "-": value - number, "×": value * number}[sign]
    return value


def test_every_field_of_a_log_stands_in_its_line() -> None:
    for row in rows("logs"):
        found = json.loads(row["answer"])
        line = row["problem"].lower()
        assert found.keys() >= {"time", "level", "host", "app", "event"}
        for value in (found["host"], found["app"], found["event"], found.get("user", ""), str(found.get("ms", ""))):
            assert value in line, row
        assert found["level"][:4] in line and found["time"][11:] in line and found["time"][:4] in line, row


def test_counts_are_counts() -> None:
    for row in rows("counting"):
        asked, _, line = row["problem"].partition(": ")
        letter = asked.removeprefix("count ").removeprefix("how many ")[0]
        line = line or row["problem"].partition("? ")[2]
        assert line.count(letter) == int(row["answer"]), row
        assert [step.split()[0] for step in row["steps"]] == line.split()


def test_change_accepts_every_way_to_pay_and_no_other() -> None:
    change = module("change")
    draw = change.problems("train", 0)
    for row in (next(draw) for _ in range(200)):
        assert change.check(row["problem"], row["answer"], "")
        assert row["steps"][-1] == f"={row['answer']}"
        assert not change.check(row["problem"], row["answer"] + "+3", row["answer"])
    assert change.check("pay 24 with 10 8 3", "3+3+3+3+3+3+3+3", "8+8+8")
    for wrong in ("", "8+8", "24", "8+8+4+4", "8 8 8", "8+8+8+", "-8+8+8+8+8", "8+16"):
        assert not change.check("pay 24 with 10 8 3", wrong, "8+8+8"), wrong
    assert next(change.problems("valid", 0)) != next(change.problems("train", 0))
    assert next(change.problems("train", 0)) == next(change.problems("train", 0))
