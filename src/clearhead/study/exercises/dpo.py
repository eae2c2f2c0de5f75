"""Direct preference optimization."""

from typing import Any

import numpy as np

from clearhead.reference.preference import dpo_loss
from clearhead.study.practice.exercise import Exercise

NAMES = ("chosen", "rejected", "ref_chosen", "ref_rejected")


def _oracle(
    chosen: np.ndarray, rejected: np.ndarray, ref_chosen: np.ndarray, ref_rejected: np.ndarray,
    chosen_mask: np.ndarray, rejected_mask: np.ndarray, beta: float,
) -> float:  # fmt: skip
    w, l_ = (chosen * chosen_mask).sum(-1), (rejected * rejected_mask).sum(-1)
    ref_w, ref_l = (ref_chosen * chosen_mask).sum(-1), (ref_rejected * rejected_mask).sum(-1)
    return float(dpo_loss(w, l_, ref_w, ref_l, beta).mean())


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    found: dict[str, Any] = {name: -3 * rng.random((n.B, n.T)) for name in NAMES}
    for name in ("chosen_mask", "rejected_mask"):
        start, stop = rng.integers(0, n.T - 1, n.B), n.T - rng.integers(0, 2, n.B)
        place = np.arange(n.T)
        found[name] = (place >= start[:, None]) & (place < np.maximum(stop, start + 1)[:, None])
    return found | {"beta": float(rng.uniform(0.05, 1.5))}


exercise = Exercise(
    title="DPO",
    section="Alignment",
    statement="""
Log-probabilities of every token of the chosen and the rejected texts, under the model and under the reference; a mask
is True on the tokens of the response, which alone count. The log-probability of a response is the sum over its tokens.
Return the mean over the pairs of -log sigmoid(beta [(chosen - ref_chosen) - (rejected - ref_rejected)]).
""",
    signature="""
def dpo(
    chosen: "float[B, T]", rejected: "float[B, T]", ref_chosen: "float[B, T]", ref_rejected: "float[B, T]",
    chosen_mask: "bool[B, T]", rejected_mask: "bool[B, T]", beta: float,
) -> float:
""",
    sizes={"B": (1, 4), "T": (3, 7)},
    draw=_draw,
    edges=lambda rng: [
        {"chosen": np.array([[-3e3, -1.0]]), "rejected": np.array([[-1.0, -1.0]]), "ref_chosen": np.array([[-1.0, -1.0]]),
         "ref_rejected": np.array([[-1.0, -2.0]]), "chosen_mask": np.ones((1, 2), bool), "rejected_mask": np.ones((1, 2), bool), "beta": 1.0}
    ],
    oracle=_oracle,
    hints=(
        "It is the Bradley-Terry loss, with beta log(model / reference) of a response for its reward.",
        "Sum over the tokens of the response, do not average: the probability of a text is a product.",
        "w = ((chosen - ref_chosen) * chosen_mask).sum(-1), l likewise; logaddexp(0, -beta (w - l)).mean().",
    ),
    solution="""
import numpy as np

def dpo(chosen, rejected, ref_chosen, ref_rejected, chosen_mask, rejected_mask, beta):
    w = ((chosen - ref_chosen) * chosen_mask).sum(-1)
    l = ((rejected - ref_rejected) * rejected_mask).sum(-1)
    return np.logaddexp(0, -beta * (w - l)).mean()
""",
    torch="""
import torch

def dpo(chosen, rejected, ref_chosen, ref_rejected, chosen_mask, rejected_mask, beta):
    w = ((chosen - ref_chosen) * chosen_mask).sum(-1)
    l = ((rejected - ref_rejected) * rejected_mask).sum(-1)
    return torch.nn.functional.softplus(-beta * (w - l), threshold=50).mean()
""",
    wrong={
        "log-probabilities are averaged over the tokens, not summed": (
            "* chosen_mask).sum(-1)", "* chosen_mask).sum(-1) / chosen_mask.sum(-1)", "* rejected_mask).sum(-1)", "* rejected_mask).sum(-1) / rejected_mask.sum(-1)"
        ),
        "the masks are ignored: the prompt's tokens are scored too": (" * chosen_mask", "", " * rejected_mask", ""),
        "the mask is one place off, as when it is cut like the inputs": (
            "* chosen_mask)", "* np.roll(chosen_mask, -1, -1))", "* rejected_mask)", "* np.roll(rejected_mask, -1, -1))"
        ),
        "the reference is left out": ("(chosen - ref_chosen)", "chosen", "(rejected - ref_rejected)", "rejected"),
        "chosen and rejected have changed places": ("-beta * (w - l)", "-beta * (l - w)"),
        "beta stands outside the logarithm": ("np.logaddexp(0, -beta * (w - l)).mean()", "beta * np.logaddexp(0, l - w).mean()"),
        "the logarithm is taken of a sigmoid that underflowed": ("np.logaddexp(0, -beta * (w - l))", "-np.log(1 / (1 + np.exp(-beta * (w - l))))"),
    },
)  # fmt: skip
