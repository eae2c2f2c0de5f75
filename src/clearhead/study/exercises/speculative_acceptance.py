"""Which drafted tokens stand: speculative decoding."""

from typing import Any

import numpy as np

from clearhead.reference.softmax import softmax
from clearhead.reference.speculative import accept_probability, residual
from clearhead.study.practice.exercise import Exercise


def _first(p: np.ndarray, u: float) -> int:
    return int((p.cumsum() <= u * p.sum()).sum())


def _oracle(p: np.ndarray, q: np.ndarray, drafted: list[int], u: list[float], last: float) -> list[int]:
    for n, v in enumerate(drafted):
        if u[n] >= accept_probability(p[n], q[n])[v]:
            return [*drafted[:n], _first(residual(p[n], q[n]), last)]
    return [*drafted, _first(p[-1], last)]


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    p, q = softmax(rng.normal(size=(n.T + 1, n.V))), softmax(1.5 * rng.normal(size=(n.T, n.V)))
    p[rng.random(p.shape) < 0.2] = 0.0
    p[:, 0] += 0.1
    drafted = [int(rng.choice(n.V, p=row)) for row in q]
    return {
        "p": p / p.sum(-1, keepdims=True), "q": q, "drafted": drafted,
        "u": (rng.random(n.T) * rng.choice([0.4, 1.0])).tolist(), "last": float(rng.random()),
    }  # fmt: skip


exercise = Exercise(
    title="Speculative acceptance",
    section="Decoding",
    statement="""
A draft model proposed the tokens drafted[0], drafted[1], ... with the distributions q[0], q[1], ...; p[n] is the
target's distribution at the same place, and p[-1] the one after the last drafted token. Token n stands if u[n] <
p/q of it (all before it standing). The first that does not stand is replaced by a token drawn from max(0, p - q),
made to sum to 1, and nothing follows; if all stand, a token drawn from p[-1] follows. To draw from a distribution,
take the first token whose cumulative sum exceeds `last`. Return the tokens.
""",
    signature='def speculative_acceptance(p: "float[T + 1, V]", q: "float[T, V]", drafted: "list[int]", u: "list[float]", last: float) -> "list[int]":',
    sizes={"T": (1, 4), "V": (3, 6)},
    draw=_draw,
    edges=lambda rng: [
        {
            "p": np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), "q": np.array([[0.9, 0.05, 0.05]]),
            "drafted": [0], "u": [u], "last": last,
        }
        for u, last in ((0.52, 0.3), (0.7, 0.3), (0.7, 0.9))
    ],
    oracle=_oracle,
    hints=(
        "The rule is made so that what comes out has exactly the target's distribution, whatever the draft is.",
        "A token the target likes at least as much as the draft always stands; else it stands with probability p/q.",
        "On refusal: r = maximum(p[n] - q[n], 0); r /= r.sum(); the first index with r.cumsum() > last.",
    ),
    solution="""
import numpy as np

def pick(p, last):
    return int((p.cumsum(0) <= last).sum())

def speculative_acceptance(p, q, drafted, u, last):
    tokens = []
    for n, v in enumerate(drafted):
        if u[n] < p[n, v] / q[n, v]:
            tokens.append(v)
            continue
        r = np.maximum(p[n] - q[n], 0)
        return [*tokens, pick(r / r.sum(), last)]
    return [*tokens, pick(p[-1], last)]
""",
    torch="""
import torch

def speculative_acceptance(p, q, drafted, u, last):
    v = torch.tensor(drafted)
    place = torch.arange(len(v))
    stands = torch.tensor(u, dtype=torch.float64) < p[place, v] / q[place, v]
    n = int(stands.long().cumprod(0).sum())
    r = (p[n] - q[n]).clamp(min=0) if n < len(v) else p[-1]
    return [*drafted[:n], int(((r / r.sum()).cumsum(0) <= last).sum())]
""",
    wrong={
        "the replacement is drawn from the target, not from what the draft left over": ("np.maximum(p[n] - q[n], 0)", "p[n]"),
        "the replacement is drawn from the absolute difference": ("np.maximum(p[n] - q[n], 0)", "np.abs(p[n] - q[n])"),
        "p and q have changed places in the ratio": ("p[n, v] / q[n, v]", "q[n, v] / max(p[n, v], 1e-12)"),
        "a token stands only if the target likes it at least as much": ("u[n] < p[n, v] / q[n, v]", "p[n, v] >= q[n, v]"),
        "a token stands with the target's probability, not with the ratio": ("p[n, v] / q[n, v]", "p[n, v]"),
        "no token follows when all stand": ("    return [*tokens, pick(p[-1], last)]", "    return tokens"),
        "tokens after the refused one are kept": ("        return [*tokens, pick(r / r.sum(), last)]\n", "        tokens.append(pick(r / r.sum(), last))\n"),
        "the replacement's weights do not sum to 1": ("pick(r / r.sum(), last)", "pick(r, last)"),
    },
)  # fmt: skip
