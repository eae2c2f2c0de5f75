"""Monte-Carlo tree search for reasoning."""

from typing import Any

import numpy as np

from clearhead.reference.search import ROOT, Game, children, mcts, mean_value, ucb1
from clearhead.study.practice.exercise import Exercise


def _oracle(steps: dict[str, list[str]], worth: dict[str, float], simulations: int, c: float) -> tuple[Any, ...]:
    calls = []

    def value(state: Any) -> float:
        calls.append(state)
        return worth[state]

    game = Game(lambda s: [(t, 1.0) for t in steps.get(s, [])], value, lambda s: not steps.get(s), 1.0)
    tree = mcts(game, "", simulations, lambda q, n, p, N: ucb1(q, n, N, c))
    kids = children(tree, ROOT)
    found = [(tree.states[i], int(tree.visits[i]), float(mean_value(tree)[i])) for i in kids]
    return found, len(calls)


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    steps: dict[str, list[str]] = {}
    worth: dict[str, float] = {}
    level = [""]
    for depth in range(n.L + 1):
        below = []
        for state in level:
            if depth < n.L and (depth == 0 or rng.random() < 0.8):
                steps[state] = [state + letter for letter in "abcd"[: int(rng.integers(1, n.K, endpoint=True))]]
                below += steps[state]
        worth |= {state: float(rng.random()) for state in level}
        level = below
    return {"steps": steps, "worth": worth, "simulations": int(rng.integers(1, 30)), "c": float(rng.uniform(0.2, 2))}


exercise = Exercise(
    title="Monte-Carlo tree search",
    section="Search",
    statement="""
propose(state) gives the list of possible next states (none at an end), value(state) judges a state. From root,
repeat `simulations` times:
1. select: from the root, as long as the node has children, go to the child with the largest mean +
   c sqrt(ln N / n), with n its visits and N its parent's; a child without visits comes first; the first among equals;
2. expand: all proposals for the node reached become its children;
3. evaluate and back up: for each new child in turn, call value once and add it to the total, and 1 to the visits,
   of the child and of every node above it up to the root. Where there were no proposals, judge and back up the node
   itself.
Return (state, visits, mean) for each child of the root, in order.
""",
    signature='def mcts(root: str, propose, value, simulations: int, c: float) -> "list[tuple[str, int, float]]":',
    sizes={"L": (2, 4), "K": (2, 4)},
    draw=_draw,
    oracle=_oracle,
    outputs=("children of the root", "calls of value"),
    drive="""
def drive(learner, steps, worth, simulations, c):
    calls = []
    def value(state):
        calls.append(state)
        return worth[state]
    return list(learner.mcts("", lambda state: list(steps.get(state, [])), value, simulations, c)), len(calls)
""",
    hints=(
        "Write a node with state, parent, children, visits and total; the mean is total / visits.",
        "Back up by walking over parent to the root inclusive; N in the formula is the parent's visits, not the root's.",
        "max() takes the first of equals. A child without visits scores infinity. Each simulation may add several evaluations.",
    ),
    solution="""
import math

class Node:
    def __init__(self, state, parent=None):
        self.state, self.parent = state, parent
        self.children, self.visits, self.total = [], 0, 0.0

    def score(self, c):
        if self.visits == 0:
            return math.inf
        return self.total / self.visits + c * math.sqrt(math.log(self.parent.visits) / self.visits)

def mcts(root, propose, value, simulations, c):
    top = Node(root)
    for _ in range(simulations):
        node = top
        while node.children:
            node = max(node.children, key=lambda child: child.score(c))
        node.children = [Node(state, node) for state in propose(node.state)]
        for leaf in node.children or [node]:
            v = value(leaf.state)
            while leaf is not None:
                leaf.visits += 1
                leaf.total += v
                leaf = leaf.parent
    return [(child.state, child.visits, child.total / max(child.visits, 1)) for child in top.children]
""",
    torch="""
import math
import torch

def mcts(root, propose, value, simulations, c):
    state, parent, kids = [root], [-1], [[]]
    stats = torch.zeros(10_000, 2, dtype=torch.float64)  # visits, total
    for _ in range(simulations):
        node = 0
        while kids[node]:
            n, total = stats[kids[node]].T
            score = total / n.clamp(min=1) + c * (stats[node, 0].log() / n.clamp(min=1)).sqrt()
            node = kids[node][int(score.masked_fill(n == 0, math.inf).argmax())]
        for s in propose(state[node]):
            kids[node].append(len(state))
            state.append(s), parent.append(node), kids.append([])
        for leaf in kids[node] or [node]:
            v = value(state[leaf])
            while leaf >= 0:
                stats[leaf] += torch.tensor([1.0, v], dtype=torch.float64)
                leaf = parent[leaf]
    return [(state[i], int(stats[i, 0]), float(stats[i, 1] / stats[i, 0].clamp(min=1))) for i in kids[0]]
""",
    wrong={
        "only the first new child is evaluated": ("for leaf in node.children or [node]:", "for leaf in node.children[:1] or [node]:"),
        "the exploration constant stands inside the root": ("c * math.sqrt(math.log(self.parent.visits) / self.visits)", "math.sqrt(c * math.log(self.parent.visits) / self.visits)"),
        "the exploration constant is ignored": ("c * math.sqrt", "1.4 * math.sqrt"),
        "the sum of values is compared, not their mean": ("return self.total / self.visits + c", "return self.total + c"),
        "values reach the parent and go no further": ("                leaf = leaf.parent\n", "                leaf = leaf.parent if leaf in (node.children or [node]) else None\n"),
        "the value replaces the total on the way up, where it must be added": ("leaf.total += v", "leaf.total = v * leaf.visits"),
        "nodes at an end are not judged again": ("for leaf in node.children or [node]:", "for leaf in node.children or ([] if node.visits else [node]):"),
        "the choice is greedy: no bonus for few visits": ("self.total / self.visits + c * math.sqrt(math.log(self.parent.visits) / self.visits)", "self.total / self.visits"),
    },
)  # fmt: skip
