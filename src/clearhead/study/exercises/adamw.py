"""AdamW: weight decay that goes around the gradient."""

import numpy as np

from clearhead.reference.optimizers import adam_start, adamw
from clearhead.study.practice.exercise import Exercise


def _oracle(
    w: np.ndarray, grads: np.ndarray, lr: float, decay: float, beta1: float, beta2: float, eps: float
) -> np.ndarray:
    state = adam_start(w)
    for g in grads:
        w, state = adamw(w, g, state, lr, decay, beta1, beta2, eps)
    return w


exercise = Exercise(
    title="AdamW",
    section="Optimization",
    statement="""
Adam with decoupled weight decay: at every step each weight first shrinks by the share lr * decay, then takes Adam's
step (bias-corrected averages of the gradient and of its square). The decay must not enter the averages. Return the
weights after one step for each row of grads.
""",
    signature='def adamw(w: "float[N]", grads: "float[T, N]", lr: float, decay: float, beta1: float, beta2: float, eps: float) -> "float[N]":',
    sizes={"T": (2, 5), "N": (2, 4)},
    draw=lambda rng, n: {
        "lr": float(rng.uniform(0.05, 0.3)), "decay": float(rng.uniform(0.1, 1.0)), "beta1": float(rng.uniform(0.5, 0.95)),
        "beta2": float(rng.uniform(0.8, 0.999)), "eps": float(10 ** rng.uniform(-8, -2)),
    },
    oracle=_oracle,
    forbidden=("torch.optim",),
    hints=(
        "What would happen to an L2 term inside the gradient? It would be divided by sqrt(v_hat) like the rest.",
        "w *= 1 - lr * decay, and then Adam exactly as without decay.",
        "w = (1 - lr * decay) * w - lr * m_hat / (sqrt(v_hat) + eps), with m and v of g alone.",
    ),
    solution="""
import numpy as np

def adamw(w, grads, lr, decay, beta1, beta2, eps):
    m = v = np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        step = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
        w = (1 - lr * decay) * w - lr * step
    return w
""",
    torch="""
import torch

def adamw(w, grads, lr, decay, beta1, beta2, eps):
    m = v = torch.zeros_like(w)
    for t, g in enumerate(grads, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w * (1 - lr * decay) - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
    return w
""",
    wrong={
        "eps stands inside the root": ("(np.sqrt(v / (1 - beta2**t)) + eps)", "np.sqrt(v / (1 - beta2**t) + eps)"),
        "the decay is an absolute step, not a share of the weight": ("(1 - lr * decay) * w", "w - lr * decay * np.sign(w)"),
        "the decay is added to the gradient: this is Adam with an L2 penalty": ("        m = beta1", "        g = g + decay * w\n        m = beta1", "(1 - lr * decay) * w", "w"),
        "the decay is not multiplied by the learning rate": ("(1 - lr * decay)", "(1 - decay)"),
        "there is no decay": ("(1 - lr * decay) * w", "w"),
        "the step is taken before the weights shrink, and shrinks with them": ("(1 - lr * decay) * w - lr * step", "(1 - lr * decay) * (w - lr * step)"),
        "the averages are not corrected": ("m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)", "m / (np.sqrt(v) + eps)"),
    },
)  # fmt: skip
