"""Monte-Carlo tree search on an abstract game, step by step: select, expand, evaluate, back up.

The tree is a record of arrays, one entry to a node, parents before children; every step gives a new one. All children
of a leaf are born and evaluated together. Where only the first is, its siblings keep an infinite UCB and are expanded
unseen, their own score never asked for; where a leaf without children is not backed up nothing changes, and it is
selected for ever; and the path of best means may end in a state never visited or not finished. Here a finished node
is evaluated again (mcts) or closed (solve), and the answer is the most visited move or the best finished state.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from clearhead.reference import Array

ROOT = 0
NO_PARENT = -1


class Game(NamedTuple):
    """States and the steps between them, as functions; sign is -1 where two players take turns, +1 for one alone."""

    propose: Callable[[Any], Sequence[tuple[Any, float]]]  # state -> (next state, prior probability); none at an end
    value: Callable[[Any], float]  # state -> its worth to whoever is to move there: exact, judged, or from a rollout
    is_done: Callable[[Any], bool]
    sign: float


class Tree(NamedTuple):
    """One entry per node; `total` sums the values backed up, each as worth to whoever is to move at that node."""

    states: tuple[Any, ...]
    parent: Int[Array, "N"]
    prior: Float[Array, "N"]
    visits: Int[Array, "N"]
    total: Float[Array, "N"]
    closed: Bool[Array, "N"]  # nothing can be added below: a finished state, or one without a next step


SelectionRule = Callable[[Any, Any, Any, Any], Any]
"""(q mean value, n visits, p prior of each child; N visits of their parent) -> scores; the highest is selected."""


def ucb1(q: Float[Array, "*B K"], n: Int[Array, "*B K"], N: Int[Array, "*B"], c: float) -> Float[Array, "*B K"]:
    """q_a + c √(ln N / n_a), and ∞ where n_a = 0: a mean, and how far it may still be off.

    >>> ucb1(np.array([0.5, 0.5, 0.0]), np.array([1, 4, 0]), np.array(5), c=1.0).round(4).tolist()
    [1.7686, 1.1343, inf]

    O(K). Auer, Cesa-Bianchi and Fischer 2002, figure 1, where c = √2; in trees Kocsis and Szepesvári 2006, section 2.
    ValueError: negative visits or c, or N = 0 where a child was visited.
    """
    _check_visits(n, N, c)
    with np.errstate(divide="ignore"):  # ln 0 stands under n = 0 alone
        explored = np.sqrt(np.maximum(np.log(N), 0)[..., None] / np.maximum(n, 1))
    return np.where(n > 0, q + c * explored, np.inf)


def puct(
    q: Float[Array, "*B K"], n: Int[Array, "*B K"], p: Float[Array, "*B K"], N: Int[Array, "*B"], c: float
) -> Float[Array, "*B K"]:
    """q_a + c p_a √N / (1 + n_a): a prior says where to look, and counts for less with every visit.

    >>> puct(np.array([0.5, 0.5]), np.array([0, 3]), np.array([0.2, 0.8]), np.array(4), c=1.0).tolist()
    [0.9, 0.9]

    O(K). Silver et al. 2017 (AlphaGo Zero), Methods, where N is Σ_b n_b. ValueError: as ucb1.
    """
    _check_visits(n, N, c)
    return q + c * p * np.sqrt(N)[..., None] / (1 + n)


def plant(state: Any, is_done: bool = False) -> Tree:
    """A tree of one node, the root, not yet visited.

    >>> plant("17 × 24").visits.tolist()
    [0]
    """
    return Tree((state,), np.array([NO_PARENT]), np.ones(1), np.zeros(1, int), np.zeros(1), np.array([is_done]))


def children(tree: Tree, node: int) -> Int[Array, "K"]:
    """The nodes born of `node`, in the order of proposal.

    >>> children(plant("17 × 24"), ROOT).tolist()
    []
    """
    return np.flatnonzero(tree.parent == node)


def path_to(tree: Tree, node: int) -> list[int]:
    """The nodes from the root down to `node`.

    >>> path_to(plant("17 × 24"), ROOT)
    [0]
    """
    path = [node]
    while path[-1] != ROOT:
        path.append(int(tree.parent[path[-1]]))
    return path[::-1]


def mean_value(tree: Tree) -> Float[Array, "N"]:
    """Q = total / visits, and 0 where a node was not visited.

    >>> mean_value(backpropagate(plant("17 × 24"), ROOT, 0.9, 1.0)).tolist()
    [0.9]
    """
    return tree.total / np.maximum(tree.visits, 1)


def child_scores(tree: Tree, node: int, rule: SelectionRule, sign: float) -> Float[Array, "K"]:
    """What `rule` says of each child of `node`, whose means are seen by the one who chooses: sign · Q(child).

    >>> child_scores(plant("17 × 24"), ROOT, lambda q, n, p, N: q, 1.0).tolist()
    []
    """
    kids = children(tree, node)
    return np.asarray(rule(sign * mean_value(tree)[kids], tree.visits[kids], tree.prior[kids], tree.visits[node]))


def select(tree: Tree, rule: SelectionRule, sign: float, usable: Bool[Array, "N"]) -> int:
    """From the root down, the usable child of highest score (the first of equals), until a node without children.

    >>> select(plant("17 × 24"), lambda q, n, p, N: q, 1.0, np.array([True]))
    0
    """
    node = ROOT
    while len(kids := children(tree, node)):
        node = int(kids[np.where(usable[kids], child_scores(tree, node, rule, sign), -np.inf).argmax()])
    return node


def expand(tree: Tree, node: int, game: Game) -> Tree:
    """All states that `game` proposes after `node` become its children, unvisited; where there is none it is closed.

    >>> halves = Game(lambda s: [(s // 2, 1.0)] if s > 1 else [], lambda s: float(s), lambda s: s == 3, 1.0)
    >>> tree = expand(expand(plant(1), ROOT, halves), ROOT, halves)
    >>> tree.states, tree.closed.tolist(), expand(plant(7), ROOT, halves).closed.tolist()
    ((1,), [True], [False, True])
    """
    born = game.propose(tree.states[node])
    return Tree(
        tree.states + tuple(state for state, _ in born),
        np.append(tree.parent, np.full(len(born), node)),
        np.append(tree.prior, [prior for _, prior in born]),
        np.append(tree.visits, np.zeros(len(born), int)),
        np.append(tree.total, np.zeros(len(born))),
        np.append(
            tree.closed | ((np.arange(len(tree.states)) == node) & (not born)),
            np.array([game.is_done(state) for state, _ in born], bool),
        ),
    )


def backpropagate(tree: Tree, node: int, value: float, sign: float) -> Tree:
    """From `node` up to the root: visits + 1, total + value, the value changing sides with every step (times sign).

    >>> backpropagate(plant("17 × 24"), ROOT, 0.9, 1.0).total.tolist()
    [0.9]

    O(depth). Coulom 2006, section 3, with the mean as the value backed up.
    """
    visits, total = tree.visits.copy(), tree.total.copy()
    for ancestor in reversed(path_to(tree, node)):
        visits[ancestor] += 1
        total[ancestor] += value
        value = sign * value
    return tree._replace(visits=visits, total=total)


def simulate(tree: Tree, game: Game, rule: SelectionRule, usable: Bool[Array, "N"]) -> tuple[Tree, int]:
    """One iteration, and the leaf that it selected: its children are born, evaluated and backed up one by one.

    A leaf that is done has none, and is itself evaluated and backed up again.

    >>> digits = Game(lambda s: [(s + d, 0.5) for d in "12"], lambda s: float(s), lambda s: len(s) == 2, 1.0)
    >>> tree, leaf = simulate(plant(""), digits, lambda q, n, p, N: q, np.array([True]))
    >>> leaf, tree.states, tree.visits.tolist(), tree.total.tolist()
    (0, ('', '1', '2'), [2, 1, 1], [3.0, 1.0, 2.0])

    O(K · depth) beside the game's own cost.
    """
    leaf = select(tree, rule, game.sign, usable)
    before = len(tree.states)
    if not tree.closed[leaf]:
        tree = expand(tree, leaf, game)
    for node in range(before, len(tree.states)) if len(tree.states) > before else [leaf]:
        tree = backpropagate(tree, node, float(game.value(tree.states[node])), game.sign)
    return tree, leaf


def mcts(game: Game, state: Any, simulations: int, rule: SelectionRule) -> Tree:
    """The tree after so many iterations from `state`; most_visited gives its move.

    Finished states are entered again and again, as they must be for means to tend to the minimax value.

    >>> take = Game(lambda s: [(s - k, 1.0) for k in (1, 2) if k <= s], lambda s: -1.0 if s == 0 else 0.0,
    ...             lambda s: s == 0, -1.0)
    >>> tree = mcts(take, 4, 200, lambda q, n, p, N: ucb1(q, n, N, c=1.4))
    >>> tree.states[most_visited(tree)]
    3

    O(simulations · nodes). Kocsis and Szepesvári 2006, figure 1. ValueError: simulations < 0.
    """
    _check_simulations(simulations)
    tree = plant(state, game.is_done(state))
    for _ in range(simulations):
        tree, _ = simulate(tree, game, rule, np.ones(len(tree.states), bool))
    return tree


def solve(game: Game, state: Any, simulations: int, rule: SelectionRule) -> list[Tree]:
    """The tree at the start and after each iteration, finished states and exhausted subtrees not entered again.

    That is for one player in search of a solution; it ends early when nothing is left open.

    >>> digits = Game(lambda s: [(s + d, 0.5) for d in "12"], lambda s: float(s), lambda s: len(s) == 2, 1.0)
    >>> trees = solve(digits, "", 9, lambda q, n, p, N: ucb1(q, n, N, c=1.0))
    >>> [tree.states[-1] for tree in trees], trees[-1].visits.tolist()
    (['', '2', '22', '12'], [6, 3, 3, 1, 1, 1, 1])

    O(simulations · nodes). Winands, Björnsson and Saito 2008 close subtrees likewise. ValueError: simulations < 0.
    """
    _check_simulations(simulations)
    trees = [plant(state, game.is_done(state))]
    while len(trees) <= simulations and (usable := open_nodes(trees[-1]))[ROOT]:
        trees.append(simulate(trees[-1], game, rule, usable)[0])
    return trees


def open_nodes(tree: Tree) -> Bool[Array, "N"]:
    """Nodes at or below which a leaf can still be expanded.

    >>> open_nodes(plant("408", is_done=True)).tolist()
    [False]

    O(N): children come after their parents, so one pass from the back suffices.
    """
    inner = np.isin(np.arange(len(tree.parent)), tree.parent)
    found = ~inner & ~tree.closed
    for node in range(len(found) - 1, ROOT, -1):
        found[tree.parent[node]] |= found[node]
    return found


def most_visited(tree: Tree) -> int:
    """The child of the root with the most visits, whose mean is the best founded; the first of equals.

    >>> tree = Tree((0, 1, 2), np.array([-1, 0, 0]), np.ones(3), np.array([5, 4, 1]), np.ones(3), np.ones(3, bool))
    >>> most_visited(tree)
    1

    O(N). Chaslot et al. 2008, section 3.3 (the robust child). ValueError: a root without children.
    """
    kids = children(tree, ROOT)
    if len(kids) == 0:
        raise ValueError("the root has no children: simulate once at least, from a state that is not finished")
    return int(kids[tree.visits[kids].argmax()])


def best_solution(tree: Tree, game: Game) -> int | None:
    """The finished node of highest mean value, the first of equals; None where there is none.

    >>> print(best_solution(plant(""), Game(lambda s: [], lambda s: 0.0, lambda s: len(s) == 2, 1.0)))
    None
    """
    done = [node for node, state in enumerate(tree.states) if game.is_done(state)]
    return max(done, key=mean_value(tree).__getitem__, default=None)


def rollout(game: Game, state: Any, rng: np.random.Generator) -> float:
    """Steps drawn by their priors until a state is done: its value, seen by whoever is to move at `state`.

    >>> count_down = Game(lambda s: [(s - 1, 1.0)], lambda s: -1.0, lambda s: s == 0, -1.0)
    >>> [rollout(count_down, s, np.random.default_rng(0)) for s in (0, 1, 2)]
    [-1.0, 1.0, -1.0]

    O(length). Brügmann 1993. A state without a next step is judged as it stands.
    """
    sign = 1.0
    while not game.is_done(state) and len(steps := game.propose(state)):
        prior = np.array([p for _, p in steps])
        state = steps[int(rng.choice(len(steps), p=prior / prior.sum()))][0]
        sign *= game.sign
    return sign * float(game.value(state))


def _check_visits(n: Array, N: Array, c: float) -> None:
    if not c >= 0:
        raise ValueError(f"c = {c} must be 0 or more")
    if not ((n >= 0).all() and (np.asarray(N)[..., None] >= (n > 0)).all()):
        raise ValueError("visits must be 0 or more, and a parent's at least 1 where a child was visited")


def _check_simulations(simulations: int) -> None:
    if simulations < 0:
        raise ValueError(f"simulations = {simulations} must be 0 or more")
