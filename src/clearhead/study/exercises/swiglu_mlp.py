"""The gated MLP of Llama."""

import numpy as np

from clearhead.reference.activations import silu, silu_vjp
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, w_gate: np.ndarray, w_up: np.ndarray, w_down: np.ndarray) -> np.ndarray:
    return np.asarray((silu(x @ w_gate) * (x @ w_up)) @ w_down)


def _vjp(
    dy: np.ndarray, x: np.ndarray, w_gate: np.ndarray, w_up: np.ndarray, w_down: np.ndarray
) -> dict[str, np.ndarray]:
    gate, up = x @ w_gate, x @ w_up
    dh = dy @ w_down.T
    dgate, dup = silu_vjp(gate, dh * up), dh * silu(gate)
    dx = dgate @ w_gate.T + dup @ w_up.T
    return {"x": dx, "w_gate": x.T @ dgate, "w_up": x.T @ dup, "w_down": (silu(gate) * up).T @ dy}


exercise = Exercise(
    title="SwiGLU MLP",
    section="Transformer blocks",
    statement="""
The MLP of Llama: two projections up, of which one, through SiLU, gates the other, and one projection down:
(SiLU(x w_gate) * (x w_up)) w_down with SiLU(z) = z sigmoid(z). No biases. Entries may be as large as 1,000.
""",
    signature='def swiglu_mlp(x: "float[T, D]", w_gate: "float[D, F]", w_up: "float[D, F]", w_down: "float[F, D]") -> "float[T, D]":',
    sizes={"D": (2, 4), "F": (3, 6)},
    edges=lambda rng: [{
        "x": 1e3 * rng.normal(size=(2, 2)), "w_gate": rng.normal(size=(2, 3)), "w_up": rng.normal(size=(2, 3)),
        "w_down": rng.normal(size=(3, 2)),
    }],
    oracle=_oracle,
    vjp=_vjp,
    hints=(
        "Three matrices, not two: one branch decides how much of the other passes.",
        "SiLU goes on the gate alone; the product is elementwise, before the projection down.",
        "g = x @ w_gate; h = g / (1 + exp(-g)) * (x @ w_up); return h @ w_down.",
    ),
    solution="""
import numpy as np

def swiglu_mlp(x, w_gate, w_up, w_down):
    gate, up = x @ w_gate, x @ w_up
    return (gate / (1 + np.exp(-gate)) * up) @ w_down
""",
    torch="""
import torch

def swiglu_mlp(x, w_gate, w_up, w_down):
    return (torch.nn.functional.silu(x @ w_gate) * (x @ w_up)) @ w_down
""",
    wrong={
        "SiLU is on the other branch: gate and up have changed places": ("gate, up = x @ w_gate, x @ w_up", "up, gate = x @ w_gate, x @ w_up"),
        "the gate goes through a sigmoid, not through SiLU: this is GLU": ("gate / (1 + np.exp(-gate))", "1 / (1 + np.exp(-gate))"),
        "the gate goes through ReLU: this is ReGLU": ("gate / (1 + np.exp(-gate))", "np.maximum(gate, 0)"),
        "the branches are added, not multiplied": ("* up)", "+ up)"),
        "there is no gate: this is a plain MLP": (" * up)", ")"),
        "SiLU is missing: the layer is bilinear": ("gate / (1 + np.exp(-gate))", "gate"),
        "both branches go through SiLU": ("* up)", "* up / (1 + np.exp(-up)))"),
        "SiLU comes after the product": ("(gate / (1 + np.exp(-gate)) * up)", "(gate * up / (1 + np.exp(-gate * up)))"),
        "the gate goes through GELU (tanh): this is GEGLU": (
            "gate / (1 + np.exp(-gate))", "0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))"
        ),
    },
)  # fmt: skip
