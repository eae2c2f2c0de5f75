import pytest

from clearhead.cli.intake import put_columns
from clearhead.errors import UserError


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
