"""A learning rate that warms up and falls along a cosine."""

from typing import Any

import numpy as np

from clearhead.reference.schedules import cosine
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {
        "t": int(rng.integers(0, n.N + n.K + 4)),
        "warmup": n.N,
        "steps": n.N + n.K,
        "peak": float(rng.uniform(0.1, 2)),
        "floor": float(rng.uniform(0, 0.5)),
    }


exercise = Exercise(
    title="Warm-up, then a cosine",
    section="Optimization",
    statement="""
The learning rate at step t: straight up from 0 at t = 0 to peak at t = warmup, then down along half a cosine to
floor * peak at t = steps, where it stays. warmup may be 0: then it begins at the peak.
""",
    signature="def warm_up_cosine(t: int, warmup: int, steps: int, peak: float, floor: float) -> float:",
    sizes={"N": (1, 8), "K": (3, 12)},
    draw=_draw,
    edges=lambda rng: [
        {"t": t, "warmup": w, "steps": 10, "peak": 0.5, "floor": 0.1} for w in (0, 4) for t in (0, 1, 4, 5, 7, 9, 10, 13)
    ],
    oracle=lambda t, warmup, steps, peak, floor: peak * cosine(t, warmup, steps, floor),
    hints=(
        "There are three stretches: up, down, level. Where does each begin?",
        "How far the fall has come: (t - warmup) / (steps - warmup), kept between 0 and 1.",
        "peak * (floor + (1 - floor) * (1 + cos(pi * share)) / 2) from t = warmup on; peak * t / warmup before.",
    ),
    solution="""
import math

def warm_up_cosine(t, warmup, steps, peak, floor):
    if t < warmup:
        return peak * t / warmup
    share = min(1.0, (t - warmup) / (steps - warmup))
    return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2)
""",
    torch="""
import math
import torch

def warm_up_cosine(t, warmup, steps, peak, floor):
    share = torch.tensor((t - warmup) / (steps - warmup), dtype=torch.float64).clamp(0, 1)
    fallen = floor + (1 - floor) * (1 + torch.cos(math.pi * share)) / 2
    return peak * (fallen if t >= warmup else torch.tensor(t / max(warmup, 1), dtype=torch.float64))
""",
    wrong={
        "the fall is measured from step 0, not from the end of the warm-up": ("(t - warmup) / (steps - warmup)", "t / steps"),
        "after the last step the rate rises again": ("min(1.0, (t - warmup) / (steps - warmup))", "(t - warmup) / (steps - warmup)"),
        "the floor is taken for a rate, not for a share of the peak": ("peak * (floor + (1 - floor) * (1", "(floor + (peak - floor) * (1"),
        "the floor only cuts the cosine off": ("peak * (floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2)", "peak * max(floor, (1 + math.cos(math.pi * share)) / 2)"),
        "the warm-up is one step ahead": ("peak * t / warmup", "peak * (t + 1) / warmup"),
        "the fall is a straight line": ("(1 + math.cos(math.pi * share)) / 2", "(1 - share)"),
        "there is no warm-up": ("peak * t / warmup", "peak"),
    },
)  # fmt: skip
