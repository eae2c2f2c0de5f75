"""Lines that grow in a file: gone on with after any end, never half, and never mixed with those of something else."""

import json
from pathlib import Path

import pytest

from clearhead.errors import UserError
from clearhead.pipeline.journal import Journal, line

ABOUT = {"seed": 0, "search": {"width": 4}}


def test_lines_have_their_name_when_all_are_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl", ABOUT)
    assert journal.begin() == []
    journal.add([{"n": 1}, {"n": 2}])
    assert not journal.path.exists()
    assert [json.loads(text) for text in Journal(journal.path, ABOUT).begin()] == [{"n": 1}, {"n": 2}]
    journal.add([{"n": 3}])
    journal.end()
    assert journal.path.read_text() == '{"n": 1}\n{"n": 2}\n{"n": 3}\n'
    assert list(tmp_path.iterdir()) == [journal.path]


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_cut_short_is_made_again(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path / "a.jsonl", ABOUT)
    journal.begin()
    journal.add([{"n": "×\u2028"}])
    whole = journal.part.read_bytes()
    journal.add([{"n": "×"}])
    torn = journal.part.read_bytes()[:-cut]
    assert len(torn) >= len(whole)
    journal.part.write_bytes(torn)
    assert journal.count() == 1
    assert [json.loads(text) for text in journal.begin()] == [{"n": "×\u2028"}]
    journal.add([{"n": 3}])
    journal.end()
    assert [json.loads(text)["n"] for text in journal.path.read_text().split("\n")[:-1]] == ["×\u2028", 3]


def test_other_lines_are_not_gone_on_with(tmp_path: Path) -> None:
    Journal(tmp_path / "a.jsonl", ABOUT).begin()
    with pytest.raises(UserError, match=r"search.width: 4 then, 5 now"):
        Journal(tmp_path / "a.jsonl", {"seed": 0, "search": {"width": 5}}).begin()
    (tmp_path / "a.jsonl.part").write_bytes(b"no heading\n\xff\n")
    with pytest.raises(UserError, match="begun with something else"):
        Journal(tmp_path / "a.jsonl", ABOUT).begin()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        Journal(tmp_path / "a.jsonl", ABOUT).begin()
    with pytest.raises(UserError, match="no folder"):
        Journal(tmp_path / "nowhere" / "a.jsonl", ABOUT).begin()


def test_any_text_makes_one_line_of_utf_8() -> None:
    assert line({"n": "×"}) == '{"n": "×"}\n'
    assert json.loads(line({"n": "\ud800\n"}).encode()) == {"n": "\ud800\n"}
