"""pass@k without bias."""

from typing import Any

import numpy as np

from clearhead.reference.evaluation import pass_at_k
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {"n": n.N, "c": rng.integers(0, n.N, n.B, endpoint=True), "k": int(rng.integers(1, n.N, endpoint=True))}


exercise = Exercise(
    title="pass@k",
    section="Evaluation",
    statement="""
For each of B problems n programs were drawn, and c[i] of them pass the tests of problem i. Return the mean over the
problems of the unbiased estimate of pass@k, the probability that at least one of k programs passes: 1 - C(n - c, k) /
C(n, k), where C(a, b) is 0 for a < b. n may be 500.
""",
    signature='def pass_at_k(n: int, c: "int[B]", k: int) -> float:',
    sizes={"N": (2, 12), "B": (2, 5)},
    draw=_draw,
    edges=lambda rng: [
        {"n": 500, "c": np.array([0, 1, 250]), "k": 100}, {"n": 5, "c": np.array([4, 5]), "k": 3}, {"n": 4, "c": np.array([1, 2]), "k": 2},
        {"n": 10, "c": np.array([3]), "k": 1}, {"n": 500, "c": np.array([3, 7]), "k": 200},
    ],
    oracle=lambda n, c, k: float(np.mean([pass_at_k(n, int(one), k) for one in c])),
    hints=(
        "Choose k of the n programs at random: when do all of them fail?",
        "C(n - c, k) / C(n, k) is the product of (1 - k / i) for i from n - c + 1 to n: no large numbers arise.",
        "1 - prod(1 - k / arange(n - c + 1, n + 1)), and 1 where n - c < k; in Python math.comb does it exactly.",
    ),
    solution="""
import numpy as np

def pass_at_k(n, c, k):
    def one(c):
        if n - c < k:
            return 1.0
        return 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))

    return float(np.mean([one(int(x)) for x in c]))
""",
    torch="""
import math
import torch

def pass_at_k(n, c, k):
    return sum(1 - math.comb(n - x, k) / math.comb(n, k) for x in c.tolist()) / len(c)
""",
    wrong={
        "1 - (1 - c/n)^k: programs are drawn with replacement, which is biased": (
            "1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))", "1.0 - (1.0 - c / n) ** k", "        if n - c < k:\n            return 1.0\n", ""
        ),
        "it is pass@1: c / n": ("1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))", "c / n", "        if n - c < k:\n            return 1.0\n", ""),
        "the probability that all fail, not that one passes": ("return 1.0 - np.prod", "return np.prod", "            return 1.0\n", "            return 0.0\n"),
        "the product is one factor short": ("n - c + 1, n + 1)", "n - c + 1, n)"),
        "the product begins one factor early": ("np.arange(n - c + 1, n + 1)", "np.arange(max(n - c, 1), n + 1)"),
        "the counts are averaged before the estimate": ("float(np.mean([one(int(x)) for x in c]))", "float(one(round(np.mean(c))))"),
        "binomials by floats overflow at n = 500": '''
import numpy as np

def pass_at_k(n, c, k):
    def choose(a, b):
        return np.prod(np.arange(1.0, a + 1)) / (np.prod(np.arange(1.0, b + 1)) * np.prod(np.arange(1.0, a - b + 1)))

    return float(np.mean([1 - (choose(n - x, k) / choose(n, k) if n - x >= k else 0) for x in c]))
''',
        "any problem with a passing program counts as solved": ("[one(int(x)) for x in c]", "[x > 0 for x in c]"),
    },
)  # fmt: skip
