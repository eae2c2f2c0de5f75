"""Facts out of a person's own table."""

from pathlib import Path

import pytest

from clearhead.agents.calls import carry_out
from clearhead.agents.steps import Action
from clearhead.agents.toolbox.spec import make_tools
from clearhead.agents.toolbox.table import read_rows
from clearhead.errors import UserError

CSV = "item;price;In stock\nPear;3,50;7\nfig;1;\n"


def written(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_fact_is_found_by_row_and_column(tmp_path: Path) -> None:
    tools = make_tools(f"table:{written(tmp_path, CSV)}")
    asked = [("pear", "price"), ("PEAR ", "in stock"), ("fig", "In stock"), ("plum", "price"), ("fig", "weight")]
    found = carry_out(
        [Action("lookup", {"item": item, "column": column}, i) for i, (item, column) in enumerate(asked)],
        tools,
        lambda action, tool: True,
    )
    assert [(o.text, o.ok) for o in found[:3]] == [("3,50", True), ("7", True), ("", True)]
    assert [o.ok for o in found[3:]] == [False, False]
    assert found[3].text == "no item plum; there are pear, fig"
    assert found[4].text == "no column weight; there are item, price, in stock"
    assert tools["lookup"].schema["required"] == ["item", "column"] and not tools["lookup"].writes


def test_jsonl_is_a_table_too(tmp_path: Path) -> None:
    rows = read_rows(written(tmp_path, '{"name": "a", "n": 1}\n{"name": "b", "n": 2.50}\n', "rows.jsonl"))
    assert rows == {"a": {"name": "a", "n": "1"}, "b": {"name": "b", "n": "2.50"}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("item,price\npear,1\nPear,2\n", "stands in the first column twice"), ("item\npear\n", "two columns"),
        ("item,price\n", "no row"), ("", "empty|no row"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        make_tools(f"table:{written(tmp_path, text)}")
    assert "\n" not in str(error.value)


def test_a_table_needs_a_file(tmp_path: Path) -> None:
    for entry in ("table", "table:", f"table:{tmp_path / 'none.csv'}", "table:notes.txt"):
        with pytest.raises(UserError):
            make_tools(entry)
