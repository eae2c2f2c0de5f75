"""The search for 17 × 24 with pen and paper, and what the usual first listing of tree search makes of it."""

import math

import numpy as np
import pytest
from against import close

from clearhead.reference.search import Game, solve, ucb1
from clearhead.reference.search_walk import QUESTION, REWARD, STEPS, TEXT, told, walk


def test_every_number_of_the_walk() -> None:
    iterations, answer = walk()
    assert [i.leaf for i in iterations] == [QUESTION, "A", "A1", "B", "A2"]
    assert [list(i.born) for i in iterations] == [["A", "B"], ["A1", "A2"], ["A1a"], ["B1"], ["A2a"]]
    assert {k: v for i in iterations for k, v in i.born.items()} == REWARD
    assert answer == [QUESTION, "A", "A1", "A1a"] and TEXT[answer[-1]] == f"= {17 * 24}"

    assert iterations[0].forks == []
    # 2: one visit each. 3: A's mean is (0.9 + 0.9 + 0.3) / 3 of 4 visits. 4: A has 0.95 more, root has 5 visits.
    want = [
        [{"A": 0.9 + math.sqrt(math.log(2)), "B": 0.2 + math.sqrt(math.log(2))}],
        [
            {"A": 0.7 + math.sqrt(math.log(4) / 3), "B": 0.2 + math.sqrt(math.log(4))},
            {"A1": 0.9 + math.sqrt(math.log(3)), "A2": 0.3 + math.sqrt(math.log(3))},
        ],
        [{"A": 3.05 / 4 + math.sqrt(math.log(5) / 4), "B": 0.2 + math.sqrt(math.log(5))}],
        [
            {"A": 3.05 / 4 + math.sqrt(math.log(6) / 4), "B": 0.3 + math.sqrt(math.log(6) / 2)},
            {"A1": None, "A2": 0.3 + math.sqrt(math.log(4))},
        ],
    ]
    for iteration, forks in zip(iterations[1:], want, strict=True):
        assert [fork.state for fork in iteration.forks] == [QUESTION, "A"][: len(forks)]
        for fork, scores in zip(iteration.forks, forks, strict=True):
            assert fork.scores.keys() == scores.keys()
            for state, score in scores.items():
                if score is None:
                    assert fork.scores[state] is None
                else:
                    close(fork.scores[state], score)

    end = iterations[-1].tree
    assert end.prior.tolist() == [1, 0.5, 0.5, 0.5, 0.5, 1, 1, 1]
    assert dict(zip(end.states, end.visits.tolist(), strict=True)) == {
        QUESTION: 7, "A": 5, "B": 2, "A1": 2, "A2": 2, "A1a": 1, "B1": 1, "A2a": 1,
    }  # fmt: skip
    close(end.total, [3.75, 3.15, 0.6, 1.85, 0.4, 0.95, 0.4, 0.1])


@pytest.mark.parametrize(("c", "in_order"), [(0.88, False), (0.887, True), (1.004, True), (1.01, False), (1.4, False)])
def test_for_which_constants_the_walk_is_as_told(c: float, in_order: bool) -> None:
    leaves = [i.leaf for i in walk(5, c)[0]]
    assert (leaves == [QUESTION, "A", "A1", "B", "A2"]) == in_order
    if c > 1.01:
        assert leaves[2] == "B"
    low = 0.5625 / (math.sqrt(math.log(5)) / 2)  # the fourth turns to B: √ln 5 - √(ln 5 / 4)
    high = 0.5 / (math.sqrt(math.log(4)) * (1 - 1 / math.sqrt(3)))  # the third does not yet
    assert in_order == (low < c < high)


def test_ends_and_dead_ends() -> None:
    assert walk(0) == ([], None) and walk(2)[1] is None
    longer, answer = walk(50)
    assert [i.leaf for i in longer] == [QUESTION, "A", "A1", "B", "A2", "B1"] and longer[-1].born == {}
    assert answer == [QUESTION, "A", "A1", "A1a"]
    assert [fork.state for fork in longer[-1].forks] == [QUESTION, "B"]
    with pytest.raises(ValueError, match="c = -1"):
        walk(2, c=-1.0)
    with pytest.raises(ValueError, match="simulations = -1"):
        walk(-1)


def test_told_knows_any_game() -> None:
    def rule(q, n, p, N):
        return ucb1(q, n, N, 1.0)

    game = Game(lambda s: [(s - 1, 1.0)] if s else [], lambda s: 1.0, lambda s: False, 1.0)
    story = told(game, solve(game, 2, 9, rule), rule)
    assert [(i.leaf, i.born) for i in story] == [(2, {1: 1.0}), (1, {0: 1.0}), (0, {})]
    assert [fork.state for fork in story[-1].forks] == [2, 1]


class Node:
    """The listing that this module's header argues with, but for its names."""

    def __init__(self, state: str, parent: "Node | None" = None) -> None:
        self.state, self.parent = state, parent
        self.children: list[Node] = []
        self.visits, self.value = 0, 0.0

    def ucb(self, c: float = 1.4) -> float:
        if self.visits == 0:
            return math.inf
        return self.value / self.visits + c * math.sqrt(math.log(self.parent.visits) / self.visits)


def first_listing(state: str, propose, score, iterations: int) -> tuple[str, Node]:
    root = Node(state)
    root.visits = 1
    for _ in range(iterations):
        node = root
        while node.children:
            node = max(node.children, key=Node.ucb)
        node.children = [Node(after, node) for after in propose(node.state)]
        if node.children:
            child = node.children[0]
            child.visits, child.value = 1, score(child.state)
            current = child
            while current.parent:
                current.parent.visits += 1
                current.parent.value += child.value
                current = current.parent
    node = root
    while node.children:
        node = max(node.children, key=lambda n: n.value / max(n.visits, 1))
    return node.state, root


def test_a_listing_that_scores_the_first_child_only() -> None:
    asked = []

    def score(state: str) -> float:
        asked.append(state)
        return REWARD[state]

    def propose(state: str) -> tuple[str, ...]:
        return STEPS.get(state, ())

    _, root = first_listing(QUESTION, propose, score, 2)
    assert asked == ["A", "B1"]  # the second iteration enters B, whose own score nobody asks for
    a, b = root.children
    assert (a.value, b.value) == (0.9, 0.4)

    asked.clear()
    answer, root = first_listing(QUESTION, propose, score, 100)
    assert asked == ["A", "B1", "A1", "A2a"]  # then stuck at A2a: nothing is backed up there, so nothing changes
    assert answer == "A1" and root.visits == 5  # 340 + 68, unfinished; 408 was never seen

    # a right answer that is proposed second is never scored, and loses to a wrong one that is
    wrong_first = {"?": ("5", "4")}
    answer, _ = first_listing("?", lambda s: wrong_first.get(s, ()), {"5": 0.1, "4": 0.9}.__getitem__, 100)
    assert answer == "5"
    game = Game(
        lambda s: [(t, 0.5) for t in wrong_first.get(s, ())], {"5": 0.1, "4": 0.9}.get, lambda s: s in "45", 1.0
    )
    best = solve(game, "?", 100, lambda q, n, p, N: ucb1(q, n, N, 1.4))[-1]
    assert best.states[1 + int(np.argmax(best.total[1:]))] == "4"
