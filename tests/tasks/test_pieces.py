"""Answers in pieces: the same answer joined, the same verdict, and a separator that nearly all answers have."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.tasks.multiplication import Multiplication
from clearhead.tasks.pieces import InPieces, cut, find_separator, in_pieces
from clearhead.tasks.task import Task


class Answers:
    """The answers are given; a problem is the place of one."""

    name = "answers"
    statement = "given answers"

    def __init__(self, *answers: str) -> None:
        self.answers = answers

    def parse(self, text: str) -> str:
        return text

    def problems(self, split: str, n: int, seed: int) -> list[str]:
        return [str(i % len(self.answers)) for i in range(n)]

    def solve(self, problem: str, rng: random.Random) -> list[str]:
        return [self.answers[int(problem)]]

    def answer(self, problem: str, steps: Sequence[str]) -> str | None:
        return steps[-1] or None if steps else None

    def check(self, problem: str, answer: str) -> bool:
        return answer == self.answers[int(problem)]


@given(st.text(alphabet="ab, ;", max_size=20), st.sampled_from([", ", ";", " "]))
def test_pieces_joined_are_the_line(line: str, separator: str) -> None:
    pieces = cut(line, separator)
    assert "".join(pieces) == line
    assert all(piece.endswith(separator) for piece in pieces[:-1])


def test_a_solution_in_pieces_arrives_at_the_same_answer() -> None:
    task = InPieces(Answers('{"a": 1, "b": 2}'), ", ")
    steps = task.solve("0", random.Random(0))
    assert steps == ['{"a": 1, ', '"b": 2}']
    answer = task.answer("0", steps)
    assert answer == '{"a": 1, "b": 2}'
    assert task.check("0", answer)
    assert not task.check("0", task.answer("0", steps[:1]) or "")
    assert task.answer("0", ()) is None
    assert isinstance(task, Task)


@pytest.mark.parametrize(
    ("answers", "separator"),
    [
        (('{"a": 1, "b": 2}', '{"a": 2, "b": 3, "c": 4}'), ", "),
        (("1 2 3", "4 5"), " "),
        (("408", "12"), None),  # nothing to cut
        (("a, b", "c", "d"), None),  # two thirds have no separator
        (("a,b", "c, d"), ","),
        (("a " * 100,), None),  # letters, not steps
    ],
)
def test_the_separator_is_one_that_nearly_all_answers_have(answers: tuple[str, ...], separator: str | None) -> None:
    assert find_separator(Answers(*answers), 0) == separator


def test_a_task_with_steps_stays_as_it_is_and_an_order_to_cut_it_is_refused() -> None:
    task = Multiplication()
    assert in_pieces(task, "auto", 0, "m") is task
    assert in_pieces(Answers("a, b"), "off", 0, "m").solve("0", random.Random(0)) == ["a, b"]
    assert in_pieces(Answers("a-b"), "-", 0, "m").solve("0", random.Random(0)) == ["a-", "b"]
    with pytest.raises(UserError, match="steps already"):
        in_pieces(task, "+", 0, "m")
