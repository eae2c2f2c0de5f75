"""Tree of thoughts on problems whose best answer SciPy and networkx know."""

import itertools

import networkx as nx
import numpy as np
import pytest
import scipy.optimize
from against import close

from clearhead.reference.tree_of_thought import branch_and_bound, breadth_first, depth_first

N = 5


class Assignment:
    """One column for each row, all different; the worth of a state is what its rows have gained so far."""

    def __init__(self, seed: int) -> None:
        self.gain = np.random.default_rng(seed).integers(1, 50, (N, N))
        rows, columns = scipy.optimize.linear_sum_assignment(self.gain, maximize=True)
        self.best = int(self.gain[rows, columns].sum())

    def propose(self, state: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(*state, c) for c in range(N) if c not in state] if len(state) < N else []

    def value(self, state: tuple[int, ...]) -> float:
        return float(sum(self.gain[row, column] for row, column in enumerate(state)))

    def bound(self, state: tuple[int, ...]) -> float:
        """Every row that is left gets its best column, taken or not."""
        return self.value(state) + float(self.gain[len(state) :].max(-1).sum())

    def is_done(self, state: tuple[int, ...]) -> bool:
        return len(state) == N


@pytest.mark.parametrize("seed", range(8))
def test_assignment(seed: int) -> None:
    a = Assignment(seed)
    everything = breadth_first((), a.propose, a.value, depth=N, beam=120)
    assert [len(level) for level in everything] == [1, 5, 20, 60, 120, 120]
    close(a.value(everything[-1][0]), a.best)
    worth = [a.value(s) for s in everything[-1]]
    assert worth == sorted(worth, reverse=True)
    found = branch_and_bound((), a.propose, a.bound, a.is_done)
    close(a.value(found.solutions[-1]), a.best)
    assert [a.value(s) for s in found.solutions] == sorted({a.value(s) for s in found.solutions})
    assert len(found.entered) < 326  # of 1 + 5 + 20 + 60 + 120 + 120 states
    greedy = ()
    while len(greedy) < N:
        greedy = max(a.propose(greedy), key=a.value)
    assert breadth_first((), a.propose, a.value, depth=N, beam=1)[-1] == [greedy]


def test_a_narrow_beam_misses_what_a_wide_one_finds() -> None:
    missed = 0
    for seed in range(20):
        a = Assignment(seed)
        narrow = a.value(breadth_first((), a.propose, a.value, depth=N, beam=1)[-1][0])
        assert narrow <= a.best
        missed += narrow < a.best
    assert missed >= 10


def test_every_level_is_the_best_of_what_was_proposed() -> None:
    a = Assignment(3)
    levels = breadth_first((), a.propose, a.value, depth=N, beam=3)
    for above, below in itertools.pairwise(levels):
        proposed = [s for state in above for s in a.propose(state)]
        assert below == sorted(proposed, key=a.value, reverse=True)[:3]


def test_longest_path_of_a_graph() -> None:
    rng = np.random.default_rng(0)
    graph = nx.DiGraph([(i, j, {"weight": int(rng.integers(1, 30))}) for i in range(9) for j in range(i + 1, 9)])

    def propose(path: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(*path, j) for j in graph.successors(path[-1])]

    def weight(path: tuple[int, ...]) -> float:
        return float(nx.path_weight(graph, list(path), "weight")) if len(path) > 1 else 0.0

    heaviest = max(w for _, _, w in graph.edges(data="weight"))
    found = branch_and_bound(
        (0,), propose, lambda path: weight(path) + heaviest * (8 - path[-1]), lambda path: path[-1] == 8
    )
    best = max(nx.all_simple_paths(graph, 0, 8), key=lambda path: weight(tuple(path)))
    close(weight(found.solutions[-1]), weight(tuple(best)))


def digits(state: str) -> list[str]:
    return [state + d for d in "123"] if len(state) < 2 else []


def test_depth_first_order_threshold_and_limit() -> None:
    worth = {"1": 0.5, "2": 0.9, "3": 0.5, "21": 0.2, "22": 0.6, "23": 0.6, "11": 0.5, "12": 0.7, "13": 0.1}

    def value(state: str) -> float:
        return worth.get(state, 0.3)

    def run(threshold: float, limit: int = 99):
        return depth_first("", digits, value, lambda s: len(s) == 2, threshold, limit)

    assert run(0.0).entered == ["", "2", "22", "23", "21", "1", "12", "11", "13", "3", "31", "32", "33"]
    assert run(0.0).solutions == ["22", "23", "21", "12", "11", "13", "31", "32", "33"]
    assert run(0.5).entered == ["", "2", "22", "23"]  # worth exactly the threshold is not enough
    assert run(0.45).entered == ["", "2", "22", "23", "1", "12", "11", "3"]
    assert run(0.0, limit=3).entered == ["", "2", "22"] and run(0.0, limit=3).solutions == ["22"]
    assert run(1.0) == ([], [""])


def test_depth_does_not_exhaust_the_stack() -> None:
    deep = depth_first(0, lambda n: [n + 1], lambda n: 1.0, lambda n: n == 5000, 0.0, 9999)
    assert deep.solutions == [5000] and len(deep.entered) == 5001


def test_a_bound_that_is_too_low_loses_the_answer() -> None:
    worth = {"1": 1.0, "2": 2.0, "22": 2.0, "11": 9.0, "21": 1.0, "12": 0.0}

    def pairs(state: str) -> list[str]:
        return [state + d for d in "12"] if len(state) < 2 else []

    low = branch_and_bound("", pairs, worth.__getitem__, lambda s: len(s) == 2)
    assert low == (["22"], ["", "2", "22"])
    hopeful = branch_and_bound("", pairs, lambda s: worth[s] if len(s) == 2 else 10.0, lambda s: len(s) == 2)
    assert hopeful.solutions == ["11"]
    assert hopeful.entered == ["", "1", "11", "2"]
    level = branch_and_bound("", pairs, lambda s: 1.0, lambda s: len(s) == 2)
    assert level == (["11"], ["", "1", "11"])  # what can only be as good is not entered


def test_dead_ends_and_the_start() -> None:
    def nothing(state: str) -> list[str]:
        return []

    assert breadth_first("", nothing, len, depth=3, beam=2) == [[""], [], [], []]
    assert breadth_first("", digits, len, depth=0, beam=2) == [[""]]
    assert breadth_first("", digits, lambda s: 0, depth=1, beam=2) == [[""], ["1", "2"]]  # equals as proposed
    assert depth_first("", nothing, len, lambda s: False, 0.0, 9) == ([], [""])
    assert depth_first("", digits, len, lambda s: True, 0.0, 9) == ([""], [""])
    assert branch_and_bound("", nothing, len, lambda s: False) == ([], [""])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: breadth_first("", digits, len, depth=-1, beam=1), "depth = -1"),
        (lambda: breadth_first("", digits, len, depth=1, beam=0), "beam = 0"),
        (lambda: depth_first("", digits, len, lambda s: True, 0.0, 0), "limit = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_limit_of_one_state_enters_the_start_alone() -> None:
    found = depth_first("", lambda s: [s + "a"], lambda s: 1.0, lambda s: len(s) == 3, 0.0, limit=1)
    assert (found.solutions, found.entered) == ([], [""])
