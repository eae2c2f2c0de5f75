"""Tools by their names, and names that are none."""

from pathlib import Path

import pytest

from clearhead.agents.calls import carry_out, deny
from clearhead.agents.steps import Action
from clearhead.agents.toolbox import spec as module
from clearhead.agents.toolbox.spec import by_name, entries, make_tools
from clearhead.agents.tools import Tool
from clearhead.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.md").write_text("# Moon\nIt is far.\n")
    return tmp_path


def test_tools_by_their_names(folder: Path) -> None:
    tools = make_tools(f"calculator, clock,docs:{folder} ,files:{folder}")
    assert list(tools) == [
        "calculator", "clock", "search_docs", "read_docs", "list_files", "read_file", "write_file",
    ]  # fmt: skip
    assert [name for name, tool in tools.items() if tool.writes] == ["write_file"]
    assert all(tool.description and tool.schema["type"] == "object" for tool in tools.values())
    [found] = carry_out([Action("calculator", {"expression": "2 ** 10"})], tools, deny)
    assert found.text == "1024"


def test_the_python_tool_is_among_them(walled: None) -> None:
    [found] = carry_out([Action("python", {"code": "2 ** 10"})], make_tools("python"), deny)
    assert found.text == "1024"


def test_two_of_a_name_have_two_names(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    tools = make_tools(f"files:{folder},files:{tmp_path / 'other'},clock,clock")
    assert "read_file" in tools and "read_file_2" in tools and "clock_2" in tools
    assert all(name == tool.name for name, tool in tools.items())
    three = [Tool("a", "", {}, print)] * 3
    assert list(by_name(three)) == ["a", "a_2", "a_3"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "there is no tool ''; there are calculator"), ("abacus", "there is no tool 'abacus'"),
        ("calculator,", "there is no tool ''"), ("calculator,abacus", "'abacus'"), ("Calculator", "'Calculator'"),
        ("calculator:5", "calculator takes nothing behind it"), ("clock:", "clock takes nothing"),
        ("python:3", "python takes nothing"), ("docs", "names no folder; write docs:FOLDER"),
        ("docs:", "names no folder"), ("files: ", "names no folder"), ("docs:/no/such", "'/no/such' is no folder"),
        ("files:/dev/null", "'/dev/null' is no folder"), ("mcp", "names no server; write mcp:COMMAND"),
        ("mcp:", "names no server"), ("mcp:  ", "names no server"), ("files:a\0b", "is no folder"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_told_in_one_line(spec: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        make_tools(spec)
    assert said in str(error.value) and str(error.value).startswith("tools: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("clock", ["clock"]),
        ("mcp:run --only a,b --x", ["mcp:run --only a,b --x"]),
        ("mcp:run a,b,clock,mcp:http://h/x", ["mcp:run a,b", "clock", "mcp:http://h/x"]),
        ("mcp:run python,docs:x", ["mcp:run python", "docs:x"]),
        ("mcp:run clocks,clockwork", ["mcp:run clocks,clockwork"]),
        ("clock,nothing", ["clock", "nothing"]),
    ],
)
def test_a_command_may_have_commas(spec: str, parts: list[str]) -> None:
    assert entries(spec) == parts


def test_a_server_s_tools_are_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()
    monkeypatch.setattr(module, "mcp_tools", lambda where: asked.append(where) or [Tool("clock", "", {}, print, True)])
    assert list(make_tools("clock, mcp: serve it")) == ["clock", "clock_2"] and asked == ["serve it"]
