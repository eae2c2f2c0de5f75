"""Cross-entropy from logits, with padding that does not count."""

from typing import Any

import numpy as np

from clearhead.reference.softmax import cross_entropy, cross_entropy_vjp
from clearhead.study.practice.exercise import Exercise


def _oracle(z: np.ndarray, target: np.ndarray) -> float:
    real = target >= 0
    return float(cross_entropy(z[real], target[real]).mean())


def _vjp(dy: Any, z: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    real = target >= 0
    dz = np.zeros_like(z)
    dz[real] = cross_entropy_vjp(z[real], target[real], np.full(int(real.sum()), float(dy) / real.sum()))
    return {"z": dz}


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    target = rng.integers(0, n.V, n.T)
    target[1:][rng.random(n.T - 1) < 0.3] = -100
    return {"target": target}


exercise = Exercise(
    title="Cross-entropy from logits",
    section="Numerics",
    statement="""
The mean of -log softmax(z)[target] over the positions. A target of -100 is padding: such a position counts neither
in the sum nor in the number it is divided by. At least one target is real. Logits may be as large as 10,000.
""",
    signature='def cross_entropy(z: "float[T, V]", target: "int[T]") -> float:',
    sizes={"T": (1, 7)},
    draw=_draw,
    edges=lambda rng: [
        {"z": rng.normal(size=(4, 3)), "target": np.array([1, -100, 0, -100])},
        {"z": np.array([[0.0, 1e4], [1e4, 0.0]]), "target": np.array([0, 0])},
        {"z": np.array([[0.0, 800.0, 0.0]]), "target": np.array([2])},
    ],
    oracle=_oracle,
    vjp=_vjp,
    forbidden=(
        "torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss", "torch.nn.functional.nll_loss",
        "torch.nn.NLLLoss",
    ),
    hints=(
        "Never take the logarithm of a probability that was rounded to 0: stay with logarithms all the way.",
        "log softmax(z)[k] = z[k] - logsumexp(z), with the maximum taken off inside.",
        "Select the rows with target >= 0, compute logsumexp(z) - z[row, target], and take the mean of those rows.",
    ),
    solution="""
import numpy as np

def cross_entropy(z, target):
    real = target >= 0
    z, target = z[real], target[real]
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return -log_p[np.arange(len(z)), target].mean()
""",
    torch="""
import torch

def cross_entropy(z, target):
    real = target >= 0
    z, target = z[real], target[real]
    log_p = z - z.logsumexp(-1, keepdim=True)
    return -log_p.gather(1, target[:, None]).mean()
""",
    wrong={
        "the logarithm of a probability that underflowed: log(softmax(z)) is -inf": (
            "z - np.log(np.exp(z).sum(-1, keepdims=True))", "np.log(np.exp(z) / np.exp(z).sum(-1, keepdims=True))"
        ),
        "a small number is added to the probability, which caps the loss": (
            "z - np.log(np.exp(z).sum(-1, keepdims=True))",
            "np.log(np.exp(z) / np.exp(z).sum(-1, keepdims=True) + 1e-9)",
        ),
        "the sum is divided by all positions, padding included": (
            "    z, target = z[real]", "    n = len(real)\n    z, target = z[real]", ".mean()", ".sum() / n"
        ),
        "padding is counted: its target -100 is taken for the last class": (
            "    z, target = z[real], target[real]", "    target = np.where(real, target, -1)"
        ),
        "the sum over positions, not the mean": (".mean()", ".sum()"),
        "the sign is missing": ("return -log_p", "return log_p"),
        "the library is called": "import torch\n\ndef cross_entropy(z, target):\n    return torch.nn.functional.cross_entropy(z, target)\n",
    },
)  # fmt: skip
