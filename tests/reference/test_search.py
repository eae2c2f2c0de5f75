"""Tree search on games that can be played out in full: Nim, noughts and crosses, and trees with a known best leaf."""

from functools import cache

import numpy as np
import pytest
from against import close
from batched import check_batched

from clearhead.reference.search import (
    NO_PARENT,
    ROOT,
    Game,
    Tree,
    backpropagate,
    best_solution,
    child_scores,
    children,
    expand,
    mcts,
    mean_value,
    most_visited,
    open_nodes,
    path_to,
    plant,
    puct,
    rollout,
    select,
    simulate,
    solve,
    ucb1,
)


def ucb(c: float):
    return lambda q, n, p, N: ucb1(q, n, N, c)


def prior(c: float):
    return lambda q, n, p, N: puct(q, n, p, N, c)


def test_ucb1() -> None:
    q, n = np.array([0.9, 0.2, 0.5]), np.array([3, 1, 2])
    close(ucb1(q, n, np.array(6), 1.4), [q[i] + 1.4 * (np.log(6) / n[i]) ** 0.5 for i in range(3)])
    assert ucb1(q, n, np.array(6), 0.0).tolist() == q.tolist()
    assert ucb1(q, np.array([0, 5, 0]), np.array(5), 1.0).tolist()[::2] == [np.inf, np.inf]
    assert ucb1(q, np.array([0, 0, 0]), np.array(0), 1.0).tolist() == [np.inf] * 3
    assert ucb1(q, np.array([1, 0, 0]), np.array(1), 1.0)[0] == 0.9  # ln 1 = 0
    check_batched(lambda q, n, N: ucb1(q, n, N, 1.4), np.tile(q, (2, 1)), np.tile(n, (2, 1)), np.array([6, 60]))


def test_ucb1_keeps_regret_within_the_bound() -> None:
    """Auer et al. 2002, theorem 1: 8 Σ ln T / Δ + (1 + π²/3) Σ Δ in expectation, with c = √2."""
    means, T = np.array([0.3, 0.5, 0.8]), 2000
    rng = np.random.default_rng(0)
    n, total = np.zeros(3, int), np.zeros(3)
    for t in range(T):
        arm = int(ucb1(total / np.maximum(n, 1), n, np.array(t), 2**0.5).argmax())
        n[arm] += 1
        total[arm] += rng.random() < means[arm]
    gap = means.max() - means
    bound = (8 * np.log(T) / gap[:2]).sum() + (1 + np.pi**2 / 3) * gap.sum()
    assert n @ gap < bound < T * gap.mean()
    assert (n > 10).all() and n.argmax() == 2


def test_puct() -> None:
    q, n, p = np.array([0.9, 0.2, 0.5]), np.array([3, 0, 2]), np.array([0.5, 0.3, 0.2])
    close(puct(q, n, p, np.array(5), 2.5), [q[i] + 2.5 * p[i] * 5**0.5 / (1 + n[i]) for i in range(3)])
    two = (np.tile(q, (2, 1)), np.tile(n, (2, 1)), np.stack([p, p[::-1]]), np.array([6, 60]))
    check_batched(lambda q, n, p, N: puct(q, n, p, N, 1.4), *two)
    assert puct(q, n, p, np.array(5), 0.0).tolist() == q.tolist()
    assert puct(q, np.zeros(3, int), p, np.array(0), 1.0).tolist() == q.tolist()


def binary(depth: int, sign: float, value=None) -> Game:
    return Game(
        lambda s: [(s + d, w) for d, w in (("0", 0.75), ("1", 0.25))] if len(s) < depth else [],
        value or (lambda s: int(s or "0", 2) / 2**depth),
        lambda s: len(s) == depth,
        sign,
    )


def test_values_change_sides_on_the_way_up() -> None:
    tree = expand(expand(plant(""), ROOT, binary(2, -1.0)), 1, binary(2, -1.0))
    assert tree.parent.tolist() == [NO_PARENT, 0, 0, 1, 1] and tree.closed.tolist() == [False] * 3 + [True] * 2
    assert tree.prior.tolist() == [1, 0.75, 0.25, 0.75, 0.25]
    assert path_to(tree, 4) == [0, 1, 4] and children(tree, 1).tolist() == [3, 4]
    two = backpropagate(backpropagate(tree, 4, 0.5, -1.0), 2, 0.25, -1.0)
    assert two.total.tolist() == [0.25, -0.5, 0.25, 0, 0.5] and two.visits.tolist() == [2, 1, 1, 0, 1]
    assert tree.visits.tolist() == [0] * 5, "a step gives a new tree"
    one = backpropagate(backpropagate(tree, 4, 0.5, 1.0), 2, 0.25, 1.0)
    assert one.total.tolist() == [0.75, 0.5, 0.25, 0, 0.5]
    assert mean_value(one).tolist() == [0.375, 0.5, 0.25, 0, 0.5]
    assert child_scores(two, ROOT, lambda q, n, p, N: q, -1.0).tolist() == [0.5, -0.25]
    assert child_scores(two, ROOT, lambda q, n, p, N: 10 * n + N + p, -1.0).tolist() == [12.75, 12.25]


def test_selection_goes_down_the_usable_best() -> None:
    tree = expand(expand(plant(""), ROOT, binary(2, 1.0)), 1, binary(2, 1.0))
    tree = backpropagate(backpropagate(tree, 3, 0.9, 1.0), 2, 0.5, 1.0)
    best = ucb(0.0)
    tree = tree._replace(visits=np.maximum(tree.visits, 1))
    assert select(tree, best, 1.0, np.ones(5, bool)) == 3
    assert select(tree, best, 1.0, np.array([True, True, True, False, True])) == 4
    assert select(tree, best, 1.0, np.array([True, False, True, True, True])) == 2
    assert select(tree, best, -1.0, np.ones(5, bool)) == 2
    assert select(tree, lambda q, n, p, N: np.zeros(2), 1.0, np.ones(5, bool)) == 3  # the first of equals


def test_one_iteration_after_another() -> None:
    """Both children are evaluated at birth; a finished leaf is evaluated again."""
    asked = []

    def value(s: str) -> float:
        asked.append(s)
        return {"0": 0.25, "1": 0.5}[s]

    game = binary(1, 1.0, value)
    tree, leaf = simulate(plant(""), game, ucb(1.0), np.ones(1, bool))
    assert leaf == ROOT and asked == ["0", "1"] and tree.visits.tolist() == [2, 1, 1] and tree.total[0] == 0.75
    tree, leaf = simulate(tree, game, ucb(1.0), np.ones(3, bool))
    assert leaf == 2 and asked == ["0", "1", "1"] and tree.visits.tolist() == [3, 1, 2]
    assert tree.total.tolist() == [1.25, 0.25, 1.0]
    stuck = Game(lambda s: [], lambda s: 0.5, lambda s: False, 1.0)
    tree, leaf = simulate(plant("x"), stuck, ucb(1.0), np.ones(1, bool))
    assert leaf == ROOT and tree.closed.tolist() == [True] and tree.visits.tolist() == [1]


def consistent(tree: Tree, sign: float) -> bool:
    """Every node's visits and total are its own evaluations and what its children sent up."""
    own = tree.visits.copy().astype(float)
    sent = tree.total.copy()
    for node in range(1, len(tree.parent)):
        own[tree.parent[node]] -= tree.visits[node]
        sent[tree.parent[node]] -= sign * tree.total[node]
    inner = np.isin(np.arange(len(own)), tree.parent)
    return bool((own[1:][inner[1:]] == 1).all() and own[0] == 0 and abs(sent[0]) < 1e-9 and (own >= 0).all())


@pytest.mark.parametrize("rule", [ucb(1.4), prior(1.0)])
def test_nim_is_played_as_theory_says(rule) -> None:
    """Take 1 to 3 stones, the last one wins: leave a multiple of 4. Values are exact at the end, unknown before."""
    nim = Game(
        lambda s: [(s - k, 1 / 3) for k in (1, 2, 3) if k <= s],
        lambda s: -1.0 if s == 0 else 0.0,
        lambda s: s == 0,
        -1.0,
    )
    for stones in (1, 3, 6, 9):
        tree = mcts(nim, stones, 200, rule)
        assert tree.states[most_visited(tree)] % 4 == 0
        assert mean_value(tree)[ROOT] > 0 and consistent(tree, -1.0)
    for stones in (4, 8):
        assert mean_value(mcts(nim, stones, 200, rule))[ROOT] < 0


LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def won(board: str) -> bool:
    return any(board[a] == board[b] == board[c] != "." for a, b, c in LINES)


def moves(board: str) -> list[tuple[str, float]]:
    mark = "XO"[(9 - board.count(".")) % 2]
    free = [i for i in range(9) if board[i] == "."]
    return [(board[:i] + mark + board[i + 1 :], 1 / len(free)) for i in free]


@cache
def minimax(board: str) -> int:
    """The exact value to whoever is to move."""
    if won(board):
        return -1
    return max((-minimax(after) for after, _ in moves(board)), default=0)


@pytest.mark.parametrize("board", ["XX.OO....", "X...O..X.", "XO..X....", "X.O.O.X..", "XOX.O...."])
def test_noughts_and_crosses_by_rollouts(board: str) -> None:
    rng = np.random.default_rng(0)
    over = cache(lambda b: won(b) or "." not in b)
    rules = Game(moves, lambda b: -1.0 if won(b) else 0.0, over, -1.0)
    game = rules._replace(value=lambda b: rollout(rules, b, rng))
    move = (tree := mcts(game, board, 250, ucb(1.0))).states[most_visited(tree)]
    assert -minimax(move) == minimax(board)


def test_priors_of_rollouts_need_not_sum_to_one() -> None:
    game = Game(lambda s: [(1, 6.0), (0, 2.0)] if s < 0 else [], float, lambda s: s >= 0, 1.0)
    rng = np.random.default_rng(0)
    assert abs(np.mean([rollout(game, -1, rng) for _ in range(2000)]) - 0.75) < 0.04


def test_rollouts_are_fair() -> None:
    """By its priors a walk goes right with ¼ at each of two steps; worth 1 where it goes right both times."""
    game = binary(2, 1.0, lambda s: float(s == "11"))
    rng = np.random.default_rng(0)
    mean = np.mean([rollout(game, "", rng) for _ in range(4000)])
    assert abs(mean - 1 / 16) < 4 * np.sqrt(1 / 16 * 15 / 16 / 4000)
    other = game._replace(sign=-1.0)
    assert {rollout(other, "1", rng) for _ in range(50)} == {0.0, -1.0}
    assert rollout(other, "11", rng) == 1.0
    assert rollout(Game(lambda s: [], lambda s: 0.5, lambda s: False, -1.0), "x", rng) == 0.5


def test_solve_enters_every_leaf_once_and_stops() -> None:
    calls = []
    game = binary(4, 1.0, lambda s: calls.append(s) or int(s, 2) / 16)
    trees = solve(game, "", 99, ucb(1.0))
    assert len(trees) == 16 and len(trees[-1].states) == 31  # 15 expansions
    assert sorted(calls) == sorted(trees[-1].states[1:])
    assert trees[-1].states[best_solution(trees[-1], game)] == "1111"
    assert not open_nodes(trees[-1]).any() and consistent(trees[-1], 1.0)
    assert len(solve(game, "", 3, ucb(1.0))) == 4 and len(solve(game, "", 0, ucb(1.0))) == 1
    assert solve(game, "0000", 5, ucb(1.0))[-1].visits.tolist() == [0]


def test_solve_follows_its_values() -> None:
    """A value that points the way is followed straight down; one that misleads costs iterations, not the answer."""
    toward = binary(6, 1.0, lambda s: float("101101".startswith(s)))
    trees = solve(toward, "", 6, ucb(0.1))
    assert trees[-1].states[best_solution(trees[-1], toward)] == "101101"
    away = binary(6, 1.0, lambda s: float(s == "101101") if len(s) == 6 else float(s[0] == "0"))
    trees = solve(away, "", 200, ucb(0.1))
    assert away.value(trees[-1].states[best_solution(trees[-1], away)]) == 1


def test_open_nodes_and_dead_ends() -> None:
    """Below 0 there is nothing, below 1 a solution and an open state."""
    after = {"": ["0", "1"], "1": ["1!", "1?"]}
    game = Game(lambda s: [(t, 1.0) for t in after.get(s, [])], lambda s: 0.5, lambda s: s.endswith("!"), 1.0)
    trees = solve(game, "", 99, ucb(1.0))
    assert trees[0].states == ("",) and open_nodes(trees[1]).tolist() == [True, True, True]
    assert trees[2].closed.tolist() == [False, True, False] and open_nodes(trees[2]).tolist() == [True, False, True]
    assert open_nodes(trees[3]).tolist() == [True, False, True, False, True]
    assert len(trees) == 5 and not open_nodes(trees[4])[ROOT]
    assert trees[4].states[best_solution(trees[4], game)] == "1!"
    assert best_solution(trees[2], game) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ucb1(np.zeros(2), np.array([1, -1]), np.array(2), 1.0), "visits"),
        (lambda: ucb1(np.zeros(2), np.array([1, 0]), np.array(0), 1.0), "at least 1"),
        (lambda: ucb1(np.zeros(2), np.array([1, 0]), np.array(1), -1.0), "c = -1.0"),
        (lambda: puct(np.zeros(2), np.array([1, 0]), np.ones(2), np.array(0), 1.0), "at least 1"),
        (lambda: puct(np.zeros(2), np.array([1, 0]), np.ones(2), np.array(1), -1.0), "c = -1.0"),
        (lambda: most_visited(plant("")), "no children"),
        (lambda: mcts(binary(2, 1.0), "", -1, ucb(1.0)), "simulations = -1"),
        (lambda: solve(binary(2, 1.0), "", -1, ucb(1.0)), "simulations = -1"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
