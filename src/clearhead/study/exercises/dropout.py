"""Inverted dropout."""

from typing import Any

import numpy as np

from clearhead.reference.regularizers import dropout, dropout_vjp
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {
        "u": rng.random((n.B, n.D)),
        "rate": float(rng.choice([0.1, 0.25, 0.5, 0.9])),
        "training": bool(rng.random() < 0.7),
    }


exercise = Exercise(
    title="Dropout",
    section="Regularization",
    statement="""
In training an entry of x is kept where u >= rate, u being uniform in [0, 1), and set to 0 elsewhere; what is kept is
scaled so that the mean over all u is x. In evaluation (training=False) x comes back as it is.
""",
    signature='def dropout(x: "float[B, D]", u: "float[B, D]", rate: float, training: bool) -> "float[B, D]":',
    sizes={"B": (2, 4), "D": (3, 6)},
    draw=_draw,
    edges=lambda rng: [
        {"x": rng.normal(size=(3, 4)), "u": rng.random((3, 4)), "rate": 0.5, "training": t} for t in (True, False)
    ],
    oracle=lambda x, u, rate, training: dropout(x, u >= rate, rate) if training else x,
    vjp=lambda dy, x, u, rate, training: {"x": dropout_vjp(x, u >= rate, rate, dy) if training else dy},
    forbidden=("torch.nn.functional.dropout", "torch.nn.Dropout", "torch.dropout"),
    hints=(
        "An entry survives with probability 1 - rate. By what must it be scaled for its mean to stay?",
        "Divide by 1 - rate in training, so that evaluation has nothing to do.",
        "np.where(u >= rate, x / (1 - rate), 0.0) if training else x",
    ),
    solution="""
import numpy as np

def dropout(x, u, rate, training):
    if not training:
        return x
    return np.where(u >= rate, x / (1 - rate), 0.0)
""",
    torch="""
import torch

def dropout(x, u, rate, training):
    return x * (u >= rate) / (1 - rate) if training else x * 1
""",
    wrong={
        "what is kept is not scaled": ("x / (1 - rate)", "x"),
        "what is kept is divided by rate, not by 1 - rate": ("x / (1 - rate)", "x / rate"),
        "entries are kept with probability rate, not dropped with it": ("u >= rate", "u < rate"),
        "entries are dropped in evaluation too": ("    if not training:\n        return x\n", ""),
        "evaluation scales x: that belongs to the other kind of dropout": ("        return x\n", "        return x * (1 - rate)\n"),
        "a whole row is dropped at once": ("u >= rate", "u[:, :1] >= rate"),
    },
)  # fmt: skip
