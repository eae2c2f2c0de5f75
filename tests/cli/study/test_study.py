"""`clearhead study`: notes in, the guide on its own, and what goes wrong on the way."""

import json
import os
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.cli.study.passes import of_problem, tried
from clearhead.study import deck as decks
from clearhead.study.examples import GUIDE
from clearhead.study.practice.problem_set import PROBLEMS

Capture = pytest.CaptureFixture[str]
NOTES = "# Animals\n\n1) What barks?\n\n    A dog.\n\n2) What has a trunk?\n\n    TODO an elephant\n\n3) What roars?\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    Path("animals.md").write_text(NOTES)


def answer(capsys: Capture, *args: str, code: int = 0) -> dict:
    assert main(["study", *args, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_import_and_import_again(capsys: Capture) -> None:
    assert main(["study", "import", "animals.md"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[:2] == [
        "animals.md: found 3 questions, 3 as '1) ...'",
        "animals: 3 questions, 1 without an answer, 1 TODOs",
    ]
    assert "clearhead study --deck animals" in told and "added" not in told
    Path("animals.md").write_text(NOTES.replace("What roars", "What is it that roars").replace("1) What barks?", ""))
    assert main(["study", "import", "animals.md"]) == 0
    told = capsys.readouterr().out
    assert "1 changed\n  What is it that roars?" in told and "1 removed (their reviews are kept)" in told
    again = answer(capsys, "import", "animals.md", "--deck", "zoo")
    assert again["deck"] == "zoo" and len(again["added"]) == 2 and again["kept"] == 0
    rows = {row["deck"]: row for row in answer(capsys, "list")}
    assert rows["animals"]["cards"] == 2 and rows["animals"]["gone"] == 1 and rows["zoo"]["new"] == 2
    assert rows["guide"]["cards"] > 100


def test_the_guide_is_imported_again_when_it_changed(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapters = tmp_path / "guide"
    chapters.mkdir()
    (chapters / "01.md").write_text("# One\n\n1) First question?\n\n    Yes.\n")
    monkeypatch.setattr("clearhead.study.examples.GUIDE", chapters)
    assert [row["cards"] for row in answer(capsys, "list")] == [1]
    (chapters / "02.md").write_text("# Two\n\n1) Second thing?\n\n    No.\n")
    assert [row["cards"] for row in answer(capsys, "list")] == [2]
    found = answer(capsys, "search", "two", "second")
    assert [(card["deck"], card["section"], card["answer"]) for card in found] == [("guide", ["Two"], "No.")]


def test_search_in_one_deck(capsys: Capture) -> None:
    answer(capsys, "import", "animals.md")
    assert main(["study", "search", "DOG", "barks", "--deck", "animals"]) == 0
    assert capsys.readouterr().out == "animals: Animals\n  1) What barks?\n1 found\n"
    assert len(answer(capsys, "search", "perplexity")) > 1 and GUIDE.is_dir()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["import", "none.md"], "there is no none.md"),
        (["import", "empty"], "no file of notes"),
        (["import", "binary.md"], "zero bytes"),
        (["import", "words.md"], "no questions"),
        (["import", "animals.md", "--deck", "guide"], "another name"),
        (["import", "animals.md", "--deck", "a\nb"], "no name"),
        (["import", "animals.md", "--deck", ""], "no name"),
        (["search", "dog", "--deck", "anmals"], "did you mean 'animals'?"),
    ],
)
def test_a_mistake_is_one_line_and_the_deck_stays(args: list[str], said: str, capsys: Capture) -> None:
    Path("binary.md").write_bytes(b"1) Q\0?\n")
    Path("empty").mkdir()
    Path("words.md").write_text("# words\n")
    answer(capsys, "import", "animals.md")
    before = Path("data/decks.db").read_bytes()
    assert main(["study", *args]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out
    if args[0] == "import":
        assert Path("data/decks.db").read_bytes() == before and os.listdir("data") == ["decks.db"]


def test_out_and_in_again(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer(capsys, "import", "animals.md")
    assert main(["study", "export", "--json", "all.json"]) == 0
    assert "animals, guide" in capsys.readouterr().out
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "elsewhere"))
    restored = answer(capsys, "restore", "all.json")
    assert restored["animals"] == 3 and [row["deck"] for row in answer(capsys, "list")] == ["animals", "guide"]
    assert main(["study", "export", "--anki", "a.apkg"]) == 0
    assert capsys.readouterr().out.startswith("a.apkg: 3 cards of animals")
    assert Path("a.apkg").read_bytes()[:2] == b"PK"


def test_stats(capsys: Capture) -> None:
    answer(capsys, "import", "animals.md")
    found = answer(capsys, "stats", "--deck", "animals")
    assert (found["cards"], found["new"], found["retention"], found["forecast"]) == (3, 3, None, [0] * 7)
    assert main(["study", "stats"]) == 0
    told = capsys.readouterr().out
    assert "cards in animals, guide: 0 due" in told and "today     0\n" in told and "Weakest" not in told


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["export"], "--json FILE or --anki FILE"),
        (["export", "--json", "a", "--anki", "b"], "one file"),
        (["export", "--json", "animals.md"], "--force"),
        (["export", "--json", "animals.md/x"], "cannot write"),
        (["export", "--anki", "x", "--deck", "none"], "no deck"),
        (["restore", "none.json"], "there is no none.json"),
        (["restore", "animals.md"], "cannot be read"),
        (["restore", "."], "cannot be read"),
        (["stats", "--deck", "none"], "no deck"),
    ],
)
def test_files_that_do_not_fit(args: list[str], said: str, capsys: Capture) -> None:
    answer(capsys, "import", "animals.md")
    assert main(["study", *args]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert Path("animals.md").read_text() == NOTES


def test_suspended_cards_come_back(capsys: Capture) -> None:
    answer(capsys, "import", "animals.md")
    with decks.opened(Path("data/decks.db")) as db:
        for card in decks.cards(db, "animals")[:2]:
            decks.suspend(db, card.id)
    assert answer(capsys, "unsuspend", "dog") == ["What barks?"]
    assert main(["study", "unsuspend"]) == 0
    assert capsys.readouterr().out == "  What has a trunk?\n1 will be asked again\n"
    with decks.opened(Path("data/decks.db")) as db:
        assert not any(card.suspended for card in decks.cards(db, "animals"))


def test_a_deck_is_removed_when_that_is_meant(capsys: Capture) -> None:
    answer(capsys, "import", "animals.md")
    answer(capsys, "list")
    with decks.opened(Path("data/decks.db")) as db:
        decks.record_review(db, decks.cards(db, "animals")[0].id, 1.0, 3, "{}", 2.0)
    assert main(["study", "remove", "animals"]) == 2
    assert "animals has been answered once" in capsys.readouterr().err
    assert main(["study", "remove", "guide", "--yes"]) == 2
    capsys.readouterr()
    assert main(["study", "remove", "animals", "--yes"]) == 0
    capsys.readouterr()
    assert [row["deck"] for row in answer(capsys, "list")] == ["guide"]
    assert Path("animals.md").read_text() == NOTES
    assert answer(capsys, "import", "animals.md")["kept"] == 0


def test_stats_count_practice_and_problems(capsys: Capture) -> None:
    assert main(["study", "stats", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["exercises"]["tried"] == found["problems"]["tried"] == 0 and found["exercises"]["all"] > 60
    tried("softmax", False)
    tried("softmax", True)
    tried("top-p", False)
    tried(of_problem(next(iter(PROBLEMS))), True)
    assert main(["study", "stats"]) == 0
    out = capsys.readouterr().out
    assert f"exercises: 1 of {found['exercises']['all']} passed, 2 tried" in out
    assert f"problems: 1 of {len(PROBLEMS)} passed, 1 tried" in out
    assert main(["study", "stats", "--deck", "guide"]) == 0
    assert "exercises" not in capsys.readouterr().out
