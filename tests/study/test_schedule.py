"""Ratings move a card as the package says; what is kept is plain."""

import json
from datetime import UTC, datetime

import pytest

from clearhead.errors import UserError
from clearhead.study.schedule import intervals, recall, reviewed, spoken

NOW = 1_800_000_000.0


def test_better_ratings_wait_longer() -> None:
    assert intervals(None, NOW) == sorted(intervals(None, NOW))
    state, due = reviewed(None, 4, NOW)
    assert due - NOW > 86400
    assert intervals(state, due) == sorted(intervals(state, due))
    assert json.loads(json.dumps(state)) == state


def test_what_is_remembered_fades() -> None:
    state, due = reviewed(None, 4, NOW)
    assert recall(None, NOW) == 0 and recall(state, NOW) > 0.99
    assert abs(recall(state, due) - 0.9) < 0.02
    assert recall(state, due + 90 * 86400) < recall(state, due)


def test_a_rating_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="1 to 4"):
        reviewed(None, 5, NOW)


def test_intervals_in_words() -> None:
    assert [spoken(s) for s in (5, 60, 7200, 86400, 30 * 86400, 90 * 86400)] == [
        "now", "1 min", "2 h", "1 day", "30 days", "3 months",
    ]  # fmt: skip


def test_a_review_in_the_future_counts_as_given_now() -> None:
    state, _ = reviewed(None, 3, NOW)
    ahead, _ = reviewed(state, 3, NOW + 400 * 86400)
    after, due = reviewed(ahead, 3, NOW + 600)
    same, _ = reviewed({**ahead, "last_review": datetime.fromtimestamp(NOW + 600, UTC).isoformat()}, 3, NOW + 600)
    assert after == same and due > NOW + 600
