"""The files that a recipe names: copied, found again, and known by what is in them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearhead.errors import UserError
from clearhead.pipeline import inputs
from clearhead.pipeline.recipe import Recipe, parse
from clearhead.pipeline.rundir import RunDir, create, reopen

ROWS = "".join(json.dumps({"problem": f"{a}+1", "answer": str(a + 1)}) + "\n" for a in range(40))
CHECK = "def check(problem, answer, expected):\n    return answer == expected\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "sums.jsonl").write_text(ROWS)
    (folder / "check.py").write_text(CHECK)
    (folder / "held.txt").write_text("3+1\n5+1\n")
    return folder


def recipe(folder: Path, **options: Any) -> Recipe:
    section = {"source": f"file:{folder / 'sums.jsonl'}", "checker": str(folder / "check.py"), **options}
    return parse({"name": "x", "tasks": {"mine": {**section, "holdout": str(folder / "held.txt")}}})


def test_a_run_needs_neither_its_files_nor_its_place(files: Path, tmp_path: Path) -> None:
    create(tmp_path / "run", recipe(files), {})
    shutil.rmtree(files)
    (tmp_path / "run").rename(tmp_path / "moved")
    (task,) = (config.load() for config in RunDir(tmp_path / "moved").recipe().tasks)
    assert task.problems("test", 9, 0) and set(task.problems("test", 9, 0)) == {"3+1", "5+1"}
    assert task.check("3+1", "4") and not task.check("3+1", "5")


def test_config_names_the_copies_relative_to_the_run(files: Path, tmp_path: Path) -> None:
    run = create(tmp_path / "run", recipe(files), {})
    told = run.config.read_text()
    assert str(tmp_path) not in told
    assert 'source = "file:data/sums.jsonl"' in told and 'checker = "data/check.py"' in told
    assert sorted(path.name for path in (run.path / "data").iterdir()) == ["check.py", "held.txt", "sums.jsonl"]


def test_files_of_one_name_are_kept_apart_and_equal_files_once(tmp_path: Path) -> None:
    for folder, text in (("a", "one"), ("b", "two"), ("c", "one")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rows.jsonl").write_text(text)
    plain = {"tasks": {name: {"source": f"file:{tmp_path / name / 'rows.jsonl'}"} for name in "abc"}}
    run = tmp_path / "run"
    run.mkdir()
    kept, found = inputs.keep(plain, run)
    assert [kept["tasks"][name]["source"] for name in "abc"] == [
        "file:data/rows.jsonl", "file:data/rows-2.jsonl", "file:data/rows.jsonl",
    ]  # fmt: skip
    assert [(run / entry.name).read_text() for entry in found] == ["one", "two"]


def test_resume_knows_a_file_by_its_content(files: Path, tmp_path: Path) -> None:
    create(tmp_path / "run", recipe(files), {})
    reopen(tmp_path / "run", recipe(files))
    files.rename(tmp_path / "elsewhere")
    reopen(tmp_path / "run", recipe(tmp_path / "elsewhere"))
    reopen(tmp_path / "run", recipe(files))  # gone, but the run has it
    with pytest.raises(UserError, match=r"checker: .* now"):
        reopen(tmp_path / "run", recipe(tmp_path / "elsewhere", checker="exact"))


def test_resume_refuses_a_file_that_has_changed(files: Path, tmp_path: Path) -> None:
    create(tmp_path / "run", recipe(files), {})
    (files / "sums.jsonl").write_text(ROWS + '{"problem": "one", "answer": "1"}\n')
    with pytest.raises(UserError, match=r"sums.jsonl has changed since .*clearhead run --resume"):
        reopen(tmp_path / "run", recipe(files))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: path.unlink(), r"needs .*sums.jsonl, which is not there; put it back"),
        (lambda path: path.write_text(ROWS + ROWS[:5]), "has changed since"),
    ],
)
def test_a_large_file_stays_where_it_is_and_is_watched(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object], told: str
) -> None:
    monkeypatch.setattr(inputs, "LARGEST_COPY", 200)
    large = files / "sums.jsonl"
    run = create(tmp_path / "run", recipe(files), {})
    assert not (run.path / "data" / "sums.jsonl").exists() and (run.path / "data" / "check.py").exists()
    os.utime(large)  # a new time alone is no change
    assert run.recipe().tasks[0].source == f"file:{large}"
    harm(large)
    with pytest.raises(UserError, match=told):
        run.recipe()
    run.any_recipe()  # what needs no data, such as a chat, still opens the run


def test_a_run_of_before_inputs_were_kept_opens(files: Path, tmp_path: Path) -> None:
    run = create(tmp_path / "run", recipe(files), {})
    state = run.read_state()
    del state["inputs"]
    run.state.write_text(json.dumps(state))
    run.config.write_text(run.config.read_text().replace("data/", f"{files}/"))
    shutil.rmtree(run.path / "data")
    assert run.recipe() == recipe(files)
    reopen(run.path, recipe(files))


def test_what_a_python_file_imports_from_beside_it_goes_along(tmp_path: Path) -> None:
    """Modules, what these import, and packages; not what lies there unused, nor the installed."""
    source = tmp_path / "mine"
    (source / "words").mkdir(parents=True)
    (source / "task.py").write_text(
        "import json, near\nfrom words.more import X\n\ndef check(p, a, e): return near.Y\n"
    )
    (source / "near.py").write_text("import far\nimport task\nY = far.Z\n")
    (source / "far.py").write_text("Z = True\n")
    (source / "unused.py").write_text("")
    (source / "words" / "__init__.py").write_text("")
    (source / "words" / "more.py").write_text("X = 1\n")
    run = tmp_path / "run"
    run.mkdir()
    _, found = inputs.keep({"tasks": {"mine": {"checker": str(source / "task.py")}}}, run)
    assert [entry.name for entry in found] == ["data/task.py"]
    kept = {str(path.relative_to(run / "data")) for path in (run / "data").rglob("*.py")}
    assert kept == {"task.py", "near.py", "far.py", "words/__init__.py", "words/more.py"}


def test_two_modules_of_one_name_are_told(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"check_{folder}.py").write_text("import near\n")
        (tmp_path / folder / "near.py").write_text(f"Y = {folder!r}\n")
    run = tmp_path / "run"
    run.mkdir()
    tasks = {name: {"checker": str(tmp_path / name / f"check_{name}.py")} for name in ("a", "b")}
    with pytest.raises(UserError, match=r"two files of the recipe are called near\.py"):
        inputs.keep({"tasks": tasks}, run)
