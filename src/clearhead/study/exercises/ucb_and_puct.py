"""The two rules by which a tree search chooses."""

from typing import Any

import numpy as np

from clearhead.reference.search import puct, ucb1
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    visits = rng.integers(0, 6, n.K)
    prior = rng.random(n.K) + 0.05
    return {
        "total": visits * rng.random(n.K), "n": visits, "prior": prior / prior.sum(),
        "parent": int(visits.sum()) + 1, "c": float(rng.uniform(0.5, 3)),
    }  # fmt: skip


def _oracle(total: np.ndarray, n: np.ndarray, prior: np.ndarray, parent: int, c: float) -> tuple[Any, ...]:
    q, N = total / np.maximum(n, 1), np.array(parent)
    return ucb1(q, n, N, c), puct(q, n, prior, N, c)


exercise = Exercise(
    title="UCB1 and PUCT",
    section="Search",
    statement="""
The scores by which a search chooses among K children, from the sum of their values, their visits n, their priors, and
the visits of their parent:
UCB1: mean + c sqrt(ln parent / n), infinite for a child without visits;
PUCT: mean + c prior sqrt(parent) / (1 + n), the mean of a child without visits being 0.
Return (ucb1, puct).
""",
    signature='def ucb_and_puct(total: "float[K]", n: "int[K]", prior: "float[K]", parent: int, c: float) -> "ucb1, puct":',
    sizes={"K": (2, 5)},
    draw=_draw,
    edges=lambda rng: [{"total": np.array([2.0, 0.0, 1.5]), "n": np.array([4, 0, 2]), "prior": np.array([0.2, 0.5, 0.3]), "parent": 7, "c": 1.4}],
    oracle=_oracle,
    outputs=("ucb1", "puct"),
    hints=(
        "Both are a mean plus a bonus; they differ in how the bonus falls with the visits.",
        "c stands outside the root in both. Take care of n = 0: no division by zero, and no NaN.",
        "mean = total / maximum(n, 1); where(n > 0, mean + c sqrt(log(parent) / maximum(n, 1)), inf).",
    ),
    solution="""
import numpy as np

def ucb_and_puct(total, n, prior, parent, c):
    mean = total / np.maximum(n, 1)
    ucb = mean + c * np.sqrt(np.log(parent) / np.maximum(n, 1))
    return np.where(n > 0, ucb, np.inf), mean + c * prior * np.sqrt(parent) / (1 + n)
""",
    torch="""
import math
import torch

def ucb_and_puct(total, n, prior, parent, c):
    some = n.clamp(min=1)
    ucb = total / some + c * (math.log(parent) / some.double()).sqrt()
    return ucb.masked_fill(n == 0, math.inf), total / some + c * prior * math.sqrt(parent) / (1 + n)
""",
    wrong={
        "the sum of values stands where their mean must": ("total / np.maximum(n, 1)", "total"),
        "the constant stands inside the root": ("c * np.sqrt(np.log(parent) / np.maximum(n, 1))", "np.sqrt(c * np.log(parent) / np.maximum(n, 1))"),
        "the logarithm is missing from UCB1": ("np.log(parent)", "parent"),
        "the roles are exchanged: the child's visits are in the numerator": ("np.log(parent) / np.maximum(n, 1)", "np.log(np.maximum(n, 1)) / parent"),
        "PUCT divides by n, not by 1 + n": ("/ (1 + n)", "/ np.maximum(n, 1)"),
        "PUCT lacks the root of the parent's visits": ("prior * np.sqrt(parent)", "prior * parent"),
        "PUCT takes no notice of the prior": ("c * prior *", "c *"),
        "a child without visits gets a score of 0 in UCB1, so it is never tried": ("np.inf)", "0.0)"),
    },
)  # fmt: skip
