"""`clearhead study settings`, `fit`, `unbury`, and what reviews make of them."""

import io
import json
import re
from pathlib import Path

import pytest

from clearhead.cli.main import main
from clearhead.cli.study.deck_stats import heat
from clearhead.study import deck as decks

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARHEAD_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    Path("n.md").write_text(
        "".join(f"{i}) What is thing {i}?\n\n    It shines. It hums loudly.\n\n" for i in range(1, 6))
    )
    assert main(["study", "import", "n.md"]) == 0


def answer(capsys: Capture, *args: str) -> dict:
    capsys.readouterr()
    assert main(["study", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_new_cards_are_as_many_as_is_stored(capsys: Capture) -> None:
    assert len(answer(capsys, "--deck", "n")) == 5
    assert answer(capsys, "settings", "--new", "2", "--order", "random")["new"] == 2
    assert len(answer(capsys, "--deck", "n")) == 2
    assert len(answer(capsys, "--deck", "n", "--new", "4")) == 4
    assert answer(capsys, "settings", "--reset")["order"] == "due"
    for wrong in (["--retention", "0.2"], ["--order", "x"], ["--new", "-1"]):
        assert main(["study", "settings", *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["study", "fit"]) == 2 and "512 are needed" in capsys.readouterr().err


def test_a_leech_is_suspended_and_undone(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["study", "settings", "--leech", "1"]) == 0
    with decks.opened(Path("data/decks.db")) as db:
        card = decks.cards(db, "n")[0]
        state = {"card_id": 1, "state": 2, "step": None, "stability": 5.0, "difficulty": 5.0}
        state |= {"due": "2023-11-24T22:13:20+00:00", "last_review": "2023-11-14T22:13:20+00:00"}
        decks.record_review(db, card.id, 1.7e9, 3, json.dumps(state), 1.7e9)
    monkeypatch.setattr("sys.stdin", io.StringIO("_\n1\nu\n_\n1\nq\n"))
    capsys.readouterr()
    assert main(["study", "--deck", "n"]) == 0
    assert capsys.readouterr().out.count("forgotten 1 times: suspended") == 2
    with decks.opened(Path("data/decks.db")) as db:
        assert decks.card(db, card.id).suspended


def test_an_answer_is_typed_and_compared(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("t\nit shines brightly\n3\nq\n"))
    capsys.readouterr()
    assert main(["study", "--deck", "n"]) == 0
    told = capsys.readouterr().out
    assert "✓ It shines." in told and "· It hums loudly." in told and "1 of 2 points" in told


def test_buried_cards_come_back(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("b\nb\nq\n"))
    assert main(["study", "--deck", "n"]) == 0
    assert len(answer(capsys, "--deck", "n")) == 3
    assert answer(capsys, "unbury")["unburied"] == 2 and len(answer(capsys, "--deck", "n")) == 5


def test_streak_and_heat_map(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("_\n3\n_\n3\nq\n"))
    assert main(["study", "--deck", "n"]) == 0
    found = answer(capsys, "stats")
    assert (found["cards"], found["streak"], found["by_day"][-2:]) == (5, 1, [0, 2]), "only decks that one uses count"
    assert main(["study", "stats"]) == 0
    assert re.search(r"streak: 1 day\n", capsys.readouterr().out)
    wednesday = 1_800_446_400.0  # noon of 2027-01-20 in Greenwich
    lines = heat([0] * 10 + [4, 1, 0], wednesday)
    assert [line[0] for line in lines] == list("MTWTFSS") and "█" in lines[0] and "░" in lines[1] and len(lines[2]) <= 2


def test_a_question_with_data_is_edited_as_one(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path("q.md").write_text("1) Compute this:\n    - x = 1\n    - y = 2\n\n2) Next?\n\n    Yes.\n")
    assert main(["study", "import", "q.md"]) == 0
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/x = 1/x = 5/; s/^2) /3) /" "$1"; echo "    Three." >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.setattr("sys.stdin", io.StringIO("e\nq\n"))
    assert main(["study", "--deck", "q"]) == 0
    with decks.opened(Path("data/decks.db")) as db:
        card = decks.cards(db, "q")[0]
    assert (card.question, card.answer) == ("Compute this:\n\n- x = 5\n- y = 2", "Three.")
