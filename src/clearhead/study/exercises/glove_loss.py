"""GloVe's weighted least squares."""

from typing import Any

import numpy as np

from clearhead.reference.embeddings import glove_loss, glove_loss_vjp
from clearhead.study.practice.exercise import Exercise


def _vjp(
    dy: Any, w: np.ndarray, u: np.ndarray, b: np.ndarray, c: np.ndarray, counts: np.ndarray, x_max: float
) -> dict[str, Any]:
    return dict(zip(("w", "u", "b", "c"), glove_loss_vjp(w, u, b, c, counts, x_max, np.array(float(dy))), strict=True))


exercise = Exercise(
    title="The loss of GloVe",
    section="Embeddings",
    statement="""
The sum over all pairs that occur (counts[i, j] > 0) of f(X) (w_i . u_j + b_i + c_j - log X)^2 with X = counts[i, j] and
f(X) = min(1, (X / x_max)^0.75). Pairs that never occur add nothing.
""",
    signature='def glove_loss(w: "float[V, D]", u: "float[V, D]", b: "float[V]", c: "float[V]", counts: "int[V, V]", x_max: float) -> float:',
    sizes={"V": (2, 5)},
    draw=lambda rng, n: {
        "counts": rng.integers(0, 30, (n.V, n.V)) * (rng.random((n.V, n.V)) < 0.7), "x_max": float(rng.uniform(5, 20))
    },
    edges=lambda rng: [
        {
            "w": rng.normal(size=(3, 2)), "u": rng.normal(size=(3, 2)), "b": rng.normal(size=3), "c": rng.normal(size=3),
            "counts": np.array([[0, 1, 200], [3, 0, 0], [50, 7, 12]]), "x_max": 10.0,
        }
    ],
    oracle=lambda w, u, b, c, counts, x_max: float(glove_loss(w, u, b, c, counts, x_max)),
    vjp=_vjp,
    hints=(
        "All pairs at once: w @ u.T is the matrix of dot products.",
        "b belongs to the rows, c to the columns; the logarithm of 0 must not come in at all.",
        "Select seen = counts > 0 before the logarithm, or take log(where(seen, counts, 1)) and a weight of 0 elsewhere.",
    ),
    solution="""
import numpy as np

def glove_loss(w, u, b, c, counts, x_max):
    seen = counts > 0
    weight = np.minimum(counts / x_max, 1.0) ** 0.75
    error = w @ u.T + b[:, None] + c[None, :] - np.log(np.where(seen, counts, 1))
    return (weight * error**2)[seen].sum()
""",
    torch="""
import torch

def glove_loss(w, u, b, c, counts, x_max):
    i, j = torch.nonzero(counts, as_tuple=True)
    x = counts[i, j].double()
    error = (w[i] * u[j]).sum(-1) + b[i] + c[j] - x.log()
    return ((x / x_max).clamp(max=1.0) ** 0.75 * error**2).sum()
""",
    wrong={
        "the weight is not capped at 1": ("np.minimum(counts / x_max, 1.0)", "(counts / x_max)"),
        "the biases belong to the other side": ("b[:, None] + c[None, :]", "b[None, :] + c[:, None]"),
        "log(1 + X) stands for log X": ("np.where(seen, counts, 1)", "counts + 1"),
        "pairs that never occur come in as NaN": ("np.log(np.where(seen, counts, 1))", "np.log(counts)", "(weight * error**2)[seen].sum()", "(weight * error**2).sum()"),
        "the weight's power is missing": ("** 0.75", "** 1.0"),
        "the mean over the pairs, not the sum": ("[seen].sum()", "[seen].mean()"),
    },
)  # fmt: skip
