"""A mixture of experts: top-k routing and the load-balance loss."""

from typing import Any

import numpy as np

from clearhead.reference.mixture import balance_loss, route
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, w_router: np.ndarray, w_expert: np.ndarray, k: int) -> tuple[Any, ...]:
    z = x @ w_router
    expert, weight = route(z, k)
    said = np.einsum("td,tkdf->tkf", x, w_expert[expert])
    return (weight[..., None] * said).sum(1), balance_loss(z, k)


exercise = Exercise(
    title="MoE routing with load balance",
    section="Transformer blocks",
    statement="""
Each token goes to the k experts with the largest of its N router logits z = x w_router; expert i gives x w_expert[i].
Their results are summed with weights, a softmax over the k chosen logits alone. Return (y, balance): balance = N times
the sum over the experts of f_i P_i, where f_i is the share of all T k choices that fell on expert i, and P_i the mean
over the tokens of softmax(z)_i over all N experts. No two logits of a token are equal.
""",
    signature='def moe_routing(x: "float[T, D]", w_router: "float[D, N]", w_expert: "float[N, D, F]", k: int) -> "y, balance":',
    sizes={"T": (2, 6), "D": (2, 4), "N": (3, 5), "F": (2, 3)},
    draw=lambda rng, n: {"k": int(rng.integers(1, 3, endpoint=True))},
    edges=lambda rng: [
        {"x": rng.normal(size=(5, 3)), "w_router": rng.normal(size=(3, 4)), "w_expert": rng.normal(size=(4, 3, 2)), "k": k}
        for k in (1, 2, 4)
    ],
    oracle=_oracle,
    outputs=("y", "balance"),
    hints=(
        "Choose first, then normalize: a softmax over the k chosen logits, not over all.",
        "f comes from the choices and is a count; P comes from the probabilities over all N and is differentiable.",
        "best = argsort(-z)[:, :k]; weight = softmax(take_along_axis(z, best)); f = bincount(best.ravel(), minlength=N) / (T k).",
    ),
    solution="""
import numpy as np

def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)

def moe_routing(x, w_router, w_expert, k):
    T, N = len(x), w_router.shape[1]
    z = x @ w_router
    best = np.argsort(-z, -1)[:, :k]
    weight = softmax(np.take_along_axis(z, best, -1))
    y = sum(weight[:, i, None] * np.einsum("td,tdf->tf", x, w_expert[best[:, i]]) for i in range(k))
    f = np.bincount(best.ravel(), minlength=N) / (T * k)
    return y, N * (f * softmax(z).mean(0)).sum()
""",
    torch="""
import torch

def moe_routing(x, w_router, w_expert, k):
    z = x @ w_router
    T, N = z.shape
    value, best = z.topk(k, -1)
    gate = torch.zeros_like(z).scatter(-1, best, value.softmax(-1))
    y = torch.einsum("tn,td,ndf->tf", gate, x, w_expert)
    f = torch.nn.functional.one_hot(best, N).double().sum((0, 1)) / (T * k)
    return y, N * (f * z.softmax(-1).mean(0)).sum()
""",
    wrong={
        "the weights are those of a softmax over all experts: they do not sum to 1": (
            "softmax(np.take_along_axis(z, best, -1))", "np.take_along_axis(softmax(z), best, -1)"
        ),
        "the chosen experts weigh the same": ("softmax(np.take_along_axis(z, best, -1))", "np.full(best.shape, 1 / k)"),
        "the results are summed without weights": ("weight[:, i, None] * np", "np"),
        "the experts with the smallest logits are chosen": ("np.argsort(-z, -1)", "np.argsort(z, -1)"),
        "all experts answer: nothing is sparse": ("    best = np.argsort(-z, -1)[:, :k]\n", "    k = N\n    best = np.argsort(-z, -1)[:, :k]\n"),
        "f takes the first choice only": ("np.bincount(best.ravel(), minlength=N) / (T * k)", "np.bincount(best[:, 0], minlength=N) / T"),
        "f is not divided by k": ("/ (T * k)", "/ T"),
        "the balance lacks the factor N": ("return y, N * (f", "return y, (f"),
        "the balance takes the square of f, through which no gradient flows": ("f * softmax(z).mean(0)", "f * f"),
        "P is summed over the tokens, not averaged": ("softmax(z).mean(0)", "softmax(z).sum(0)"),
        "P takes the probabilities of the chosen experts only": (
            "softmax(z).mean(0)", "np.where(np.isin(np.arange(N), best), softmax(z).mean(0), 0) * 0 + np.array([(softmax(z)[:, n] * (best == n).any(1)).mean() for n in range(N)])"
        ),
    },
)  # fmt: skip
