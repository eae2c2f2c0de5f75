"""GRPO's published variants: which advantage an answer has within its group, and what each of its tokens weighs.

A group is N answers to one question with one reward each. GRPO itself stands in ppo.py; Dr. GRPO leaves out its
standard deviation and its lengths, DAPO weighs tokens alike and clips higher than it clips low, RLOO compares an answer
with the others alone. `written` says which of the T places of an answer hold a token of it.
"""

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array
from clearhead.reference.ppo import kl_k3, kl_k3_vjp, ppo_loss, ppo_loss_vjp


def centered_rewards(reward: Float[Array, "*B N"]) -> Float[Array, "*B N"]:
    """Â_i = r_i - mean r: without GRPO's division, which makes much of groups that hardly differ.

    >>> centered_rewards(np.array([1.0, 0.0, 0.0, 0.0])).tolist()
    [0.75, -0.25, -0.25, -0.25]

    O(N). Liu et al. 2025 (Dr. GRPO), section 3.2.
    """
    return reward - reward.mean(-1, keepdims=True)


def centered_rewards_vjp(reward: Float[Array, "*B N"], da: Float[Array, "*B N"]) -> Float[Array, "*B N"]:
    """dr = dÂ - mean dÂ: the map is its own transpose."""
    return centered_rewards(da)


def leave_one_out_advantages(reward: Float[Array, "*B N"]) -> Float[Array, "*B N"]:
    """Â_i = r_i - mean of the other rewards = N / (N - 1) (r_i - mean r): a baseline that no answer has a part in.

    >>> leave_one_out_advantages(np.array([1.0, 0.0, 0.0])).tolist()
    [1.0, -0.5, -0.5]

    O(N). Kool et al. 2019, equation 8; Ahmadian et al. 2024 (RLOO), equation 6. ValueError: fewer than two answers.
    """
    n = reward.shape[-1]
    if n < 2:
        raise ValueError(f"{n} answers leave none to compare with; RLOO needs two or more")
    return centered_rewards(reward) * (n / (n - 1))


def leave_one_out_advantages_vjp(reward: Float[Array, "*B N"], da: Float[Array, "*B N"]) -> Float[Array, "*B N"]:
    """As of centered_rewards, N / (N - 1) times."""
    return leave_one_out_advantages(da)


def weights_by_answer(written: Bool[Array, "*B N T"]) -> Float[Array, "*B N T"]:
    """1 / (N |o_i|): answers count alike, so that a token of a long wrong answer is hardly blamed. GRPO's.

    >>> weights_by_answer(np.array([[True, True], [True, False]])).tolist()
    [[0.25, 0.25], [0.5, 0.0]]

    O(NT). Shao et al. 2024, equation 3.
    """
    return written / (written.shape[-2] * np.maximum(written.sum(-1, keepdims=True), 1))


def weights_by_token(written: Bool[Array, "*B N T"]) -> Float[Array, "*B N T"]:
    """1 / Σ_i |o_i|: tokens count alike, in long answers and in short ones. DAPO's.

    >>> weights_by_token(np.array([[True, True], [True, False]])).round(4).tolist()
    [[0.3333, 0.3333], [0.3333, 0.0]]

    O(NT). Yu et al. 2025 (DAPO), equation 8.
    """
    return written / np.maximum(written.sum((-1, -2), keepdims=True), 1)


def weights_by_limit(written: Bool[Array, "*B N T"], limit: int) -> Float[Array, "*B N T"]:
    """1 / (N limit): tokens count alike whatever else was written; `limit` is how long an answer may be. Dr. GRPO's.

    >>> weights_by_limit(np.array([[True, True], [True, False]]), 4).tolist()
    [[0.125, 0.125], [0.125, 0.0]]

    O(NT). Liu et al. 2025, section 3.2. ValueError: a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"limit = {limit} tokens must be at least 1")
    return written / (written.shape[-2] * limit)


def policy_loss(
    log_p: Float[Array, "*B N T"],
    log_old: Float[Array, "*B N T"],
    log_ref: Float[Array, "*B N T"],
    advantage: Float[Array, "*B N T"],
    weight: Float[Array, "*B N T"],
    clip: tuple[float, float],
    beta: float,
) -> Float[Array, "*B"]:
    """Σ w [-min(ρ Â, clip(ρ, 1 - ε_low, 1 + ε_high) Â) + β k3] over the tokens of a group: what all variants share.

    With ε_high above ε_low a rare token may gain more before it is cut off ("clip higher").

    >>> p = np.log([[0.5, 0.5], [0.25, 1.0]])
    >>> written = np.array([[True, True], [True, False]])
    >>> float(policy_loss(p, p, p, np.array([[1.0], [-0.5]]) * written, weights_by_answer(written), (0.2, 0.28), 0.04))
    -0.25

    O(NT). Yu et al. 2025, equation 8, with GRPO's KL. ValueError: ε or β < 0.
    """
    return (weight * _each(log_p, log_old, log_ref, advantage, clip, beta)).sum((-1, -2))


def policy_loss_vjp(
    log_p: Float[Array, "*B N T"],
    log_old: Float[Array, "*B N T"],
    log_ref: Float[Array, "*B N T"],
    advantage: Float[Array, "*B N T"],
    weight: Float[Array, "*B N T"],
    clip: tuple[float, float],
    beta: float,
    dy: Float[Array, "*B"],
) -> tuple[Float[Array, "*B N T"], Float[Array, "*B N T"], Float[Array, "*B N T"], Float[Array, "*B N T"]]:
    """By log_p, log_old, log_ref and the advantage: ppo_loss' and kl_k3's gradients at each token, times w dy."""
    each = weight * dy[..., None, None]
    gains = advantage >= 0
    found = [ppo_loss_vjp(log_p, log_old, advantage, epsilon, each) for epsilon in clip]
    dp, dold, da = (np.where(gains, high, low) for low, high in zip(*found, strict=True))
    dkl, dref = kl_k3_vjp(log_p, log_ref, beta * each)
    return dp + dkl, dold, dref, da


def _each(
    log_p: Array, log_old: Array, log_ref: Array, advantage: Array, clip: tuple[float, float], beta: float
) -> Array:
    if not beta >= 0:
        raise ValueError(f"beta = {beta} must be 0 or more")
    low, high = (ppo_loss(log_p, log_old, advantage, epsilon) for epsilon in clip)
    loss = np.where(advantage >= 0, high, low)  # only ε_high cuts off a gain, only ε_low a loss avoided
    return loss + beta * kl_k3(log_p, log_ref) if beta > 0 else loss
