"""Checking a gradient by differences."""

from typing import Any

import numpy as np

from clearhead.reference.calculus import gradient
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray) -> tuple[Any, ...]:
    direction = np.linspace(-1, 2, x.size)
    found = gradient(lambda z: float(np.sin(direction @ z.ravel()) + (z**3).sum() / 3), x)
    return found, 2 * x.size, x.copy()


exercise = Exercise(
    title="A gradient by differences",
    section="Backpropagation",
    statement="""
f takes an array of x's shape and gives a number. Return the gradient of f at x, of x's shape, by central differences:
(f(x + h e_i) - f(x - h e_i)) / 2h, one entry after another. x may have any number of axes and must be as it was when
you are done. A test counts the calls of f (2 for each entry) and wants 7 right digits: choose h well.
""",
    signature='def gradient_check(f, x: "float[...]") -> "float[...]":',
    sizes={"N": (2, 4), "K": (1, 3)},
    draw=lambda rng, n: {"x": rng.normal(size=(n.N, n.K) if rng.random() < 0.7 else n.N)},
    oracle=_oracle,
    outputs=("gradient", "calls of f", "x afterwards"),
    tolerance=1e-7,
    drive="""
def drive(learner, x):
    calls = []
    def f(z):
        calls.append(1)
        z = np.asarray(z)
        direction = np.linspace(-1, 2, z.size)
        return float(np.sin(direction @ z.ravel()) + (z**3).sum() / 3)
    found = learner.gradient_check(f, x)
    return found, len(calls), x
""",
    hints=(
        "Change one entry, call f, put the entry back. In which order do you call, and what could go wrong with the entry?",
        "The error of a central difference is h^2 from the cut series plus 1e-16 / h from rounding: both small near h = 1e-5.",
        "for i in np.ndindex(*x.shape): copy x, add h at i and call, subtract h at i and call; divide by 2h.",
    ),
    solution="""
import numpy as np

def gradient_check(f, x):
    h, g = 1e-5, np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        g[i] = (f(up) - f(down)) / (2 * h)
    return g
""",
    torch="""
import torch

def gradient_check(f, x):
    h, flat = 1e-5, x.flatten()
    ends = []
    for e in torch.eye(flat.numel(), dtype=x.dtype):
        ends.append((f((flat + h * e).view(x.shape)) - f((flat - h * e).view(x.shape))) / (2 * h))
    return torch.tensor(ends, dtype=x.dtype).view(x.shape)
""",
    wrong={
        "the difference is one-sided: its error is h, not h squared": ("        down[i] -= h\n", "", "(2 * h)", "h"),
        "h is so small that rounding swamps the difference": ("h, g = 1e-5,", "h, g = 1e-13,"),
        "h is so large that the series is cut too early": ("h, g = 1e-5,", "h, g = 1e-2,"),
        "it divides by h, not by 2h": ("(2 * h)", "h"),
        "the entry is not put back": ("up, down = x.copy(), x.copy()", "up, down = x, x.copy()"),
        "all entries are moved at once": ("up[i] += h", "up += h", "down[i] -= h", "down -= h"),
    },
)  # fmt: skip
