"""Layer norm, backwards, by hand."""

from clearhead.reference.normalization import layer_norm_vjp
from clearhead.study.practice.exercise import Exercise

exercise = Exercise(
    title="Layer norm, backwards",
    section="Normalization",
    statement="""
y = weight * x_hat + bias with x_hat = (x - mean) / sqrt(variance + eps) over the channels of each row. Given dy, the
gradient of the loss with respect to y, return the gradients (dx, dweight, dbias). By hand: no automatic
differentiation.
""",
    signature='def layer_norm_backward(x: "float[B, D]", weight: "float[D]", eps: float, dy: "float[B, D]") -> "dx, dweight, dbias":',
    sizes={"D": (2, 6)},
    draw=lambda rng, n: {"eps": float(10 ** rng.uniform(-5, 0))},
    edges=lambda rng: [{"x": rng.normal(size=(2, 3)), "weight": rng.normal(size=3), "eps": 0.5, "dy": rng.normal(size=(2, 3))}],
    oracle=lambda x, weight, eps, dy: layer_norm_vjp(x, weight, 0 * weight, eps, dy),
    outputs=("dx", "dweight", "dbias"),
    forbidden=("torch.autograd", "torch.Tensor.backward", "torch.func", "torch.nn.functional.layer_norm"),
    hints=(
        "x acts through x_hat directly, and through the mean and the variance, which depend on the whole row.",
        "With g = weight * dy: dx is g minus two projections of it, times 1/sqrt(variance + eps).",
        "dx = (g - mean(g) - x_hat * mean(g * x_hat)) / sqrt(variance + eps); dweight = sum of x_hat dy over the rows.",
    ),
    solution="""
import numpy as np

def layer_norm_backward(x, weight, eps, dy):
    deviation = x - x.mean(-1, keepdims=True)
    r = 1 / np.sqrt((deviation**2).mean(-1, keepdims=True) + eps)
    x_hat, g = deviation * r, weight * dy
    along = x_hat * (g * x_hat).mean(-1, keepdims=True)
    dx = (g - g.mean(-1, keepdims=True) - along) * r
    return dx, (x_hat * dy).sum(0), dy.sum(0)
""",
    torch="""
import torch

def layer_norm_backward(x, weight, eps, dy):
    deviation = x - x.mean(-1, keepdim=True)
    r = ((deviation**2).mean(-1, keepdim=True) + eps).rsqrt()
    x_hat, g = deviation * r, weight * dy
    along = x_hat * (g * x_hat).mean(-1, keepdim=True)
    dx = (g - g.mean(-1, keepdim=True) - along) * r
    return dx, (x_hat * dy).sum(0), dy.sum(0)
""",
    wrong={
        "the variance is divided by D - 1": ("(deviation**2).mean(-1, keepdims=True)", "(deviation**2).sum(-1, keepdims=True) / (x.shape[-1] - 1)"),
        "eps is added outside the root": ("1 / np.sqrt((deviation**2).mean(-1, keepdims=True) + eps)", "1 / (np.sqrt((deviation**2).mean(-1, keepdims=True)) + eps)"),
        "mean and variance are treated as constants": (" - g.mean(-1, keepdims=True) - along", ""),
        "the variance is treated as a constant": (" - along", ""),
        "the mean is treated as a constant": (" - g.mean(-1, keepdims=True)", ""),
        "the weight is left out of the way back to x": ("weight * dy", "dy + 0 * weight"),
        "dweight is taken with x, not with x_hat": ("(x_hat * dy).sum(0)", "(x * dy).sum(0)"),
        "dweight and dbias are averaged over the rows": ("(x_hat * dy).sum(0), dy.sum(0)", "(x_hat * dy).mean(0), dy.mean(0)"),
        "the library differentiates": '''
import torch

def layer_norm_backward(x, weight, eps, dy):
    x, weight = x.clone().requires_grad_(), weight.clone().requires_grad_()
    d = x - x.mean(-1, keepdim=True)
    y = weight * d / ((d**2).mean(-1, keepdim=True) + eps).sqrt()
    dx, dweight = torch.autograd.grad(y, (x, weight), dy)
    return dx, dweight, dy.sum(0)
''',
    },
)  # fmt: skip
