"""The logarithm of a sum of exponentials, for numbers of any size."""

import numpy as np

from clearhead.reference.softmax import log_sum_exp, log_sum_exp_vjp
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Log-sum-exp",
    section="Numerics",
    statement="""
log(sum of exp(z_j)) along the last axis. It must be right for numbers near 10,000 and near -10,000, where the
exponentials themselves are infinite or 0.
""",
    signature='def log_sum_exp(z: "float[B, K]") -> "float[B]":',
    oracle=log_sum_exp,
    vjp=lambda dy, z: {"z": log_sum_exp_vjp(z, dy)},
    edges=lambda rng: [{"z": rng.normal(size=(3, 4)) + shift} for shift in (1e4, -1e4)]
    + [{"z": np.array([[5e3, 5e3 - 1], [-5e3, -5e3 - 1]])}],
    forbidden=(
        "numpy.logaddexp", "numpy.logaddexp.reduce", "torch.logsumexp", "torch.Tensor.logsumexp",
        "torch.special.logsumexp", "torch.logaddexp", "torch.log_softmax", "torch.nn.functional.log_softmax",
        "torch.Tensor.log_softmax", "scipy.special.logsumexp", "scipy.special.log_softmax",
    ),
    hints=(
        "log(sum exp(z)) = m + log(sum exp(z - m)) for every number m.",
        "Choose m so that the largest exponent is 0. Then nothing overflows, and the sum is at least 1.",
        "m = z.max(-1, keepdims=True); the result is m[..., 0] + log(exp(z - m).sum(-1)).",
    ),
    solution="""
import numpy as np

def log_sum_exp(z):
    m = z.max(-1, keepdims=True)
    return m[:, 0] + np.log(np.exp(z - m).sum(-1))
""",
    torch="""
import torch

def log_sum_exp(z):
    m = z.max(-1, keepdim=True).values
    return m[:, 0] + torch.log(torch.exp(z - m).sum(-1))
""",
    wrong={
        "nothing is subtracted, so exp overflows or underflows": ("z - m", "z - 0 * m", "m[:, 0]", "0 * m[:, 0]"),
        "the maximum is subtracted and never added back": ("m[:, 0] + ", ""),
        "one maximum serves all rows, so low rows underflow": ("z.max(-1, keepdims=True)", "np.full_like(z[:, :1], z.max())"),
        "the maximum alone is returned: the other terms are lost": (" + np.log(np.exp(z - m).sum(-1))", ""),
        "a small number is added inside the logarithm": (".sum(-1))", ".sum(-1) + 1e-3)"),
        "the library is called": "import torch\n\ndef log_sum_exp(z):\n    return z.logsumexp(-1)\n",
    },
)  # fmt: skip
