"""One step of an LSTM."""

from typing import Any

import numpy as np

from clearhead.reference.recurrent import Weights, lstm
from clearhead.study.practice.exercise import Exercise


def _oracle(
    x: np.ndarray, h: np.ndarray, c: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray
) -> tuple[Any, ...]:
    states, cell = lstm(x[:, None], h, c, Weights(w, u, b, 0 * b))
    return states[:, 0], cell


exercise = Exercise(
    title="An LSTM cell",
    section="Recurrent networks",
    statement="""
x w + h u + b holds, side by side and each F wide, the input gate i, the forget gate f, the candidate g and the output
gate o, before their functions: sigmoid for the gates, tanh for the candidate. The new cell is f c + i g, the new state
o tanh(new cell). Return (h, c). w has shape [D, 4 F], u [F, 4 F], b [4 F].
""",
    signature='def lstm_cell(x: "float[B, D]", h: "float[B, F]", c: "float[B, F]", w, u, b) -> "h, c":',
    sizes={"F": (2, 4)},
    draw=lambda rng, n: {"w": rng.normal(size=(n.D, 4 * n.F)), "u": rng.normal(size=(n.F, 4 * n.F)), "b": rng.normal(size=4 * n.F)},
    oracle=_oracle,
    outputs=("h", "c"),
    forbidden=("torch.nn.LSTMCell", "torch.nn.LSTM", "torch.lstm_cell", "torch.lstm"),
    hints=(
        "One matrix product makes all four; cut the result into four along the last axis.",
        "The cell is added to, not overwritten: what f keeps of the old one, plus what i lets in of the candidate.",
        "i, f, g, o = split(x @ w + h @ u + b, 4); c = s(f) c + s(i) tanh(g); h = s(o) tanh(c) with the new c.",
    ),
    solution="""
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def lstm_cell(x, h, c, w, u, b):
    i, f, g, o = np.split(x @ w + h @ u + b, 4, -1)
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(new), new
""",
    torch="""
import torch

def lstm_cell(x, h, c, w, u, b):
    i, f, g, o = (x @ w + h @ u + b).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
""",
    wrong={
        "the gates are taken in the order f, i, g, o": ("i, f, g, o =", "f, i, g, o ="),
        "the gates are taken in the order i, f, o, g": ("i, f, g, o =", "i, f, o, g ="),
        "the candidate goes through sigmoid, not through tanh": ("np.tanh(g)", "sigmoid(g)"),
        "the state is made of the old cell": ("np.tanh(new), new", "np.tanh(c), new"),
        "the state lacks the tanh of the cell": ("np.tanh(new), new", "new, new"),
        "the old state does not come in": (" + h @ u", ""),
        "one gate is 1 minus the other, as in a GRU": ("sigmoid(i) *", "(1 - sigmoid(f)) *"),
    },
)  # fmt: skip
