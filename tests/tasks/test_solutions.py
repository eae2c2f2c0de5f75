import pytest

from clearhead.errors import UserError
from clearhead.tasks.checkers import Checker, checker
from clearhead.tasks.rows import Row
from clearhead.tasks.solutions import fit


def row(line, answer, *steps):
    return Row(line, f"p{line}", answer, steps, "")


def test_the_first_marker_that_is_right_everywhere():
    fitted = fit([row(1, "2", "1+1=2"), row(2, "3", "3")], checker("exact"), None)
    assert (fitted.marker, fitted.bad[0].line) == ("", 1)  # a tie: each marker is right once
    fitted = fit([row(1, "2", "1+1=2"), row(2, "3", "=3")], checker("exact"), None)
    assert (fitted.marker, fitted.bad) == ("=", ())


def test_what_does_not_fit_is_left_out_and_told():
    rows = [row(1, "2", "=2"), row(2, "3", "=4"), row(3, "4", "=4"), row(4, "5")]
    fitted = fit(rows, checker("exact"), None)
    assert fitted.solutions == {"p1": ("=2",), "p3": ("=4",), "p4": ("=5",)}
    assert [fault.line for fault in fitted.bad] == [2]


def test_a_marker_that_is_told_is_not_replaced():
    fitted = fit([row(1, "2", "so 2"), row(2, "3", "is 3"), row(3, "4", "so 4"), row(4, "5")], checker("exact"), "is")
    assert [fault.line for fault in fitted.bad] == [1, 3]
    assert fitted.solutions == {"p2": ("is 3",), "p4": ("is 5",)}


def test_a_row_that_its_own_check_refuses():
    fitted = fit([row(1, "2"), row(2, "x")], Checker("mine", lambda problem, answer, expected: answer.isdigit()), None)
    assert fitted.solutions == {"p1": ("2",)}
    assert fitted.bad[0].why == "the answer 'x' fails its own check, 'mine'"


def test_a_checker_that_fails_on_every_answer_is_what_has_to_be_mended():
    def fails(problem, answer, expected):
        if answer != "fine":
            raise UserError(f"it fails on {answer}")
        return True

    with pytest.raises(UserError, match="it fails on 3"):
        fit([row(1, "2"), row(2, "3")], Checker("mine", fails), None)
    fitted = fit([row(1, "2"), row(2, "fine")], Checker("mine", fails), None)
    assert [(fault.line, fault.why) for fault in fitted.bad] == [(1, "it fails on 2")]
