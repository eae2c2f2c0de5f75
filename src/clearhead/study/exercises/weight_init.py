"""How large weights begin."""

from typing import Any

import numpy as np

from clearhead.reference.initialization import he, lecun, xavier
from clearhead.study.practice.exercise import Exercise

KINDS = ("lecun", "xavier", "he", "gpt2", "gpt2-residual")


class _Normal(np.random.Generator):
    """A generator whose standard normal numbers are those of the case."""

    def __init__(self, z: np.ndarray) -> None:
        super().__init__(np.random.PCG64(0))
        self.z = z

    def normal(self, *args: Any, size: Any = None, **named: Any) -> Any:
        assert size == self.z.shape
        return self.z


def _oracle(z: np.ndarray, kind: str, layers: int) -> np.ndarray:
    D, F = z.shape
    if kind == "gpt2":
        return np.asarray(0.02 * z)
    if kind == "gpt2-residual":
        return np.asarray(0.02 / np.sqrt(2 * layers) * z)
    formula: Any = {"lecun": lecun, "xavier": xavier, "he": he}[kind]
    return np.asarray(formula(D, F, _Normal(z)))


exercise = Exercise(
    title="Weight initialization",
    section="Optimization",
    statement="""
z holds standard normal numbers, one for each weight of a matrix with D inputs (rows) and F outputs. Scale them: "lecun"
keeps the variance of the signal, 1/D; "xavier" is between signal and gradient, variance 2/(D + F); "he" is for ReLU,
variance 2/D; "gpt2" has deviation 0.02; "gpt2-residual", for matrices that write into the residual path, has deviation
0.02 / sqrt(2 layers), since each of the layers writes twice.
""",
    signature='def weight_init(z: "float[D, F]", kind: str, layers: int) -> "float[D, F]":',
    sizes={"D": (2, 5), "F": (2, 7), "L": (2, 9)},
    draw=lambda rng, n: {"kind": str(rng.choice(KINDS)), "layers": n.L},
    edges=lambda rng: [{"z": rng.normal(size=(2, 5)), "kind": kind, "layers": 6} for kind in KINDS],
    oracle=_oracle,
    hints=(
        "A sum of D products of unit variance has variance D Var(w). What must Var(w) be for it to stay 1?",
        "The formulas give variances: scale by their roots. ReLU halves the mean square, hence he's 2.",
        "deviation = {'lecun': D ** -0.5, 'xavier': (2 / (D + F)) ** 0.5, 'he': (2 / D) ** 0.5, 'gpt2': 0.02, ...}[kind]",
    ),
    solution="""
import numpy as np

def weight_init(z, kind, layers):
    D, F = z.shape
    variance = {
        "lecun": 1 / D, "xavier": 2 / (D + F), "he": 2 / D, "gpt2": 0.02**2, "gpt2-residual": 0.02**2 / (2 * layers),
    }[kind]
    return np.sqrt(variance) * z
""",
    torch="""
import torch

def weight_init(z, kind, layers):
    D, F = z.shape
    if kind == "lecun":
        return z / D**0.5
    if kind == "xavier":
        return z * (2 / (D + F)) ** 0.5
    if kind == "he":
        return z * (2 / D) ** 0.5
    return z * 0.02 if kind == "gpt2" else z * 0.02 / (2 * layers) ** 0.5
""",
    wrong={
        "the variance is taken for the deviation: the root is missing": ("np.sqrt(variance) * z", "variance * z"),
        "inputs and outputs have changed places": ("D, F = z.shape", "F, D = z.shape"),
        "xavier's 2 is missing": ("2 / (D + F)", "1 / (D + F)"),
        "he's 2 is missing: this is lecun": ('"he": 2 / D', '"he": 1 / D'),
        "he divides by the outputs": ('"he": 2 / D', '"he": 2 / F'),
        "the residual scale counts each layer once, though it writes twice": ("(2 * layers)", "layers"),
        "the residual scale is divided by the layers, not by their root": ("0.02**2 / (2 * layers)", "(0.02 / (2 * layers)) ** 2"),
        "the residual scale is left out": ("0.02**2 / (2 * layers)", "0.02**2"),
        "gpt2's 0.02 is taken for the variance": ('"gpt2": 0.02**2', '"gpt2": 0.02'),
    },
)  # fmt: skip
