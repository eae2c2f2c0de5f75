"""`clearhead guide`: contents, a chapter, a question, words."""

import json
import os
from pathlib import Path

import pytest

from clearhead.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def test_contents(capsys: Capture) -> None:
    assert main(["guide"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["1", "vectors"]
    assert max(map(len, lines)) <= 60
    assert main(["guide", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert len(listing) == len(lines) - 1
    assert lines[-1].startswith(f"{sum(one['questions'] for one in listing)} questions")


def test_a_question_is_read(capsys: Capture) -> None:
    assert main(["guide", "1.1"]) == 0
    out = capsys.readouterr().out
    assert "1.1  What is the dot product" in out
    assert "a · b = ∑ᵢ aᵢbᵢ = ‖a‖ ‖b‖ cos θ" in out
    assert "$" not in out and "```" not in out
    assert max(map(len, out.splitlines())) <= 60


def test_a_chapter_is_read_whole(capsys: Capture) -> None:
    assert main(["guide", "--json", "graphs"]) == 0
    questions = json.loads(capsys.readouterr().out)
    assert main(["guide", "graphs"]) == 0
    out = capsys.readouterr().out
    assert [f"\n{one['place']}  " in out for one in questions] == [True] * len(questions)


def test_a_clear_best_is_read_and_others_are_named(capsys: Capture) -> None:
    assert main(["guide", "perplexity"]) == 0
    out = capsys.readouterr().out
    assert "\n15.2  What is perplexity?" in out
    said, also = out.split("See also\n")
    assert "geometric" in said and " 22.5 " in also
    assert max(map(len, out.splitlines())) <= 60


def test_whole_words_are_found_and_a_list_where_several_answer(capsys: Capture) -> None:
    assert main(["guide", "rope"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["23.6", "32.1", "32.2"]
    assert not any("properties" in line for line in lines)  # proPErties holds the letters, not the word


def test_less_is_told_to_show_color(monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[tuple[str, str]] = []
    monkeypatch.setattr("click.echo_via_pager", lambda text: paged.append((text, os.environ["LESS"])))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for given, told in (("", "-R"), ("-FX", "-FX -R"), ("-FRX", "-FRX")):
        monkeypatch.setenv("LESS", given)
        assert main(["guide", "9.1"]) == 0
        assert "\x1b[1m" in paged[-1][0] and paged[-1][1] == told


def test_words_list_questions(capsys: Capture) -> None:
    assert main(["guide", "softmax", "gradient"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2
    assert max(map(len, lines)) <= 60
    place = lines[0].split()[0]
    assert lines[-1].endswith(f"clearhead guide {place}")


def test_nothing_found_is_one_line(capsys: Capture) -> None:
    assert main(["guide", "xyzzy"]) == 2
    assert "says nothing of 'xyzzy'" in capsys.readouterr().err
    assert main(["guide", "vektors"]) == 2
    assert "vectors" in capsys.readouterr().err


def test_pages_are_written(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearhead.study.examples.GUIDE", tmp_path)  # a short one
    (tmp_path / "01-one.md").write_text("# One\n1) Why?\n\n    $x$\n")
    folder = tmp_path / "pages"
    assert main(["guide", "--html", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"index": str(folder / "index.html"), "pages": len(list(folder.iterdir()))} and told["pages"] == 3
    before = (folder / "index.html").read_text(encoding="utf-8")
    assert main(["guide", "--html", str(folder)]) == 0  # its own pages it may write again
    assert (folder / "index.html").read_text(encoding="utf-8") == before


def test_pages_never_mix_with_other_files(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    for folder in (tmp_path, tmp_path / "index.html"):
        assert main(["guide", "--html", str(folder)]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "mine"
    assert main(["guide", "kv-cache", "--html", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
