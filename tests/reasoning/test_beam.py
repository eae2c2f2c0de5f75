from dataclasses import replace

import pytest

from clearhead.reasoning import beam
from clearhead.reasoning.tree import ROOT
from clearhead.reasoning.votes import minimum, product


def expanded(log):
    return [state for what, state in log if what == "propose"]


LEVELS = {
    "children": {"root": "A B C", "A": "A1 A2", "B": "B1 B2", "C": "C1"},
    "values": {"root": 0.5, "A": 0.6, "B": 0.7, "C": 0.4, "A1": 0.8, "A2": 0.1, "B1": 0.3, "B2": 0.75, "C1": 0.95},
    "done": "A1 A2 B1 B2 C1",
}


@pytest.mark.parametrize(
    ("width", "order", "answer"),
    [
        (1, ["root", "B"], "B2"),
        (2, ["root", "B", "A"], "A1"),
        (3, ["root", "B", "A", "C"], "C1"),
    ],
)
def test_width_by_hand(written_out, watched, width, order, answer):
    space, log = watched(written_out(**LEVELS))
    result = beam.search(space, width=width, depth=5)
    assert expanded(log) == order
    assert result.answer(0) == answer


def test_wider_beams_escape_the_greedy_trap(coins):
    amounts = [6, 10, 14]
    assert beam.search(coins([6], (4, 3, 1)), width=1, depth=9).answer(0) == (6, 4, 1, 1)
    found = beam.search(coins(amounts, (4, 3, 1)), width=6, depth=9)
    assert [len(found.answer(row)) - 1 for row in range(3)] == [2, 3, 4]


def test_finished_states_wait_outside_the_beam(written_out, watched):
    """With one place, the finished A (0.9) must not push the open B (0.2) out; B's end wins later."""
    space, log = watched(written_out({"root": "A B", "B": "B1"}, {"root": 0.5, "A": 0.9, "B": 0.2, "B1": 0.95}, "A B1"))
    result = beam.search(space, width=1, depth=5)
    assert expanded(log) == ["root", "B"]
    assert [point.answer for point in result.curves[0]] == [None, "A", "B1"]


def test_equal_states_take_one_place(written_out, watched):
    """Both A and B lead to x; the two places go to x (once) and y."""
    game = {"children": {"root": "A B", "A": "x", "B": "x y", "x": "x1", "y": "y1"}, "done": "x1 y1"}
    values = {"root": 0.5, "A": 0.6, "B": 0.5, "x": 0.9, "y": 0.2, "x1": 0.3, "y1": 0.4}
    space, log = watched(written_out(**game, values=values))
    assert beam.search(space, width=2, depth=5).answer(0) == "y1"
    assert expanded(log) == ["root", "A", "B", "x", "y"]


def test_sameness_can_be_told(coins, watched):
    """Coins paid in another order are the same payment."""
    plain, log = watched(coins([9], (4, 3, 1)))
    beam.search(plain, width=50, depth=9)
    merged, short_log = watched(coins([9], (4, 3, 1)))
    result = beam.search(merged, width=50, depth=9, same=lambda state: tuple(sorted(state)))
    assert len(result.answer(0)) - 1 == 3
    payments = [tuple(sorted(state)) for state in expanded(short_log)]
    assert len(payments) == len(set(payments)) < len(expanded(log)) / 2


@pytest.mark.parametrize(("aggregate", "answer"), [(None, "A1"), (minimum, "B1"), (product, "B1")])
def test_states_are_ranked_by_the_whole_path(written_out, watched, aggregate, answer):
    game = {"children": {"root": "A B", "A": "Ax", "B": "Bx", "Ax": "A1", "Bx": "B1"}, "done": "A1 B1"}
    values = {"root": 0.5, "A": 0.2, "Ax": 0.9, "A1": 0.5, "B": 0.7, "Bx": 0.8, "B1": 0.5}
    rest = {} if aggregate is None else {"aggregate": aggregate}
    space, log = watched(written_out(**game, values=values))
    beam.search(space, width=2, depth=2, **rest)
    space, log = watched(written_out(**game, values=values))
    result = beam.search(space, width=2, depth=3, **rest)
    assert expanded(log)[3] == {"A1": "Ax", "B1": "Bx"}[answer]
    # with the score of a whole path, the better path's end is the answer; the last values are equal, so first come
    assert result.answer(0) == answer


def test_depth_is_a_limit(branching, watched):
    space, log = watched(branching(lambda s: 0.5, depth=9, width=2))
    assert beam.search(space, width=1, depth=3).answer(0) is None
    assert [len(state) for state in expanded(log)] == [1, 2, 3]


def test_a_short_budget_goes_to_the_best_of_the_level(written_out, watched):
    """Six scored states: the root, its three children, and then one of three states can be paid for at a time."""
    space, log = watched(replace(written_out(**LEVELS), limit=6, expansion_cost=2))
    result = beam.search(replace(space, expansion_cost=3), width=3, depth=5)
    assert expanded(log) == ["root"] and result.curves[0][-1].cost == 4
    space, log = watched(replace(written_out(**LEVELS), limit=7, expansion_cost=3))
    assert beam.search(space, width=3, depth=5).answer(0) == "B2"
    assert expanded(log) == ["root", "B"]


def test_the_tree_can_be_reported(written_out):
    tree = beam.search(written_out(**LEVELS), width=2, depth=5).tree
    assert tree.visits[0, ROOT] == 1 + 3 + 2 + 2
    assert tree.open[0, ROOT] == 1  # C was never expanded
