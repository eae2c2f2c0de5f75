"""PPO's clipped loss with a penalty for leaving the reference."""

from typing import Any

import numpy as np

from clearhead.reference.ppo import kl_k3, ppo_loss
from clearhead.study.practice.exercise import Exercise


def _oracle(
    log_p: np.ndarray,
    log_old: np.ndarray,
    log_ref: np.ndarray,
    advantage: np.ndarray,
    mask: np.ndarray,
    epsilon: float,
    beta: float,
) -> float:
    each = ppo_loss(log_p, log_old, advantage, epsilon) + beta * kl_k3(log_p, log_ref)
    return float(each[mask].mean())


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    log_p = -3 * rng.random((n.B, n.T))
    mask = rng.random((n.B, n.T)) < 0.7
    mask[:, 0] = True
    return {
        "log_p": log_p, "log_old": log_p + 0.4 * rng.normal(size=log_p.shape), "log_ref": log_p + rng.normal(size=log_p.shape),
        "mask": mask, "epsilon": float(rng.uniform(0.1, 0.3)), "beta": float(rng.uniform(0.02, 0.5)),
    }  # fmt: skip


exercise = Exercise(
    title="PPO's clipped loss, with a KL",
    section="Alignment",
    statement="""
For every token with mask True: -min(rho A, clip(rho, 1 - epsilon, 1 + epsilon) A) + beta k3, with rho = exp(log_p -
log_old), A its advantage, and k3 = r - 1 - log r for r = exp(log_ref - log_p). Return the mean over all these
tokens of the batch together.
""",
    signature="""
def ppo_loss(
    log_p: "float[B, T]", log_old: "float[B, T]", log_ref: "float[B, T]", advantage: "float[B, T]",
    mask: "bool[B, T]", epsilon: float, beta: float,
) -> float:
""",
    sizes={"B": (2, 4), "T": (3, 6)},
    draw=_draw,
    oracle=_oracle,
    hints=(
        "The minimum of the two terms, then the minus: where A < 0 the clipped one is the smaller on the other side.",
        "Compute everything per token, select mask, then the mean: rows with more tokens weigh more.",
        "rho = exp(log_p - log_old); -minimum(rho A, clip(rho, 1 - e, 1 + e) A) + beta (expm1(log_ref - log_p) - (log_ref - log_p)).",
    ),
    solution="""
import numpy as np

def ppo_loss(log_p, log_old, log_ref, advantage, mask, epsilon, beta):
    rho = np.exp(log_p - log_old)
    gain = np.minimum(rho * advantage, np.clip(rho, 1 - epsilon, 1 + epsilon) * advantage)
    d = log_ref - log_p
    k3 = np.exp(d) - 1 - d
    return (beta * k3 - gain)[mask].mean()
""",
    torch="""
import torch

def ppo_loss(log_p, log_old, log_ref, advantage, mask, epsilon, beta):
    rho = (log_p - log_old).exp()
    gain = torch.minimum(rho * advantage, rho.clamp(1 - epsilon, 1 + epsilon) * advantage)
    d = log_ref - log_p
    return ((beta * (d.expm1() - d) - gain) * mask).sum() / mask.sum()
""",
    wrong={
        "the larger of the two terms is taken": ("np.minimum(", "np.maximum("),
        "only the clipped term is taken: a bad move loses its gradient": ("np.minimum(rho * advantage, np.clip(rho, 1 - epsilon, 1 + epsilon) * advantage)", "np.clip(rho, 1 - epsilon, 1 + epsilon) * advantage"),
        "nothing is clipped": ("np.clip(rho, 1 - epsilon, 1 + epsilon)", "rho"),
        "the sign of the gain is wrong: the loss rewards bad actions": ("beta * k3 - gain", "beta * k3 + gain"),
        "the ratio inside k3 is upside down": ("d = log_ref - log_p", "d = log_p - log_ref"),
        "the divergence is estimated by log_p - log_ref, which may be negative": ("np.exp(d) - 1 - d", "-d"),
        "the mask is ignored": ("[mask].mean()", ".mean()"),
        "every row weighs the same, however many tokens it has": ("(beta * k3 - gain)[mask].mean()", "(((beta * k3 - gain) * mask).sum(1) / mask.sum(1)).mean()"),
        "the ratio is taken to the reference, not to the policy that sampled": ("np.exp(log_p - log_old)", "np.exp(log_p - log_ref)"),
    },
)  # fmt: skip
