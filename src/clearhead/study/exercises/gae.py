"""Generalized advantage estimation."""

from typing import Any

import numpy as np

from clearhead.reference.policy import gae
from clearhead.study.practice.exercise import Exercise


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    return {
        "value": rng.normal(size=(n.B, n.T + 1)),
        "gamma": float(rng.uniform(0.5, 1)),
        "lam": float(rng.uniform(0.3, 1)),
    }


exercise = Exercise(
    title="GAE",
    section="Alignment",
    statement="""
value[b, t] is the judgment of state t; there is one more value than rewards, that of the state after the last reward.
With d_t = reward_t + gamma value_{t+1} - value_t the advantage is A_t = d_t + gamma lam A_{t+1}, nothing following
the last. Return the advantages A and the returns A + value_t, on which the value function is trained.
""",
    signature='def gae(reward: "float[B, T]", value: "float[B, T + 1]", gamma: float, lam: float) -> "advantages, returns":',
    sizes={"B": (1, 3), "T": (2, 6)},
    draw=lambda rng, n: {"reward": rng.normal(size=(n.B, n.T)), **_draw(rng, n)},
    oracle=lambda reward, value, gamma, lam: (a := gae(reward, value, gamma, lam), a + value[:, :-1]),
    outputs=("advantages", "returns"),
    hints=(
        "Go from the last step to the first, carrying the advantage of the step after.",
        "lam = 0 gives d_t alone; lam = 1 gives the discounted return minus value_t. Both make good checks.",
        "for t in reversed(range(T)): later = reward[:, t] + gamma value[:, t + 1] - value[:, t] + gamma lam later.",
    ),
    solution="""
import numpy as np

def gae(reward, value, gamma, lam):
    advantage, later = np.zeros_like(reward), 0.0
    for t in reversed(range(reward.shape[1])):
        delta = reward[:, t] + gamma * value[:, t + 1] - value[:, t]
        later = delta + gamma * lam * later
        advantage[:, t] = later
    return advantage, advantage + value[:, :-1]
""",
    torch="""
import torch

def gae(reward, value, gamma, lam):
    delta = reward + gamma * value[:, 1:] - value[:, :-1]
    T = reward.shape[1]
    ahead = torch.arange(T) - torch.arange(T)[:, None]
    weight = ((gamma * lam) ** ahead.clamp(min=0).to(delta.dtype)).triu()
    advantage = delta @ weight.T
    return advantage, advantage + value[:, :-1]
""",
    wrong={
        "the sum is carried on with gamma, without lam": ("gamma * lam * later", "gamma * later"),
        "the sum is carried on with lam, without gamma": ("gamma * lam * later", "lam * later"),
        "the next value is not discounted": ("gamma * value[:, t + 1]", "value[:, t + 1]"),
        "the value after the last step is taken for 0": ("gamma * value[:, t + 1]", "gamma * value[:, t + 1] * (t + 1 < reward.shape[1])"),
        "the sum runs from the first step to the last": ("reversed(range(reward.shape[1]))", "range(reward.shape[1])"),
        "the returns lack the values": ("advantage + value[:, :-1]", "advantage"),
        "the returns take the value of the next state": ("value[:, :-1]", "value[:, 1:]"),
        "later steps are forgotten: these are one-step errors": ("delta + gamma * lam * later", "delta"),
    },
)  # fmt: skip
