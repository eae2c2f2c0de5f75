"""The loss of a reward model."""

from typing import Any

import numpy as np

from clearhead.reference.preference import reward_loss, reward_loss_vjp
from clearhead.study.practice.exercise import Exercise


def _vjp(dy: Any, chosen: np.ndarray, rejected: np.ndarray) -> dict[str, np.ndarray]:
    dc, dr = reward_loss_vjp(chosen, rejected, np.full(len(chosen), float(dy) / len(chosen)))
    return {"chosen": dc, "rejected": dr}


exercise = Exercise(
    title="The Bradley-Terry loss",
    section="Alignment",
    statement="""
How surprised a reward model is by a person's choices: the mean over the pairs of -log sigmoid(chosen - rejected).
Margins may be as large as 10,000 in either direction.
""",
    signature='def bradley_terry(chosen: "float[B]", rejected: "float[B]") -> float:',
    sizes={"B": (1, 5)},
    edges=lambda rng: [{"chosen": np.array([-1e4, 1e4, 0.0]), "rejected": np.array([1e4, -1e4, 0.0])}, {"chosen": np.array([-240.0]), "rejected": np.array([0.0])}],
    oracle=lambda chosen, rejected: float(reward_loss(chosen, rejected).mean()),
    vjp=_vjp,
    hints=(
        "-log sigmoid(d) = log(1 + exp(-d)): for a large negative d it is -d, not infinity.",
        "log(1 + exp(s)) without overflow: max(s, 0) + log1p(exp(-|s|)).",
        "np.logaddexp(0, rejected - chosen).mean(); in torch softplus(rejected - chosen) or -logsigmoid.",
    ),
    solution="""
import numpy as np

def bradley_terry(chosen, rejected):
    s = rejected - chosen
    return (np.maximum(s, 0) + np.log1p(np.exp(-np.abs(s)))).mean()
""",
    torch="""
import torch

def bradley_terry(chosen, rejected):
    return -torch.nn.functional.logsigmoid(chosen - rejected).mean()
""",
    wrong={
        "the logarithm of a sigmoid that underflowed: infinite at a margin of -1,000": (
            "(np.maximum(s, 0) + np.log1p(np.exp(-np.abs(s)))).mean()", "-np.log(1 / (1 + np.exp(s))).mean()"
        ),
        "a small number inside the logarithm caps the loss": ("(np.maximum(s, 0) + np.log1p(np.exp(-np.abs(s)))).mean()", "-np.log(1 / (1 + np.exp(s)) + 1e-8).mean()"),
        "chosen and rejected have changed places": ("rejected - chosen", "chosen - rejected"),
        "the sum over the pairs, not the mean": (".mean()", ".sum()"),
        "it is a hinge: only pairs in the wrong order count": (" + np.log1p(np.exp(-np.abs(s)))", ""),
        "the mean of the margins is taken before the loss": ("s = rejected - chosen", "s = (rejected - chosen).mean()"),
    },
)  # fmt: skip
