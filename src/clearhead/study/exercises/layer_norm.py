"""Layer norm, forwards."""

from clearhead.reference.normalization import layer_norm, layer_norm_vjp
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Layer norm",
    section="Normalization",
    statement="""
Bring each row of x to mean 0 and variance 1 over its channels (the variance with divisor D, eps added to it under the
root), then scale by weight and shift by bias.
""",
    signature='def layer_norm(x: "float[B, T, D]", weight: "float[D]", bias: "float[D]", eps: float) -> "float[B, T, D]":',
    sizes={"D": (2, 6)},
    draw=lambda rng, n: {"eps": float(10 ** rng.uniform(-5, 0))},
    edges=lambda rng: [{"x": rng.normal(size=(2, 1, 3)), "weight": rng.normal(size=3), "bias": rng.normal(size=3), "eps": 0.5}],
    oracle=layer_norm,
    vjp=lambda dy, x, weight, bias, eps: dict(zip(("x", "weight", "bias"), layer_norm_vjp(x, weight, bias, eps, dy), strict=True)),
    forbidden=("torch.nn.functional.layer_norm", "torch.nn.LayerNorm", "torch.layer_norm", "torch.native_layer_norm"),
    hints=(
        "Every row (b, t) is standardized on its own: mean and variance run over the last axis only.",
        "x_hat = (x - mean) / sqrt(variance + eps): eps belongs under the root, and the divisor is D, not D - 1.",
        "keepdims=True for both moments; return weight * x_hat + bias.",
    ),
    solution="""
import numpy as np

def layer_norm(x, weight, bias, eps):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return weight * (x - mean) / np.sqrt(variance + eps) + bias
""",
    torch="""
import torch

def layer_norm(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    variance = x.var(-1, keepdim=True, unbiased=False)
    return weight * (x - mean) * torch.rsqrt(variance + eps) + bias
""",
    wrong={
        "eps is added outside the root": ("np.sqrt(variance + eps)", "(np.sqrt(variance) + eps)"),
        "the variance is divided by D - 1": (".mean(-1, keepdims=True)\n    return", ".sum(-1, keepdims=True) / (x.shape[-1] - 1)\n    return"),
        "moments are taken over the positions, not over the channels": (
            "x.mean(-1,", "x.mean(1,", "** 2).mean(-1,", "** 2).mean(1,"
        ),
        "the mean is not subtracted: this is RMSNorm": ("x.mean(-1, keepdims=True)", "0.0"),
        "it divides by the variance, not by its root": ("np.sqrt(variance + eps)", "(variance + eps)"),
        "the bias is scaled by the weight": ("weight * (x - mean) / np.sqrt(variance + eps) + bias", "weight * ((x - mean) / np.sqrt(variance + eps) + bias)"),
        "the library is called": "import torch\n\ndef layer_norm(x, weight, bias, eps):\n    return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)\n",
    },
)  # fmt: skip
