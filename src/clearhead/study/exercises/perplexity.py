"""Perplexity of texts of several lengths."""

from typing import Any

import numpy as np

from clearhead.reference.likelihood import perplexity, sequence_nll
from clearhead.study.practice.exercise import Exercise


def _oracle(z: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> float:
    nll = sum(float(sequence_nll(z[b, : n - 1], ids[b, 1:n])) for b, n in enumerate(lengths))
    return perplexity(nll, int((lengths - 1).sum()))


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {"ids": rng.integers(0, n.V, (n.B, n.T)), "lengths": rng.integers(2, n.T, n.B, endpoint=True)}


exercise = Exercise(
    title="Perplexity",
    section="Language modeling",
    statement="""
z[b, t] are a model's logits after reading ids[b, 0..t]: they predict ids[b, t + 1]. Row b has lengths[b] tokens, at
least 2; the rest is padding. Return the perplexity over all predicted tokens of all rows together: the first token of a
row is not predicted, and padding does not count.
""",
    signature='def perplexity(z: "float[B, T, V]", ids: "int[B, T]", lengths: "int[B]") -> float:',
    sizes={"B": (2, 3), "T": (3, 6), "V": (2, 5)},
    draw=_draw,
    edges=lambda rng: [{"z": np.array([[[800.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [5.0, 5.0]]]), "ids": np.array([[1, 0], [0, 1]]), "lengths": np.array([2, 2])}],
    oracle=_oracle,
    hints=(
        "Position t is scored against token t + 1: shift by one, and drop the last logits.",
        "Sum the negative log-probabilities over all real predictions, divide by their number, then take exp, once.",
        "z[:, :-1] against ids[:, 1:], where arange(1, T) < lengths[:, None].",
    ),
    solution="""
import numpy as np

def perplexity(z, ids, lengths):
    z, target = z[:, :-1], ids[:, 1:]
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    nll = -np.take_along_axis(log_p, target[..., None], -1)[..., 0]
    real = np.arange(1, ids.shape[1]) < lengths[:, None]
    return np.exp((nll * real).sum() / real.sum())
""",
    torch="""
import torch

def perplexity(z, ids, lengths):
    nll = torch.nn.functional.cross_entropy(z[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    real = torch.arange(1, ids.shape[1]) < lengths[:, None]
    return nll[real].mean().exp()
""",
    wrong={
        "logits are scored against the token they have just read": ("z[:, :-1], ids[:, 1:]", "z[:, 1:], ids[:, 1:]"),
        "padding is counted": ("< lengths[:, None]", "< 10**6 + 0 * lengths[:, None]"),
        "the mean of the rows' perplexities, not the perplexity of all": (
            "np.exp((nll * real).sum() / real.sum())", "np.exp((nll * real).sum(1) / real.sum(1)).mean()"
        ),
        "the mean of exp is taken, not exp of the mean": ("np.exp((nll * real).sum() / real.sum())", "np.exp(nll[real]).mean()"),
        "rows of different lengths weigh the same": ("np.exp((nll * real).sum() / real.sum())", "np.exp(((nll * real).sum(1) / real.sum(1)).mean())"),
        "the first token is counted among those divided by": ("/ real.sum()", "/ lengths.sum()"),
        "it is the mean negative log-likelihood: exp is missing": ("return np.exp((nll * real).sum() / real.sum())", "return (nll * real).sum() / real.sum()"),
    },
)  # fmt: skip
