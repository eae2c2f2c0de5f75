from pathlib import Path

import pytest

from clearhead.cli.intake import put_columns, read_recipe
from clearhead.config import load_toml
from clearhead.errors import UserError

ROOT = Path(__file__).parents[2]


def test_columns_go_into_the_one_task():
    data = {"tasks": {"mine": {"source": "file:x", "columns": {"answer": "a", "steps": "s"}}}}
    put_columns(data, "problem=question,answer=label", True)
    columns = {"problem": "question", "answer": "label", "steps": "s"}
    assert data["tasks"]["mine"] == {"source": "file:x", "columns": columns, "skip_bad": True}
    put_columns({}, None, False)


@pytest.mark.parametrize("tasks", [{}, {"a": {}, "b": {}}, {"a": 3}])
def test_a_recipe_without_one_task(tasks):
    with pytest.raises(UserError, match=r"--columns problem=q: the recipe has .* and not one"):
        put_columns({"tasks": tasks}, "problem=q", True)
    with pytest.raises(UserError, match="--skip-bad: the recipe has"):
        put_columns({"tasks": tasks}, None, True)


@pytest.mark.parametrize("text", ["", "question", "=x", "problem=q,", "problem=q,x"])
def test_columns_that_cannot_be_read(text):
    with pytest.raises(UserError, match="write it as problem=question,answer=label"):
        put_columns({"tasks": {"a": {}}}, text, False)


@pytest.mark.parametrize(
    ("file", "source"),
    [("a/words.csv", "file:a/words.csv"), ("sums.PY", "python:sums.PY"), ("b.jsonl", "file:b.jsonl")],
)
def test_a_file_of_problems_stands_for_the_recipe_own_task(file, source):
    data, where = read_recipe(file)
    own = load_toml(ROOT / "recipes" / "own-task.toml")
    assert (data["name"], where) == (file.rpartition("/")[2].partition(".")[0], file)
    assert data["tasks"] == {"mine": {"source": source}}
    assert {key: data[key] for key in own.keys() - {"name", "tasks"}} == {
        key: own[key] for key in own.keys() - {"name", "tasks"}
    }


def test_any_other_name_is_that_of_a_recipe(tmp_path):
    own = ROOT / "recipes" / "own-task.toml"
    assert read_recipe("own-task")[0] == read_recipe(str(own))[0] == load_toml(own)
    with pytest.raises(UserError, match="no recipe 'words"):
        read_recipe("words.txt")
