"""An embedding that is also the output layer, forwards and backwards."""

from typing import Any

import numpy as np

from clearhead.reference.positions import lookup, lookup_vjp
from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp
from clearhead.study.practice.exercise import Exercise


def _oracle(e: np.ndarray, ids: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
    x = lookup(e, ids)
    z = x @ e.T
    dz = cross_entropy_vjp(z, target, np.full(len(ids), 1 / len(ids)))
    return float(cross_entropy(z, target).mean()), lookup_vjp(e, ids, dz @ e) + dz.T @ x


exercise = Exercise(
    title="Embedding and tied output",
    section="Embeddings",
    statement="""
The smallest language model there is: x = e[ids], logits z = x e^T with the same matrix e, and the mean cross-entropy
against target. Return (loss, de). The matrix is used twice, so its gradient has two parts; a token that occurs several
times in ids gets the sum. By hand: no automatic differentiation.
""",
    signature='def embedding_tying(e: "float[V, D]", ids: "int[T]", target: "int[T]") -> "loss, de":',
    sizes={"V": (3, 5), "D": (2, 4), "T": (3, 6)},
    draw=lambda rng, n: {"ids": rng.integers(0, n.V, n.T), "target": rng.integers(0, n.V, n.T)},
    edges=lambda rng: [
        {"e": rng.normal(size=(4, 3)), "ids": np.array([1, 1, 2, 1]), "target": np.array([0, 3, 3, 2])},
        {"e": 30 * rng.normal(size=(3, 2)), "ids": np.array([0, 2]), "target": np.array([1, 1])},
    ],
    oracle=_oracle,
    outputs=("loss", "de"),
    forbidden=("torch.autograd", "torch.Tensor.backward", "torch.func"),
    hints=(
        "Give the two uses different names, differentiate by each, and add.",
        "dz = (softmax(z) - onehot) / T. As the output layer e gets dz.T @ x; as the embedding it gets dx at its rows.",
        "de = dz.T @ x; np.add.at(de, ids, dz @ e), in torch de.index_add_(0, ids, dz @ e).",
    ),
    solution="""
import numpy as np

def embedding_tying(e, ids, target):
    T = len(ids)
    x = e[ids]
    z = x @ e.T
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    loss = -log_p[np.arange(T), target].mean()
    dz = np.exp(log_p)
    dz[np.arange(T), target] -= 1
    dz = dz / T
    de = dz.T @ x
    np.add.at(de, ids, dz @ e)
    return loss, de
""",
    torch="""
import torch

def embedding_tying(e, ids, target):
    hot, wanted = (torch.nn.functional.one_hot(i, len(e)).to(e.dtype) for i in (ids, target))
    x = hot @ e
    log_p = (x @ e.T).log_softmax(-1)
    dz = (log_p.exp() - wanted) / len(ids)
    return -(wanted * log_p).sum(-1).mean(), dz.T @ x + hot.T @ (dz @ e)
""",
    wrong={
        "the gradient of the embedding is missing: only the output layer's is returned": ("    np.add.at(de, ids, dz @ e)\n", ""),
        "the gradient of the output layer is missing": ("de = dz.T @ x", "de = np.zeros_like(e)"),
        "a token that occurs several times gets the gradient of one place only": ("np.add.at(de, ids, dz @ e)", "de[ids] += dz @ e"),
        "the gradient is not divided by T": ("    dz = dz / T\n", ""),
        "the second part replaces the first": ("np.add.at(de, ids, dz @ e)", "de[ids] = dz @ e"),
        "the gradient at the target lacks its - 1": ("    dz[np.arange(T), target] -= 1\n", ""),
        "the embedding's gradient goes to the targets, not to the inputs": ("np.add.at(de, ids,", "np.add.at(de, target,"),
        "the sign of the gradient is reversed": ("return loss, de", "return loss, -de"),
        "the two parts are averaged": ("return loss, de", "return loss, de / 2"),
    },
)  # fmt: skip
