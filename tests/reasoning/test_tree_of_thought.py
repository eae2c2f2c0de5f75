from dataclasses import replace

import pytest

from clearhead.reasoning import beam
from clearhead.reasoning.tree_of_thought import breadth_first, depth_first

DEEP = {
    "children": {"root": "A B C", "A": "A1 A2", "B": "B1 B2", "C": "C1", "B2": "B3"},
    "values": {
        "root": 0.5,
        "A": 0.6,
        "B": 0.7,
        "C": 0.2,
        "A1": 0.8,
        "A2": 0.4,
        "B1": 0.3,
        "B2": 0.6,
        "C1": 0.95,
        "B3": 0.5,
    },
    "done": "A1 B1 B3 C1",
}


def expanded(log):
    return [state for what, state in log if what == "propose"]


def test_depth_first_by_hand(written_out, watched):
    """B before A before C; C (0.2) is pruned; B2 is followed to its end before A is looked at; A2 is a dead end."""
    space, log = watched(written_out(**DEEP))
    result = depth_first(space, threshold=0.25, depth=9)
    assert expanded(log) == ["root", "B", "B2", "A", "A2"]
    assert [point.answer for point in result.curves[0]] == [None, None, "B1", "B3", "A1", "A1"]


@pytest.mark.parametrize(
    ("options", "order", "answer"),
    [
        ({"threshold": 0.0}, ["root", "B", "B2", "A", "A2", "C"], "C1"),
        ({"threshold": 0.6}, ["root", "B"], "B1"),  # not above the threshold is pruned: A has 0.6, and B2
        ({"threshold": 0.0, "depth": 2}, ["root", "B", "A", "C"], "C1"),
        ({"threshold": 0.0, "solutions": 1}, ["root", "B"], "B1"),
        ({"threshold": 0.0, "solutions": 2}, ["root", "B", "B2"], "B3"),
        ({"threshold": 0.95}, ["root"], None),
    ],
)
def test_threshold_depth_and_solutions(written_out, watched, options, order, answer):
    space, log = watched(written_out(**DEEP))
    result = depth_first(space, **{"depth": 9, **options})
    assert expanded(log) == order
    assert result.answer(0) == answer


def test_of_equal_children_the_first_is_followed(written_out, watched):
    space, log = watched(written_out({"root": "A B C"}, dict.fromkeys(("root", "A", "B", "C"), 0.5), ""))
    depth_first(space, threshold=0.1, depth=9)
    assert expanded(log) == ["root", "A", "B", "C"]


def test_depth_first_stops_with_the_budget(written_out, watched):
    space, log = watched(replace(written_out(**DEEP), limit=6))
    depth_first(space, threshold=0.0, depth=9)
    assert expanded(log) == ["root", "B"]  # 1 + 3 + 2 scored states


def test_breadth_first_is_a_beam_over_the_newest_value(written_out, watched):
    space, log = watched(written_out(**DEEP))
    result = breadth_first(space, keep=2, depth=9)
    assert expanded(log) == ["root", "B", "A", "B2", "A2"]
    assert result.answer(0) == "A1"
    assert result.curves == beam.search(written_out(**DEEP), width=2, depth=9).curves


def test_both_find_the_fewest_coins(coins):
    """The values are optimistic: whatever is pruned below 1/5 needs more than five coins."""
    wide = breadth_first(coins([6, 10, 14], (4, 3, 1)), keep=6, depth=9)
    deep = depth_first(coins([6, 10, 14], (4, 3, 1)), threshold=0.2, depth=9)
    for row, fewest in enumerate([2, 3, 4]):
        assert len(wide.answer(row)) - 1 == len(deep.answer(row)) - 1 == fewest
