"""How language models learn from rewards: PPO's clipped loss, three estimates of a KL from samples, and GRPO.

log_p, log_old and log_ref are the log-probabilities of the tokens that were written: under the policy that learns, the
policy that wrote them, and the reference that it must stay close to. The value function's own loss is a plain square.
"""

import numpy as np
from jaxtyping import Bool, Float

from clearhead.reference import Array


def ppo_loss(
    log_p: Float[Array, "*B"], log_old: Float[Array, "*B"], advantage: Float[Array, "*B"], epsilon: float
) -> Float[Array, "*B"]:
    """-min(ρ Â, clip(ρ, 1 - ε, 1 + ε) Â) with ρ = π / π_old: no more is gained by moving ρ further than ε from 1.

    Only gains are cut off: where ρ has moved the wrong way the loss keeps its derivative, and brings it back.

    >>> log_rho, advantage = np.log([1.5, 0.5, 1.5, 0.5]), np.array([1.0, 1.0, -1.0, -1.0])
    >>> ppo_loss(log_rho, np.zeros(4), advantage, 0.25).round(6).tolist()
    [-1.25, -0.5, 1.5, 0.75]

    O(1). Schulman et al. 2017, equation 7. ValueError: ε < 0.
    """
    ratio, clipped = _ratio(log_p, log_old, epsilon)
    return -np.minimum(_times(ratio, advantage), clipped * advantage)


def ppo_loss_vjp(
    log_p: Float[Array, "*B"],
    log_old: Float[Array, "*B"],
    advantage: Float[Array, "*B"],
    epsilon: float,
    dy: Float[Array, "*B"],
) -> tuple[Float[Array, "*B"], Float[Array, "*B"], Float[Array, "*B"]]:
    """(-ρ Â, ρ Â, -ρ) dy where ρ counts, (0, 0, -clip(ρ)) dy where it is cut off."""
    ratio, clipped = _ratio(log_p, log_old, epsilon)
    counts = (ratio == clipped) | (_times(ratio, advantage) < clipped * advantage)
    derivative = -_times(np.where(counts, ratio, 0.0), advantage * dy)
    return derivative, -derivative, -np.where(counts, ratio, clipped) * dy


def kl_k1(log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """log(π / π_ref) of samples from π: on average KL(π‖π_ref), but with either sign.

    >>> kl_k1(np.array([-1.0, -2.0]), np.array([-2.0, -1.5])).tolist()
    [1.0, -0.5]

    O(1). Schulman 2020, "Approximating KL divergence".
    """
    return log_p - log_ref


def kl_k1_vjp(
    log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """±dy: over samples of π it averages to 0 in π's parameters, so k1 belongs in the reward, never in the loss."""
    return dy, -dy


def kl_k2(log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """½ log²(π / π_ref) of samples from π: never negative, equal to the KL on average only to second order.

    >>> kl_k2(np.array([-1.0, -2.0]), np.array([-2.0, -1.5])).tolist()
    [0.5, 0.125]

    O(1). Schulman 2020, "Approximating KL divergence".
    """
    return (log_p - log_ref) ** 2 / 2


def kl_k2_vjp(
    log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """±log(π / π_ref) dy: over samples of π it averages to the gradient of KL(π‖π_ref), though k2 is off itself."""
    derivative = (log_p - log_ref) * dy
    return derivative, -derivative


def kl_k3(log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """r - 1 - log r with r = π_ref / π, of samples from π: on average the KL exactly, and never negative.

    >>> kl_k3(np.log([0.5, 0.25]), np.log([0.25, 0.5])).round(4).tolist()
    [0.1931, 0.3069]

    O(1). Schulman 2020, "Approximating KL divergence"; Shao et al. 2024, equation 4. Infinite where r overflows.
    """
    with np.errstate(over="ignore"):
        return np.expm1(log_ref - log_p) + (log_p - log_ref)


def kl_k3_vjp(
    log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """±(1 - r) dy: over samples of π it averages to the gradient of the other divergence, KL(π_ref‖π)."""
    with np.errstate(over="ignore"):
        derivative = _times(-np.expm1(log_ref - log_p), dy)
    return derivative, -derivative


def penalized_reward(
    score: Float[Array, "*B"], log_p: Float[Array, "*B T"], log_ref: Float[Array, "*B T"], beta: float
) -> Float[Array, "*B T"]:
    """r_t = -β log(π / π_ref) at every token, and the reward model's score on top at the last: RLHF's reward for PPO.

    >>> penalized_reward(np.array(2.0), np.array([-1.0, -1.0]), np.array([-3.0, -1.0]), 0.5).tolist()
    [-1.0, 2.0]

    O(T). Ouyang et al. 2022, equation 2; Ziegler et al. 2019, equation 2. ValueError: no tokens or β < 0.
    """
    if log_p.shape[-1] == 0:
        raise ValueError("a response without tokens has no last one to reward")
    _check_beta(beta)
    last = np.arange(log_p.shape[-1]) == log_p.shape[-1] - 1
    return last * score[..., None] - beta * kl_k1(log_p, log_ref)


def penalized_reward_vjp(
    score: Float[Array, "*B"],
    log_p: Float[Array, "*B T"],
    log_ref: Float[Array, "*B T"],
    beta: float,
    dr: Float[Array, "*B T"],
) -> tuple[Float[Array, "*B"], Float[Array, "*B T"], Float[Array, "*B T"]]:
    """(dr_T, -β dr, β dr)."""
    return dr[..., -1], -beta * dr, beta * dr


def shaped_reward(reward: Float[Array, "*B T"], potential: Float[Array, "*B T"], gamma: float) -> Float[Array, "*B T"]:
    """r_t + γ Φ(s_t+1) - Φ(s_t), Φ 0 once the text has ended: what is good is paid for as soon as it is written.

    The discounted sum is that of r less Φ(s_0), whatever is written, so that no policy becomes better than another by
    it; and a method that looks at an answer's whole reward alone learns nothing from it.

    >>> shaped_reward(np.array([0.0, 0.0, 1.0]), np.array([0.5, 0.25, 0.75]), 1.0).tolist()
    [-0.25, 0.5, 0.25]

    O(T). Ng et al. 1999, theorem 1. ValueError: γ outside 0 to 1.
    """
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma = {gamma} must be 0 to 1")
    later = np.concatenate([potential[..., 1:], np.zeros_like(potential[..., :1])], -1)
    return reward + gamma * later - potential


def shaped_reward_vjp(
    reward: Float[Array, "*B T"], potential: Float[Array, "*B T"], gamma: float, dr: Float[Array, "*B T"]
) -> tuple[Float[Array, "*B T"], Float[Array, "*B T"]]:
    """(dr, γ dr_t-1 - dr_t)."""
    earlier = np.concatenate([np.zeros_like(dr[..., :1]), dr[..., :-1]], -1)
    return dr, gamma * earlier - dr


def group_advantages(reward: Float[Array, "*B N"], ddof: int = 0, epsilon: float = 0.0) -> Float[Array, "*B N"]:
    """Â_i = (r_i - mean r) / (std r + ε) over the N answers to one question; 0 where all are worth the same.

    std divides by N, so that Σ Â² = N. A question that all answers solve, or none, teaches nothing. Others divide by
    N - 1 (`ddof` 1) and add an `epsilon` such as 1e-4, which damps groups whose rewards hardly differ.

    >>> group_advantages(np.array([[1.0, 0.0, 0.0, 1.0], [0.3, 0.3, 0.3, 0.3]])).tolist()
    [[1.0, -1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    >>> group_advantages(np.array([1.0, 0.0, 0.0, 1.0]), ddof=1, epsilon=1e-4).round(4).tolist()
    [0.8659, -0.8659, -0.8659, 0.8659]

    O(N). Shao et al. 2024, section 4.1.2. ValueError: no answers, NaN or infinite rewards, ddof other than 0 or 1,
    ε < 0.
    """
    centered, std = _standardize(reward, ddof, epsilon)
    return centered / (std + epsilon)


def group_advantages_vjp(
    reward: Float[Array, "*B N"], da: Float[Array, "*B N"], ddof: int = 0, epsilon: float = 0.0
) -> Float[Array, "*B N"]:
    """dr = (dÂ - mean dÂ - (r - mean r) Σ Â dÂ / ((N - ddof) std)) / (std + ε), and 0 where all are worth the same."""
    centered, std = _standardize(reward, ddof, epsilon)
    a = centered / (std + epsilon)
    differ = (centered != 0).any(-1, keepdims=True)
    along = (centered / std) * (a * da).sum(-1, keepdims=True) / max(reward.shape[-1] - ddof, 1)
    return differ * (da - da.mean(-1, keepdims=True) - along) / (std + epsilon)


def grpo_loss(
    log_p: Float[Array, "*B N T"],
    log_old: Float[Array, "*B N T"],
    log_ref: Float[Array, "*B N T"],
    advantage: Float[Array, "*B N"],
    written: Bool[Array, "*B N T"],
    epsilon: float,
    beta: float,
) -> Float[Array, "*B"]:
    """(1/N) Σ_i (1/|o_i|) Σ_t [ppo_loss(ρ_it, Â_i) + β k3_it] over the tokens written; an answer without any adds 0.

    >>> p = np.log([[0.5, 0.5], [0.25, 1.0]])
    >>> written = np.array([[True, True], [True, False]])
    >>> grpo_loss(p, p, p, np.array([1.0, -0.5]), written, epsilon=0.2, beta=0.04).tolist()
    -0.25

    O(NT). Shao et al. 2024, equation 3, with the sign of a loss. ValueError: ε or β < 0, no answers.
    """
    _check_beta(beta)
    weight = _token_weight(written)
    where = [np.where(written, x, 0.0) for x in (log_p, log_old, log_ref)]
    each = ppo_loss(where[0], where[1], np.broadcast_to(advantage[..., None], log_p.shape), epsilon)
    if beta > 0:
        each = each + beta * kl_k3(where[0], where[2])
    return np.where(written, each * weight, 0.0).sum((-1, -2))


def grpo_loss_vjp(
    log_p: Float[Array, "*B N T"],
    log_old: Float[Array, "*B N T"],
    log_ref: Float[Array, "*B N T"],
    advantage: Float[Array, "*B N"],
    written: Bool[Array, "*B N T"],
    epsilon: float,
    beta: float,
    dy: Float[Array, "*B"],
) -> tuple[Float[Array, "*B N T"], Float[Array, "*B N T"], Float[Array, "*B N T"], Float[Array, "*B N"]]:
    """ppo_loss' and kl_k3's gradients at each token, times dy / (N |o_i|), and 0 where nothing was written."""
    each = _token_weight(written) * dy[..., None, None]
    where = [np.where(written, x, 0.0) for x in (log_p, log_old, log_ref)]
    spread = np.broadcast_to(advantage[..., None], log_p.shape)
    dp, dold, dadvantage = ppo_loss_vjp(where[0], where[1], spread, epsilon, each)
    dkl, dref = kl_k3_vjp(where[0], where[2], beta * each)
    return dp + dkl, dold, dref, dadvantage.sum(-1)


def _ratio(log_p: Array, log_old: Array, epsilon: float) -> tuple[Array, Array]:
    if not epsilon >= 0:
        raise ValueError(f"epsilon = {epsilon} must be 0 or more")
    with np.errstate(over="ignore"):  # an infinite ratio is cut off, or its loss is infinite indeed
        ratio = np.exp(log_p - log_old)
    return ratio, np.clip(ratio, 1 - epsilon, 1 + epsilon)


def _times(x: Array, weight: Array) -> Array:
    """x · weight, and 0 where the weight is 0 though x be infinite."""
    return np.where(weight == 0, 0.0, x) * weight


def _standardize(reward: Array, ddof: int, epsilon: float) -> tuple[Array, Array]:
    """r - mean r and std r; exactly 0 and 1 where all are equal, which rounding of the mean would hide."""
    if ddof not in (0, 1) or not epsilon >= 0:
        raise ValueError(f"ddof = {ddof} must be 0 or 1, epsilon = {epsilon} at least 0")
    if reward.shape[-1] == 0 or not np.isfinite(reward).all():
        raise ValueError(f"rewards of shape {reward.shape} must be finite, and at least one to a group")
    same = reward.max(-1, keepdims=True) == reward.min(-1, keepdims=True)
    centered = np.where(same, 0.0, reward - reward.mean(-1, keepdims=True))
    scale = np.where(same, 1.0, np.abs(centered).max(-1, keepdims=True))  # squares of tiny rewards would be 0
    many = max(reward.shape[-1] - ddof, 1)
    return centered, np.where(same, 1.0, scale * np.sqrt(((centered / scale) ** 2).sum(-1, keepdims=True) / many))


def _token_weight(written: Array) -> Array:
    """1 / (N |o_i|) at the tokens written, 0 elsewhere."""
    if written.shape[-2] == 0:
        raise ValueError("a group of no answers has no mean")
    return written / (written.shape[-2] * np.maximum(written.sum(-1, keepdims=True), 1))


def _check_beta(beta: float) -> None:
    if not beta >= 0:
        raise ValueError(f"beta = {beta} must be 0 or more")
