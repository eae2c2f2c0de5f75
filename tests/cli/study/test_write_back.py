"""`clearhead study write-back`, and importing what was renamed or rewritten."""

import io
import json
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.study import deck as decks

Capture = pytest.CaptureFixture[str]
NOTES = "# A\n\n### What barks?\n\nA dog.\n\n### What is softmax attention?\n\n### What roars?\n\nA lion.\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    Path("n.md").write_text(NOTES)
    assert main(["study", "import", "n.md"]) == 0


def edit(question: str, answer: str) -> None:
    with decks.opened(Path("data/decks.db")) as db:
        (card,) = (card for card in decks.cards(db, "n") if card.question == question)
        decks.edit(db, card.id, question, answer)


def test_a_diff_is_shown_and_nothing_written_unasked(capsys: Capture) -> None:
    edit("What barks?", "A seal.")
    capsys.readouterr()
    assert main(["study", "write-back"]) == 0
    told = capsys.readouterr().out
    assert "-A dog.\n+A seal.\n" in told and "--yes writes it" in told and Path("n.md").read_text() == NOTES
    assert main(["study", "write-back", "--yes"]) == 0
    assert Path("n.md").read_text() == NOTES.replace("A dog.", "A seal.")
    capsys.readouterr()
    assert main(["study", "write-back", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": [], "left": []}
    assert main(["study", "import", "n.md", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == []


def test_what_cannot_be_written_is_named(capsys: Capture) -> None:
    edit("What barks?", "A seal.")
    Path("n.md").write_text(NOTES.replace("A dog.", "A fox."))
    capsys.readouterr()
    assert main(["study", "write-back", "--yes"]) == 1
    assert "left: What barks?" in capsys.readouterr().out and "A fox." in Path("n.md").read_text()
    assert main(["study", "write-back", "--deck", "guide"]) == 2


def test_the_guides_answer_is_taken_and_written(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("_\n3\n_\ng\n3\nq\n"))
    capsys.readouterr()
    assert main(["study", "--deck", "n"]) == 0
    told = capsys.readouterr().out
    assert "Not in your notes; from the guide" in told and "taken;" in told
    assert main(["study", "write-back", "--yes"]) == 0
    text = Path("n.md").read_text()
    before, after = text.split("### What is softmax attention?\n")
    assert after.index("### What roars?") > 50 and "Not in your notes" not in text and NOTES.startswith(before)


def test_a_renamed_file_and_a_rewritten_question(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("_\n3\n_\n3\n_\n3\nq\n"))
    assert main(["study", "--deck", "n"]) == 0
    Path("n.md").rename("m.md")
    capsys.readouterr()
    assert main(["study", "import", "m.md", "--deck", "other"]) == 0
    assert "--relink goes on with it" in capsys.readouterr().out, "elsewhere than at a terminal nobody has agreed"
    assert main(["study", "remove", "other", "--yes"]) == 0
    capsys.readouterr()
    assert main(["study", "import", "m.md", "--relink", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["renamed"] == "n" and told["kept"] == 3 and not told["added"]
    Path("m.md").write_text(
        NOTES.replace("What roars?", "Name a cat").replace("A lion.", "Has a mane, lives in prides.")
    )
    assert main(["study", "import", "m.md"]) == 0
    assert "1 new questions may be old ones" in capsys.readouterr().out
    assert main(["study", "import", "m.md", "--relink", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["relinked"] == [["What roars?", "Name a cat"]]
    with decks.opened(Path("data/decks.db")) as db:
        assert all(card.state for card in decks.cards(db, "m"))


def test_standard_input_and_preview(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(NOTES.encode())))
    capsys.readouterr()
    assert main(["study", "import", "-", "--deck", "piped", "--preview"]) == 0
    told = capsys.readouterr().out
    assert "-: found 3 questions, 3 as '### ...'" in told
    with decks.opened(Path("data/decks.db")) as db:
        assert decks.decks(db) == ["n"]
