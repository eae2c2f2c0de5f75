import json
from collections.abc import Iterator

import pytest

from clearhead.errors import UserError
from clearhead.tasks import drawn as module
from clearhead.tasks.drawn import DrawnProblem, DrawnProblems


def numbers(last: DrawnProblem | None) -> Iterator[DrawnProblem | None]:
    """Problems 0, 1, 2, ..., each twice, with a useless draw between; the place is what lets it go on."""
    at = 0 if last is None else last.place + 1
    while True:
        one = DrawnProblem(f"{at}?", str(at), place=at)
        yield from (one, None, one)
        at += 1


def even(problem: str) -> bool:
    return int(problem[:-1]) % 2 == 0


def refuse(last: DrawnProblem | None) -> Iterator[DrawnProblem | None]:
    raise AssertionError("it was drawn already")
    yield


def texts(found: list[DrawnProblem]) -> list[str]:
    return [drawn.problem for drawn in found]


def test_a_stream_goes_on_and_is_never_drawn_twice():
    drawn = DrawnProblems()
    assert texts(drawn.take("a", 3, even, numbers)) == ["0?", "2?", "4?"]
    assert texts(drawn.take("a", 2, lambda problem: not even(problem), refuse)) == ["1?", "3?"]
    assert texts(drawn.take("a", 5, even, numbers)) == ["0?", "2?", "4?", "6?", "8?"]
    assert drawn.find("7?") == DrawnProblem("7?", "7", place=7)
    assert drawn.find("9?") is None


def test_another_process_knows_what_was_drawn(tmp_path):
    early, late = DrawnProblems(tmp_path / "x"), DrawnProblems(tmp_path / "x")
    assert early.find("2?") is None
    late.take("a", 3, even, numbers)
    assert early.find("2?") == late.find("2?") != None  # noqa: E711
    assert texts(early.take("a", 3, even, refuse)) == ["0?", "2?", "4?"]
    late.take("a", 9, even, numbers)
    assert early.find("15?") == DrawnProblem("15?", "15", place=15)


def test_steps_and_strange_characters_come_back(tmp_path):
    one = DrawnProblem("a\u2028b \ud800 é", "\t", ("x=1", "y\u0085"), 3)
    DrawnProblems(tmp_path).take("a", 1, lambda problem: True, lambda last: iter([one]))
    assert DrawnProblems(tmp_path).find(one.problem) == one


def test_two_that_draw_at_once_keep_the_longer_stream(tmp_path):
    one, other = DrawnProblems(tmp_path), DrawnProblems(tmp_path)
    other.take("a", 0, even, numbers)
    one.take("a", 9, even, numbers)
    (tmp_path / "a.jsonl").unlink()  # as if it came later
    other.take("a", 2, even, numbers)
    assert texts(one.take("a", 9, even, refuse))[-1] == "16?"
    assert one.find("15?")


def test_a_stream_ends_where_nothing_new_comes(tmp_path):
    def few(last: DrawnProblem | None) -> Iterator[DrawnProblem | None]:
        while True:
            yield DrawnProblem("1?", "1")

    assert texts(DrawnProblems(tmp_path).take("a", 3, lambda problem: True, few)) == ["1?"]
    assert texts(DrawnProblems(tmp_path).take("a", 3, lambda problem: True, refuse)) == ["1?"]


def test_a_slow_stream_ends_in_time_but_not_before_its_fewest(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", -1.0)
    found = DrawnProblems(tmp_path).take("a", 1000, lambda problem: True, numbers)
    assert len(found) == module.FEWEST
    assert texts(DrawnProblems(tmp_path).take("a", 1000, lambda problem: True, refuse)) == texts(found)


@pytest.mark.parametrize("line", ["{", "[]", '{"problem": 1}', json.dumps({"problem": "", "answer": "", "plce": 1})])
def test_a_broken_file_is_told(tmp_path, line):
    (tmp_path / "a.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"a.jsonl cannot be read .*; delete it"):
        DrawnProblems(tmp_path).find("x")
