"""Advantages relative to a group of answers."""

from typing import Any

import numpy as np

from clearhead.reference.ppo import group_advantages
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    reward = rng.integers(0, 3, (n.B, n.N)) * 0.5
    reward[0] = reward[0, 0]
    return {"reward": reward}


exercise = Exercise(
    title="GRPO's advantages",
    section="Alignment",
    statement="""
reward[b, i] is the reward of answer i to question b. The advantage of an answer: its reward minus the mean of its
question's answers, divided by their standard deviation (with divisor N). Where all answers to a question are worth the
same, the advantages are 0, not NaN. No small number is added to the deviation.
""",
    signature='def grpo_advantages(reward: "float[B, N]") -> "float[B, N]":',
    sizes={"B": (2, 4), "N": (2, 6)},
    draw=_draw,
    edges=lambda rng: [{"reward": np.array([[0.1, 0.1, 0.1], [0.0, 1e-4, 0.0], [5.0, 7.0, 9.0]])}],
    oracle=group_advantages,
    hints=(
        "Every question is a group of its own: mean and deviation along axis 1.",
        "A group of equal rewards has a deviation of 0 (or of rounding): decide by the rewards, not by the deviation.",
        "same = (r == r[:, :1]).all(1, keepdims=True); where(same, 0, (r - mean) / where(same, 1, std)).",
    ),
    solution="""
import numpy as np

def grpo_advantages(reward):
    same = (reward == reward[:, :1]).all(1, keepdims=True)
    std = np.where(same, 1.0, reward.std(1, keepdims=True))
    return np.where(same, 0.0, (reward - reward.mean(1, keepdims=True)) / std)
""",
    torch="""
import torch

def grpo_advantages(reward):
    centered = reward - reward.mean(1, keepdim=True)
    same = (reward == reward[:, :1]).all(1, keepdim=True)
    return (centered / reward.std(1, keepdim=True, unbiased=False)).masked_fill(same, 0.0)
""",
    wrong={
        "the deviation is taken with divisor N - 1": ("reward.std(1, keepdims=True)", "reward.std(1, keepdims=True, ddof=1)"),
        "groups are not kept apart: mean and deviation are those of the whole batch": (
            "reward.std(1, keepdims=True)", "reward.std()", "reward.mean(1, keepdims=True)", "reward.mean()"
        ),
        "a group of equal rewards gives NaN": ("(reward == reward[:, :1]).all(1, keepdims=True)", "np.zeros((len(reward), 1), bool)"),
        "the deviation is left out (that is Dr. GRPO)": (" / std", ""),
        "it divides by the variance": ("reward.std(1,", "reward.var(1,"),
        "a small number is added to the deviation": ("reward.std(1, keepdims=True)", "reward.std(1, keepdims=True) + 1e-4"),
        "the mean is not subtracted": ("(reward - reward.mean(1, keepdims=True))", "reward"),
    },
)  # fmt: skip
