"""`clearhead study check` on a file with faults, and on one without."""

import json
from pathlib import Path

import pytest

from clearhead.cli.main import main


def test_faults_are_told_with_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "n.md"
    notes.write_text("# T\n1) Why do transformers use layer norm instead of batch norm?\n2) $x?\n    TODO more\n")
    assert main(["study", "check", str(notes)]) == 1
    out = capsys.readouterr().out
    assert (
        f"{notes}:2: unanswered: Why do transformers" in out
        and "\n    clearhead guide 11.5: Why do transformers" in out
    )
    assert f"{notes}:3: mathematics" in out and f"{notes}:4: to do: more" in out
    assert out.splitlines()[-1].startswith("2 questions: 2 unanswered, 1 mathematics, 1 to do")
    assert main(["study", "check", str(notes), "--json"]) == 1
    assert [f["kind"] for f in json.loads(capsys.readouterr().out)] == [
        "unanswered",
        "unanswered",
        "mathematics",
        "to do",
    ]


def test_nothing_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.md").write_text("1) What is $1 + 1$?\n    $2$\n")
    assert main(["study", "check", str(tmp_path / "n.md")]) == 0
    assert capsys.readouterr().out == "1 questions: nothing to mend\n"


def test_no_notes_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "check", str(tmp_path / "none.md")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
