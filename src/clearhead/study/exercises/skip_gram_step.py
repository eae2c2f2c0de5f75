"""One step of word2vec with negative sampling."""

from typing import Any

import numpy as np

from clearhead.reference.embeddings import negative_sampling, negative_sampling_vjp
from clearhead.study.practice.exercise import Exercise


def _oracle(center: np.ndarray, context: np.ndarray, negatives: np.ndarray, rate: float) -> tuple[Any, ...]:
    grads = negative_sampling_vjp(center, context, negatives, np.array(1.0))
    moved = (w - rate * g for w, g in zip((center, context, negatives), grads, strict=True))
    return float(negative_sampling(center, context, negatives)), *moved


exercise = Exercise(
    title="A step of skip-gram",
    section="Embeddings",
    statement="""
The loss of one pair: -log sigmoid(context . center) - sum over k of log sigmoid(-negatives[k] . center). Take one step
of gradient descent on all three, each with the gradient at the old vectors. Return (loss before the step, center,
context, negatives). By hand: no automatic differentiation.
""",
    signature='def skip_gram_step(center: "float[D]", context: "float[D]", negatives: "float[K, D]", rate: float) -> "loss, center, context, negatives":',
    sizes={"D": (2, 5), "K": (2, 5)},
    draw=lambda rng, n: {"rate": float(rng.uniform(0.05, 0.5))},
    edges=lambda rng: [{"center": np.array([40.0, 0]), "context": np.array([-40.0, 1]), "negatives": np.array([[30.0, 2.0]]), "rate": 0.1}],
    oracle=_oracle,
    outputs=("loss", "center", "context", "negatives"),
    forbidden=("torch.autograd", "torch.Tensor.backward", "torch.func"),
    hints=(
        "It is logistic regression: the true neighbor has label 1, the negatives label 0.",
        "The derivative of -log sigmoid(s) is sigmoid(s) - 1, that of -log sigmoid(-s) is sigmoid(s). -log sigmoid(s) = logaddexp(0, -s).",
        "a = sigmoid(u.v) - 1, b_k = sigmoid(u_k.v): dv = a u + sum b_k u_k, du = a v, du_k = b_k v.",
    ),
    solution="""
import numpy as np

def sigmoid(s):
    return 1 / (1 + np.exp(-s))

def skip_gram_step(center, context, negatives, rate):
    s, r = context @ center, negatives @ center
    loss = np.logaddexp(0, -s) + np.logaddexp(0, r).sum()
    a, b = sigmoid(s) - 1, sigmoid(r)
    new_center = center - rate * (a * context + b @ negatives)
    new_context = context - rate * a * center
    new_negatives = negatives - rate * b[:, None] * center
    return loss, new_center, new_context, new_negatives
""",
    torch="""
import torch

def skip_gram_step(center, context, negatives, rate):
    s, r = context @ center, negatives @ center
    loss = torch.logaddexp(-s, torch.zeros_like(s)) + torch.logaddexp(r, torch.zeros_like(r)).sum()
    a, b = s.sigmoid() - 1, r.sigmoid()
    return (
        loss, center - rate * (a * context + b @ negatives), context - rate * a * center,
        negatives - rate * torch.outer(b, center),
    )
""",
    wrong={
        "the context is moved with the center's new vector": ("rate * a * center", "rate * a * new_center"),
        "the negatives are pulled in, not pushed away": ("b = sigmoid(s) - 1, sigmoid(r)", "b = sigmoid(s) - 1, sigmoid(r) - 1"),
        "the negatives do not act on the center": ("a * context + b @ negatives", "a * context"),
        "the step goes up the gradient": ("center - rate * (a", "center + rate * (a", "context - rate", "context + rate", "negatives - rate", "negatives + rate"),
        "the logarithm is taken of a sigmoid that underflowed": (
            "np.logaddexp(0, -s) + np.logaddexp(0, r).sum()", "-np.log(sigmoid(s)) - np.log(1 - sigmoid(r)).sum()"
        ),
        "the loss is averaged over the negatives": ("np.logaddexp(0, r).sum()", "np.logaddexp(0, r).mean()"),
    },
)  # fmt: skip
