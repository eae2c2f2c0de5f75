"""Python that came with somebody's run is not run unasked, by any verb, and what is allowed is known by its content."""

import json
import shutil
from pathlib import Path

import pytest
from tiny import clearhead

from clearhead.errors import UserError
from clearhead.pipeline.data import run_tasks
from clearhead.pipeline.recipe import parse
from clearhead.pipeline.run import begin_from
from clearhead.pipeline.rundir import RunDir, create
from clearhead.pipeline.trust import fingerprint, remember, require, trusted

CHECK = """
from pathlib import Path
Path({marker!r}).touch()
def check(problem, answer, expected):
    return answer == expected
"""


@pytest.fixture
def theirs(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Somebody's run, which checks the answers of its first task with a file of theirs."""
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "mine"))
    run = RunDir(tmp_path / "theirs")
    shutil.copytree(tiny_run, run.path)
    (run.path / "data" / "check.py").write_text(CHECK.format(marker=str(tmp_path / "was-run")))
    config = run.config.read_text()
    run.config.write_text(config.replace("[tasks.letters]", '[tasks.letters]\nchecker = "data/check.py"', 1))
    state = json.loads(run.state.read_text())
    state["inputs"].append({**state["inputs"][0], "name": "data/check.py", "original": "/theirs/check.py"})
    run.state.write_text(json.dumps(state))
    return run


VERBS = (
    ("solve", "abc", "--task", "letters", "--strategy", "greedy", "--run"),
    ("eval", "--task", "letters", "--strategies", "greedy", "--limit", "2", "--run"),
    ("report",),
    ("run", "--resume"),
    ("run", "--out", "new", "--redo", "evaluation", "--from"),
)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb[0]}{verb[-1]}")
def test_no_verb_runs_it_unasked(theirs: RunDir, tmp_path: Path, verb: tuple[str, ...]) -> None:
    _, err = clearhead(*verb, theirs.path, cwd=tmp_path, expect=2)
    assert "would run Python of its maker's" in err and "data/check.py" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "was-run").exists() and not (tmp_path / "new").exists()


def test_what_is_allowed_once_is_known_by_its_content(theirs: RunDir, tmp_path: Path) -> None:
    clearhead(*VERBS[0], theirs.path, "--trust", cwd=tmp_path)
    assert (tmp_path / "was-run").exists()
    moved = RunDir(theirs.path.rename(tmp_path / "moved"))
    clearhead(*VERBS[0], moved.path, cwd=tmp_path)
    (moved.path / "data" / "json.py").write_text("evil = True")  # beside the one that was read, and imported first
    _, err = clearhead(*VERBS[0], moved.path, cwd=tmp_path, expect=2)
    assert "data/json.py" in err


def test_python_that_calls_the_library_is_refused_as_well(theirs: RunDir, tmp_path: Path) -> None:
    for call in (
        lambda: run_tasks(theirs),
        lambda: begin_from(theirs, "evaluation", tmp_path / "new", theirs.recipe(), {}),
    ):
        with pytest.raises(UserError, match="would run Python of its maker's"):
            call()
    assert not (tmp_path / "was-run").exists()


def test_a_recipe_of_ones_own_is_trusted_and_so_is_one_without_python(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text("def problems(split, seed):\n    yield from ((str(i), str(i)) for i in range(100))\n")
    run = create(tmp_path / "run", parse({"tasks": {"mine": {"source": f"python:{own}"}}}), {})
    assert run.python_files() == [run.path / "data" / "mine.py"] and trusted(run.python_files())
    require(run.path, run.python_files())
    assert trusted([]) and not create(tmp_path / "plain", parse({"tasks": {"game24": {}}}), {}).python_files()


def test_a_fingerprint_tells_names_and_contents_apart(tmp_path: Path) -> None:
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    a.write_text("x")
    b.write_text("x")
    assert len({fingerprint([a]), fingerprint([b]), fingerprint([a, b]), fingerprint([])}) == 4
    remember([a])
    a.write_text("y")
    assert not trusted([a])
