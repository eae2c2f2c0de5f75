"""Nothing that others wrote steers a terminal: the functions on any text, and that all verbs print by them alone."""

import ast
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from clearhead import terminal
from clearhead.console import SafeConsole
from clearhead.terminal import Shown, joined, one_line, spelled, styled, to_json

SOURCE = Path(__file__).parents[1] / "src" / "clearhead"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
HOSTILE = "a\x1b[2Jb\x07\x9b31m\rc\u202ed\x1b]0;name\x07\ud800"
hostile = st.text(st.characters() | st.sampled_from("\x1b\x07\x9b\x08\r\u202e\u2066\x7f\ud800"))


@given(hostile)
def test_no_text_steers(text: str) -> None:
    assert not STEERS.search(spelled(text)) and not STEERS.search(one_line(text)) and "\n" not in one_line(text)
    assert not STEERS.search(to_json(text)) and json.loads(to_json(text)) == text


def test_plain_text_stays_as_it_is() -> None:
    text = "Straße\t∑ᵢ ℓᵢ\n日本語\u3000\u00a0👩\u200d🔬 עברית"
    assert spelled(text) == text and json.loads(to_json(text)) == text


def test_only_our_own_styles_are_kept() -> None:
    assert styled("a\x1b[2J", bold=True) == "\x1b[1ma\\x1b[2J\x1b[0m"
    assert joined(["\x1b", styled("x", dim=True), "\n"]) == "\\x1b\x1b[2mx\x1b[0m\n"
    assert spelled(Shown("\x1b[1m")) == "\x1b[1m"
    assert spelled(styled("x", bold=True) + "\x1b") == "\\x1b[1mx\\x1b[0m\\x1b", "a part that is not ours spoils it"


def test_a_console_of_rich_spells_out_what_it_is_given() -> None:
    file = io.StringIO()
    page = SafeConsole(file=file, width=200)
    table = Table(HOSTILE)
    table.add_row(HOSTILE)
    for content in (HOSTILE, Text(HOSTILE), table):
        page.print(content, markup=False)
    assert "a\\x1b[2J" in file.getvalue() and not STEERS.search(file.getvalue())


def printing(path: Path) -> list[str]:
    """Calls that print past `terminal`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {"print", "click.echo", "click.secho", "click.style", "Console", "sys.stdout.write", "sys.stderr.write"}
    return [f"{path.name}:{call.lineno}" for call in calls if ast.unparse(call.func) in names]


@pytest.mark.parametrize("folder", ["cli", "study", "pipeline", "training", "tasks"])
def test_everything_is_printed_by_one_module(folder: str) -> None:
    mine = {"child.py", "examples.py"}  # processes whose output is read by the one that started them
    paths = [path for path in sorted((SOURCE / folder).rglob("*.py")) if path.name not in mine]
    assert paths and [call for path in paths for call in printing(path)] == []
    assert printing(Path(terminal.__file__)) != []
