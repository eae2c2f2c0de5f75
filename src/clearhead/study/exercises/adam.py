"""Adam over several steps."""

import numpy as np

from clearhead.reference.optimizers import adam, adam_start
from clearhead.study.practice.exercise import Exercise


def _oracle(w: np.ndarray, grads: np.ndarray, lr: float, beta1: float, beta2: float, eps: float) -> np.ndarray:
    state = adam_start(w)
    for g in grads:
        w, state = adam(w, g, state, lr, beta1, beta2, eps)
    return w


exercise = Exercise(
    title="Adam",
    section="Optimization",
    statement="""
The weights after one step of Adam for each row of grads, in order: decaying averages m of the gradient and v of its
square, both begun at 0 and corrected for that, then w - lr m_hat / (sqrt(v_hat) + eps).
""",
    signature='def adam(w: "float[N]", grads: "float[T, N]", lr: float, beta1: float, beta2: float, eps: float) -> "float[N]":',
    sizes={"T": (2, 5), "N": (2, 4)},
    draw=lambda rng, n: {
        "lr": float(rng.uniform(0.01, 0.3)), "beta1": float(rng.uniform(0.5, 0.95)), "beta2": float(rng.uniform(0.8, 0.999)),
        "eps": float(10 ** rng.uniform(-8, -1)),
    },
    edges=lambda rng: [
        {"w": rng.normal(size=3), "grads": rng.normal(size=(3, 3)), "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 0.5}
    ],
    oracle=_oracle,
    forbidden=("torch.optim",),
    hints=(
        "The step count starts at 1: after one step m_hat is g itself, and v_hat is g squared.",
        "m_hat = m / (1 - beta1**t), v_hat = v / (1 - beta2**t); eps stands outside the root.",
        "for t, g in enumerate(grads, 1): update m and v, correct both, subtract lr m_hat / (sqrt(v_hat) + eps).",
    ),
    solution="""
import numpy as np

def adam(w, grads, lr, beta1, beta2, eps):
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        w = w - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w
""",
    torch="""
import torch

def adam(w, grads, lr, beta1, beta2, eps):
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m, v = torch.lerp(g, m, beta1), beta2 * v + (1 - beta2) * g * g
        w = w - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
    return w
""",
    wrong={
        "the averages are not corrected for their start at 0": ("m / (1 - beta1**t), v / (1 - beta2**t)", "m, v"),
        "steps are counted from 0 up, one too few in the correction": ("beta1**t), v / (1 - beta2**t)", "beta1 ** max(t - 1, 1)), v / (1 - beta2 ** max(t - 1, 1))"),
        "eps stands inside the root": ("(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat + eps)"),
        "v averages the gradient, not its square": ("* g**2", "* np.abs(g)"),
        "beta1 and beta2 have changed places": ("    m = v = np", "    beta1, beta2 = beta2, beta1\n    m = v = np"),
        "the root of v is missing": ("np.sqrt(v_hat)", "v_hat"),
        "only the correction of v is made": ("m / (1 - beta1**t)", "m"),
    },
)  # fmt: skip
