import pytest

from clearhead.reasoning.curve import Graded, Point, at_budget, grade

CURVE = [Point(10, None, None), Point(20, "a", 0.4), Point(35, "b", 0.6)]


@pytest.mark.parametrize(
    ("budget", "answer"), [(9, "unpaid"), (10, None), (19, None), (20, "a"), (34.5, "a"), (35, "b"), (1e9, "b")]
)
def test_the_last_point_that_is_paid_for(budget, answer):
    point = at_budget(CURVE, budget)
    assert ("unpaid" if point is None else point.answer) == answer


def test_where_nothing_is_spent_between_two_points_the_later_counts():
    assert at_budget([Point(10, "a", 0.1), Point(10, "b", 0.2)], 10) == Point(10, "b", 0.2)


def test_grading_checks_an_answer_once_and_no_answer_never():
    asked = []

    def check(answer):
        asked.append(answer)
        return answer == "b"

    curve = [*CURVE[:2], Point(30, "a", 0.4), CURVE[2], Point(40, "b", 0.6)]
    assert grade(curve, check) == [Graded(10, 0), Graded(20, 0), Graded(30, 0), Graded(35, 1), Graded(40, 1)]
    assert asked == ["a", "b"]
