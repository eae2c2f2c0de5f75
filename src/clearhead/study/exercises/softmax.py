"""Softmax along the last axis, for logits of any size."""

import numpy as np

from clearhead.reference.softmax import softmax, softmax_vjp
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Softmax without overflow",
    section="Numerics",
    statement="""
Turn each row of logits into probabilities: exp(z_i) over the sum of all exp(z_j), along the last axis.
Logits of 1,000 and of -1,000 must work as well as those of 1.
""",
    signature='def softmax(z: "float[B, K]") -> "float[B, K]":',
    oracle=softmax,
    vjp=lambda dy, z: {"z": softmax_vjp(z, dy)},
    edges=lambda rng: [{"z": scale * rng.normal(size=(2, 3))} for scale in (1e3, 1e4)] + [
        {"z": np.full((1, 3), -1e3)}, {"z": np.array([[1000.0, 1001.0, 999.5]])}, {"z": np.array([[-2e3, -2e3 + 1], [2e3, 1.0]])},
    ],
    forbidden=(
        "torch.softmax", "torch.Tensor.softmax", "torch.nn.functional.softmax", "torch.special.softmax",
        "torch.nn.Softmax", "torch.log_softmax", "torch.Tensor.log_softmax", "torch.nn.functional.log_softmax",
        "torch.nn.LogSoftmax", "torch.nn.functional.softmin", "torch.logsumexp", "torch.Tensor.logsumexp",
        "torch.special.logsumexp", "torch.special.log_softmax", "scipy.special.softmax", "scipy.special.log_softmax",
    ),
    hints=(
        "Adding the same number to every logit of a row changes no probability.",
        "exp overflows above about 709. Which number should be taken off, so that nothing exceeds exp(0)?",
        "Take the maximum of each row with keepdims=True, subtract it, exponentiate, divide by the row's sum.",
    ),
    solution="""
import numpy as np

def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
""",
    torch="""
import torch

def softmax(z):
    e = torch.exp(z - z.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)
""",
    wrong={
        "softmax runs over the batch (axis 0), not over the classes": ("z.max(-1,", "z.max(0,", "e.sum(-1,", "e.sum(0,"),
        "all numbers share one sum: softmax runs over the whole array, not over each row": (
            "z.max(-1, keepdims=True)", "z.max()", "e.sum(-1, keepdims=True)", "e.sum()"
        ),
        "the maximum is not subtracted, so large logits overflow": ("z - z.max(-1, keepdims=True)", "z"),
        "it divides by the sum over the batch, not over the classes": ("e.sum(-1,", "e.sum(0,"),
        "one maximum is taken off all rows: a row far below the others underflows": (
            "z.max(-1, keepdims=True)", "z.max()", "e.sum(-1, keepdims=True)", "np.maximum(e.sum(-1, keepdims=True), 1e-30)",
        ),
        "exponentials are returned without being divided by their sum": (" / e.sum(-1, keepdims=True)", ""),
        "the library is called": "import torch\n\ndef softmax(z):\n    return z.softmax(-1)\n",
    },
)  # fmt: skip
