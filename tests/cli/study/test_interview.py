"""A short interview from a pipe: questions rated, a problem answered, a summary; the ratings are reviews."""

import io
import json
from pathlib import Path

import numpy as np
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


def test_an_interview_asks_the_users_decks_where_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    def asked() -> set[str]:
        capsys.readouterr()
        assert main(["study", "interview", "--json", "--minutes", "60"]) == 0
        return {part.get("question", "") for part in json.loads(capsys.readouterr().out)["parts"]} - {""}

    assert asked() and all(question.startswith("Question ") for question in asked())
    Path("empty.md").write_text("# T\n## A\n1) Unanswered?\n", encoding="utf-8")
    assert main(["study", "remove", "n", "--yes"]) == 0
    assert main(["study", "import", "empty.md"]) == 0
    assert asked() and not any(question.startswith("Question ") for question in asked())  # the guide's


def test_a_pass_in_an_interview_is_one_in_practice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, walled: None
) -> None:
    from clearhead.study.practice.exercise import load

    Path("practice").mkdir()
    Path("practice/softmax.py").write_text(load("softmax").solution, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert interview._exercise("softmax", "practice") == 1.0
    monkeypatch.setattr("sys.stdin", io.StringIO("2LGCSb\n"))
    assert interview._problem("kv-cache-size", np.random.default_rng(0)) == 1.0
    assert "compared as a formula" in capsys.readouterr().out
    assert main(["practice", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["softmax"]["passed"] and rows["softmax"]["attempts"] == 1
    assert main(["practice", "problems"]) == 0
    assert "✓ kv-cache-size" in capsys.readouterr().out
