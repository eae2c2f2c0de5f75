"""A short interview from a pipe: questions rated, a problem answered, a summary; the ratings are reviews."""

import io
import json
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.cli.study import interview


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    notes = "# T\n## A\n" + "".join(f"{i}) Question {i}?\n    answer {i}\n" for i in range(1, 9))
    Path("n.md").write_text(notes, encoding="utf-8")
    assert main(["study", "import", "n.md"]) == 0


def test_what_would_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["study", "interview", "--json", "--seed", "3"]) == 0
    first = json.loads(capsys.readouterr().out)
    kinds = [part["kind"] for part in first["parts"]]
    assert kinds.count("exercise") == 1 and kinds.count("problem") == 2 and kinds.count("question") >= 4
    assert main(["study", "interview", "--json", "--seed", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_an_interview(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\nx\n1\n\n4\ns\n"))
    assert main(["study", "interview", "--minutes", "9", "--deck", "n", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert "3 of 3 parts asked" in out and "3 questions: 50% known, 1 passed over" in out
    assert "to review, the weakest first:" in out and "T / A" in out
    assert main(["study", "stats", "--deck", "n", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 2


def test_it_ends_early_with_a_summary(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n3\n"))  # then the input ends
    assert main(["study", "interview", "--minutes", "9", "--deck", "n"]) == 130
    assert "1 of 3 parts asked" in capsys.readouterr().out


def test_an_exercise_is_written_where_practice_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s\n"))
    assert interview._exercise("kv-cache", "practice") is None
    written = Path("practice").glob("*.py")
    assert main(["practice", "start", "kv-cache", "--dir", "other"]) == 0
    assert [path.name for path in written] == [path.name for path in Path("other").glob("*.py")] == ["kv_cache.py"]


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    for args in (["--minutes", "1"], ["--deck", "none"]):
        assert main(["study", "interview", *args]) == 2
        assert capsys.readouterr().err.count("\n") == 1
