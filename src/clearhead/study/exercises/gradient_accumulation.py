"""Gradient accumulation over micro-batches of unequal numbers of tokens."""

from typing import Any

import numpy as np

from clearhead.reference.softmax import softmax
from clearhead.study.practice.exercise import Exercise


def _oracle(x: np.ndarray, target: np.ndarray, w: np.ndarray, rows: int) -> tuple[Any, ...]:
    real = target >= 0
    z = x[real] @ w
    p = softmax(z)
    log_p = np.log(np.take_along_axis(p, target[real][:, None], -1))
    return float(-log_p.mean()), x[real].T @ (p - np.eye(w.shape[1])[target[real]]) / real.sum()


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    target = rng.integers(0, n.K, n.N)
    target[1:][rng.random(n.N - 1) < 0.4] = -100
    return {"target": target, "rows": int(rng.integers(1, 4))}


exercise = Exercise(
    title="Gradient accumulation",
    section="Optimization",
    statement="""
A linear classifier z = x w with cross-entropy, the mean over the real rows; a row whose target is -100 is padding and
counts nowhere. Memory holds only `rows` rows at a time: go through the batch in micro-batches of that many rows (the
last may be shorter) and return (loss, dw) as of the whole batch at once. Micro-batches differ in how many real rows
they hold, and may hold none; row 0 is real.
""",
    signature='def gradient_accumulation(x: "float[N, D]", target: "int[N]", w: "float[D, K]", rows: int) -> "loss, dw":',
    sizes={"N": (3, 8), "D": (2, 4), "K": (2, 4)},
    draw=_draw,
    edges=lambda rng: [
        {"x": rng.normal(size=(5, 2)), "target": np.array([1, 0, -100, 1, -100]), "w": rng.normal(size=(2, 3)), "rows": 2},
        {"x": rng.normal(size=(4, 2)), "target": np.array([1, -100, -100, -100]), "w": rng.normal(size=(2, 2)), "rows": 2},
        {"x": rng.normal(size=(5, 2)), "target": np.array([1, 0, 1, 0, 1]), "w": rng.normal(size=(2, 2)), "rows": 2},
    ],
    oracle=_oracle,
    outputs=("loss", "dw"),
    hints=(
        "When is the mean of the micro-batches' means the mean of all? Not with padding, and not with a short last one.",
        "Add up sums, not means: of the losses and of the gradients. Divide once, by the number of all real rows.",
        "per micro-batch: p = softmax(x w); dw += x.T @ (p - onehot) over its real rows; in the end both / (target >= 0).sum().",
    ),
    solution="""
import numpy as np

def gradient_accumulation(x, target, w, rows):
    loss, dw, total = 0.0, np.zeros_like(w), (target >= 0).sum()
    for start in range(0, len(x), rows):
        part, t = x[start : start + rows], target[start : start + rows]
        part, t = part[t >= 0], t[t >= 0]
        z = part @ w
        z = z - z.max(-1, keepdims=True, initial=-np.inf)
        log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
        loss = loss - log_p[np.arange(len(t)), t].sum()
        d = np.exp(log_p)
        d[np.arange(len(t)), t] -= 1
        dw = dw + part.T @ d
    return loss / total, dw / total
""",
    torch="""
import torch

def gradient_accumulation(x, target, w, rows):
    w = w.detach().clone().requires_grad_()
    total, loss = (target >= 0).sum(), 0.0
    for part, t in zip(x.split(rows), target.split(rows)):
        share = torch.nn.functional.cross_entropy(part @ w, t, ignore_index=-100, reduction="sum") / total
        share.backward()
        loss = loss + share.detach()
    return loss, w.grad
""",
    wrong={
        "the means of the micro-batches are averaged, though they hold different numbers of rows": '''
import numpy as np

def gradient_accumulation(x, target, w, rows):
    losses, dws = [], []
    for start in range(0, len(x), rows):
        part, t = x[start : start + rows], target[start : start + rows]
        part, t = part[t >= 0], t[t >= 0]
        if not len(t):
            losses.append(0.0); dws.append(np.zeros_like(w))
            continue
        z = part @ w
        z = z - z.max(-1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
        losses.append(-log_p[np.arange(len(t)), t].mean())
        dws.append(part.T @ (np.exp(log_p) - np.eye(w.shape[1])[t]) / len(t))
    return np.mean(losses), np.mean(dws, 0)
''',
        "the gradients are added up but not divided": ("dw / total", "dw"),
        "it is divided by all rows, padding included": ("(target >= 0).sum()", "len(target)"),
        "it is divided by the number of micro-batches": ("(target >= 0).sum()", "-(-len(x) // rows)"),
        "only the last micro-batch's gradient is kept": ("dw = dw + part.T @ d", "dw = part.T @ d"),
        "padding takes part: its target is read as the last class": (
            "        part, t = part[t >= 0], t[t >= 0]\n", "        t = np.where(t >= 0, t, w.shape[1] - 1)\n"
        ),
        "the short last micro-batch is left out": ("range(0, len(x), rows)", "range(0, len(x) - rows + 1, rows)"),
        "the gradient lacks the - 1 at the target": ("        d[np.arange(len(t)), t] -= 1\n", ""),
        "the loss is a sum, not a mean": ("loss / total,", "loss,"),
    },
)  # fmt: skip
