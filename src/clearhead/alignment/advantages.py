"""From rewards to what each answer, or each of its tokens, is praised or blamed for.

Formulas: reference.policy, reference.grpo.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def group_relative(rewards: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """(r - mean) / std over the answers to one prompt, 0 where all are equal. Shao et al. 2024, section 4.1.2."""
    if np.ptp(rewards) == 0:
        return np.zeros_like(rewards)
    return (rewards - rewards.mean()) / rewards.std()


def centered(rewards: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """r - mean. Liu et al. 2025 (Dr. GRPO), section 3.2."""
    return rewards - rewards.mean()


def leave_one_out(rewards: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """r minus the mean of the others. Ahmadian et al. 2024 (RLOO), equation 6."""
    return centered(rewards) * (len(rewards) / (len(rewards) - 1))


def shaped(
    rewards: Sequence[Float[np.ndarray, "_"]], potentials: Sequence[Float[np.ndarray, "_"]], gamma: float
) -> list[Float[np.ndarray, "_"]]:
    """r_t + γ Φ_t+1 - Φ_t of each answer, Φ 0 once it has ended. Ng et al. 1999; reference.ppo.shaped_reward.

    `potentials[i][t]`: of the state in which token t of answer i was drawn.
    """
    return [
        reward + gamma * np.append(potential[1:], 0.0) - potential
        for reward, potential in zip(rewards, potentials, strict=True)
    ]


def gae(
    rewards: Sequence[Float[np.ndarray, "_"]], values: Sequence[Float[np.ndarray, "_"]], gamma: float, lam: float
) -> list[Float[np.ndarray, "_"]]:
    """Â_t = Σ_l (γλ)^l (r_t+l + γ V_t+l+1 - V_t+l) of each answer, which is worth 0 once it has ended.

    `values[i][t]`: of the state in which token t of answer i was drawn. Schulman et al. 2016, equation 16.
    """
    found = []
    for reward, value in zip(rewards, values, strict=True):
        delta = reward + gamma * np.append(value[1:], 0.0) - value
        advantage, later = np.zeros(len(delta)), 0.0
        for t in reversed(range(len(delta))):
            later = delta[t] + gamma * lam * later
            advantage[t] = later
        found.append(advantage)
    return found


def whitened(advantages: Sequence[Float[np.ndarray, "_"]]) -> list[Float[np.ndarray, "_"]]:
    """All tokens' advantages together with mean 0 and variance 1, as PPO's implementations have them.

    Engstrom et al. 2020, "Implementation matters"; Huang et al. 2022, detail 7.
    """
    flat = np.concatenate([*advantages, np.zeros(0)])
    if not len(flat) or flat.std() == 0:
        return [advantage - flat.mean() if len(flat) else advantage for advantage in advantages]
    return [(advantage - flat.mean()) / flat.std() for advantage in advantages]
