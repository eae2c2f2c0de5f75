"""Reviews as they are typed: from a pipe line by line, and on a real terminal key by key."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.cli.study import review
from clearhead.study import deck as decks

Capture = pytest.CaptureFixture[str]
NOTES = (
    "# Animals\n\n1) What barks?\n\n    A dog.\n\n## Large\n\n1) What trumpets?\n\n    An elephant.\n\n2) What roars?\n"
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    Path("animals.md").write_text(NOTES)
    assert main(["study", "import", "animals.md"]) == 0
    capsys.readouterr()


def typed(capsys: Capture, monkeypatch: pytest.MonkeyPatch, keys: str, *args: str) -> str:
    """What is shown when these keys are typed, one a line; `_` is an empty line."""
    lines = "".join(f"{'' if key == '_' else key}\n" for key in keys.split())
    read, write = os.pipe()
    os.write(write, lines.encode())
    os.close(write)
    with os.fdopen(read) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert main(["study", "--deck", "animals", *args]) == 0
    return capsys.readouterr().out


def reviews() -> list[tuple[str, int]]:
    with decks.opened(Path("data/decks.db")) as db:
        return db.execute("select question, rating from reviews join cards on cards.id = card order by at").fetchall()


def test_three_cards(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    told = typed(capsys, monkeypatch, "_ 4 _ 4 _ 1 q")
    assert told.index("What barks?") < told.index("A dog.") < told.index("1 again 1 min, 2 hard")
    assert "3 left · animals · Animals" in told and "2 left · animals · Animals / Large" in told
    assert "(the notes have no answer to this)" in told
    assert told.endswith("3 answered in 1 min: 1 again, 2 easy\n1 more waits\n")
    assert reviews() == [("What barks?", 4), ("What trumpets?", 4), ("What roars?", 1)]


def test_the_answer_is_not_shown_before_it_is_asked_for(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "A dog." not in typed(capsys, monkeypatch, "? q")
    assert reviews() == []


def test_rating_a_hidden_answer_shows_it_first(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "A dog." in typed(capsys, monkeypatch, "4 q")
    assert reviews() == []


def test_undo_takes_back_answers_burying_and_suspending(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    told = typed(capsys, monkeypatch, "u _ 4 u _ 1 b s u u u q")
    assert "nothing to undo" in told and "nothing answered" in told
    assert reviews() == []
    with decks.opened(Path("data/decks.db")) as db:
        assert [(card.suspended, card.buried_until) for card in decks.cards(db, "animals")] == [(False, 0)] * 3
    typed(capsys, monkeypatch, "b s q")
    with decks.opened(Path("data/decks.db")) as db:
        barks, trumpets, _ = decks.cards(db, "animals")
        assert barks.buried_until > time.time() and trumpets.suspended


def test_new_limit_and_section(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "What trumpets?" in typed(capsys, monkeypatch, "_ 4 _ 4", "--section", "large", "--limit", "1")
    assert reviews() == [("What trumpets?", 4)]
    told = typed(capsys, monkeypatch, "_ 4", "--new", "1")
    assert told.startswith("nothing answered\nthe next card comes in ") and reviews() == [("What trumpets?", 4)]
    assert main(["study", "--section", "plants"]) == 2
    assert "plants" in capsys.readouterr().err


def test_search_and_edit(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = Path("editor")
    swap = "p = sys.argv[1]\nt = open(p).read()\nopen(p, 'w').write(t.replace('dog', 'hound'))\n"
    editor.write_text(f"#!{sys.executable}\nimport sys\n{swap}")
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor.resolve()))
    told = typed(capsys, monkeypatch, "/ trumpets e _ q")
    assert "- Large: What trumpets?\n1 found" in told and "A hound." in told
    editor.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[1], 'w').write('nothing')\n")
    assert "unchanged: there must be one line" in typed(capsys, monkeypatch, "e q")
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    assert "ditor" in typed(capsys, monkeypatch, "e q")
    monkeypatch.delenv("EDITOR")
    assert "set EDITOR" in typed(capsys, monkeypatch, "e q")
    with decks.opened(Path("data/decks.db")) as db:
        assert decks.cards(db, "animals")[0].answer == "A hound."


def test_an_edit_can_be_undone(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.edit", lambda text, **options: text.replace("dog", "hound"))
    monkeypatch.setenv("EDITOR", "some")
    assert typed(capsys, monkeypatch, "_ e u _ q").count("A dog.") == 2


def test_what_waits_as_json(capsys: Capture) -> None:
    assert main(["study", "--json", "--limit", "2"]) == 0
    assert [card["question"] for card in json.loads(capsys.readouterr().out)] == ["What barks?", "What trumpets?"]


@pytest.mark.parametrize("args", [["--deck", "animals", "list"], ["--limit", "0"], ["--new", "-1"], ["--deck", "none"]])
def test_options_that_cannot_be_honored(args: list[str], capsys: Capture) -> None:
    assert main(["study", *args]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_formulas_are_signs_and_code_stays() -> None:
    text = "So $x_i^2$\n" + "and more words " * 9 + "\n\n- one\n- two\n\n```\na $x$\n```"
    lines = review.shown(text).splitlines()
    assert lines[0].startswith("So xᵢ² and more words") and max(map(len, lines)) <= 80
    assert " • two" in lines and "  a $x$" in lines


class Terminal:
    """`clearhead study` on a terminal of its own."""

    def __init__(self, *args: str) -> None:
        self.main, child = pty.openpty()
        command = [sys.executable, "-m", "clearhead", "study", *args]
        environment = os.environ | {"PYTHONPATH": str(Path(decks.__file__).parents[2]), "TERM": "xterm"}
        self.process = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=child, env=environment, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test in the background ignores it
        )  # fmt: skip
        os.close(child)
        self.shown = ""

    def until(self, text: str) -> str:
        """What is shown up to this text, from where the last call left off."""
        while text not in self.shown:
            assert select.select([self.main], [], [], 60)[0], self.shown
            try:
                self.shown += os.read(self.main, 4096).decode()
            except OSError:  # it has ended
                raise AssertionError(self.shown) from None
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, keys: str) -> None:
        os.write(self.main, keys.encode())

    def end(self) -> int:
        code = self.process.wait(60)
        os.close(self.main)
        return code


def test_keys_act_without_enter_and_ctrl_c_loses_nothing() -> None:
    terminal = Terminal("--deck", "animals")
    terminal.until("any key")
    terminal.type("\x1b[A")  # an arrow is one key
    assert "A dog." in terminal.until("1 again")
    terminal.type("x")
    terminal.until("1 to 4")
    terminal.type("4 ")  # typed ahead
    terminal.until("An elephant.")
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.until("1 answered in 1 min: 1 easy")
    assert terminal.end() == 130
    assert reviews() == [("What barks?", 4)]
    again = Terminal("--deck", "animals")
    again.until("What trumpets?")
    again.type("\x04")
    again.until("nothing answered")
    assert again.end() == 0
