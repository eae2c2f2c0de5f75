"""Backpropagation that keeps few activations and computes the rest again."""

from typing import Any

import numpy as np

from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, w: np.ndarray, dy: np.ndarray, every: int) -> tuple[Any, ...]:
    inputs = [x]
    for layer in w:
        z = inputs[-1] @ layer
        inputs.append(z / (1 + np.abs(z)))
    dx = dy
    for layer, one in zip(w[::-1], inputs[-2::-1], strict=True):
        dx = (dx / (1 + np.abs(one @ layer)) ** 2) @ layer.T
    return inputs[-1], dx, True, True


exercise = Exercise(
    title="Activation checkpointing",
    section="Backpropagation",
    statement="""
A stack of L layers: f(i, x) gives layer i's output, back(i, x, dy) the gradient of its input x. Return (y, dx): the
output of all layers for x, and the gradient of x given dy, that of y. But keep only the input of every `every`-th layer
(layers 0, every, 2 every, ...) on the way up; on the way down compute the inputs within a stretch again from its first.
A test counts: at most 2 L calls of f, and at most ceil(L / every) + every + 2 of its results alive at once.
""",
    signature='def activation_checkpointing(f, back, x, dy, L: int, every: int) -> "y, dx":',
    sizes={"L": (3, 12), "D": (2, 3), "K": (2, 4)},
    draw=lambda rng, n: {
        "x": rng.normal(size=(2, n.D)), "w": 1.5 * rng.normal(size=(n.L, n.D, n.D)), "dy": rng.normal(size=(2, n.D)), "every": n.K,
    },
    edges=lambda rng: [
        {"x": rng.normal(size=(2, 2)), "w": 1.5 * rng.normal(size=(L, 2, 2)), "dy": rng.normal(size=(2, 2)), "every": every}
        for L, every in ((16, 4), (17, 4), (5, 7))
    ],
    oracle=_oracle,
    outputs=("y", "dx", "at most 2 L calls of f", "few enough results alive at once"),
    drive="""
import weakref

def drive(learner, x, w, dy, every):
    L, calls, alive = len(w), [], [0, 0]
    def freed():
        alive[0] -= 1
    def f(i, x):
        z = x @ w[i]
        y = z / (1 + abs(z))
        calls.append(i)
        alive[0] += 1
        alive[1] = max(alive)
        weakref.finalize(y, freed)
        return y
    def back(i, x, dy):
        return (dy / (1 + abs(x @ w[i])) ** 2) @ w[i].T
    y, dx = learner.activation_checkpointing(f, back, x, dy, L, every)
    return y, dx, len(calls) <= 2 * L, alive[1] <= -(-L // every) + every + 2
""",
    hints=(
        "What does back(i, ...) need? The input of layer i: either it was kept, or it is computed again from one that was.",
        "Up: keep x at i % every == 0. Down: for each stretch from the last, run f again over it, then back over it.",
        "for start in reversed(range(0, L, every)): xs = [kept[start]]; extend with f; then back from the end of the stretch.",
    ),
    solution="""
def activation_checkpointing(f, back, x, dy, L, every):
    kept = {}
    for i in range(L):
        if i % every == 0:
            kept[i] = x
        x = f(i, x)
    dx = dy
    for start in reversed(range(0, L, every)):
        stop = min(start + every, L)
        inputs = [kept.pop(start)]
        for i in range(start, stop - 1):
            inputs.append(f(i, inputs[-1]))
        for i in reversed(range(start, stop)):
            dx = back(i, inputs.pop(), dx)
    return x, dx
""",
    torch="""
import torch

def activation_checkpointing(f, back, x, dy, L, every):
    def stretch(x, start):
        if start >= L:
            return x, dy
        stop, y = min(start + every, L), x
        for i in range(start, stop):
            y = f(i, y)
        out, d = stretch(y, stop)
        inputs = [x]
        for i in range(start, stop - 1):
            inputs.append(f(i, inputs[-1]))
        for i in range(stop - 1, start - 1, -1):
            d = back(i, inputs.pop(), d)
        return out, d
    return stretch(x, 0)
""",
    wrong={
        "every activation is kept: nothing is saved": '''
def activation_checkpointing(f, back, x, dy, L, every):
    inputs = []
    for i in range(L):
        inputs.append(x)
        x = f(i, x)
    dx = dy
    for i in reversed(range(L)):
        dx = back(i, inputs.pop(), dx)
    return x, dx
''',
        "nothing is kept: every layer's input is computed from the very first": '''
def activation_checkpointing(f, back, x, dy, L, every):
    y = x
    for i in range(L):
        y = f(i, y)
    dx = dy
    for i in reversed(range(L)):
        z = x
        for j in range(i):
            z = f(j, z)
        dx = back(i, z, dx)
    return y, dx
''',
        "a layer goes back with its output, not with its input": ("for i in range(start, stop - 1):", "for i in range(start, stop):", "inputs.pop(), dx)", "inputs[i - start + 1], dx)"),
        "the stretches go back in the order of the way up": ("for start in reversed(range(0, L, every))", "for start in range(0, L, every)"),
        "within a stretch the layers go back from first to last": ("in reversed(range(start, stop))", "in range(start, stop)"),
        "the last, shorter stretch is left out": ("reversed(range(0, L, every))", "reversed(range(0, max(L - every + 1, 1), every))"),
        "all layers use the input of their stretch": ("back(i, inputs.pop(), dx)", "back(i, inputs[0], dx)"),
        "each stretch begins with dy anew": ("        for i in reversed(range(start, stop)):", "        dx = dy\n        for i in reversed(range(start, stop)):"),
        "dx is the gradient of the last stretch's input only": ("for start in reversed(range(0, L, every))", "for start in list(reversed(range(0, L, every)))[:1]"),
    },
)  # fmt: skip
