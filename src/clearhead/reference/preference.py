"""Learning from comparisons: Bradley-Terry rewards, DPO, the policy that both aim at, and best-of-N as a policy.

Losses are given per pair; a batch takes their mean. A response's log-probability is the sum over its tokens, never the
mean: a mean is not the logarithm of any distribution over responses.
"""

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array, is_distribution
from clearhead.reference.softmax import kl, kl_vjp, log_sum_exp, softmax


def preference_probability(chosen: Float[Array, "*B"], rejected: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """P(w ≻ l) = σ(r_w - r_l) = exp r_w / (exp r_w + exp r_l): only the difference of two rewards means anything.

    >>> round(float(preference_probability(np.array(1e4 + np.log(3)), np.array(1e4))), 6)
    0.75

    O(1). Bradley and Terry 1952, as in Rafailov et al. 2023, equation 1. ValueError: NaN or infinite rewards.
    """
    return np.exp(-reward_loss(chosen, rejected))


def preference_probability_vjp(
    chosen: Float[Array, "*B"], rejected: Float[Array, "*B"], dp: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """±P(w ≻ l) P(l ≻ w) dp."""
    derivative = dp * preference_probability(chosen, rejected) * preference_probability(rejected, chosen)
    return derivative, -derivative


def reward_loss(chosen: Float[Array, "*B"], rejected: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """-log σ(r_w - r_l) = log(1 + exp(r_l - r_w)): how surprised a reward model is by a human's choice.

    >>> reward_loss(np.array([0.0, -1e4]), np.array([0.0, 1e4])).round(4).tolist()
    [0.6931, 20000.0]

    O(1). Ouyang et al. 2022, equation 1. ValueError: NaN or infinite rewards.
    """
    if not (np.isfinite(chosen).all() and np.isfinite(rejected).all()):
        raise ValueError("rewards and log-probabilities of whole responses must be finite; found NaN or infinity")
    return np.logaddexp(0, rejected - chosen)


def reward_loss_vjp(
    chosen: Float[Array, "*B"], rejected: Float[Array, "*B"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """∓P(l ≻ w) dy: a pair that is in the right order with room to spare teaches nothing."""
    derivative = dy * preference_probability(rejected, chosen)
    return -derivative, derivative


def implicit_reward(log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"], beta: float) -> Float[Array, "*B"]:
    """r̂(x, y) = β log(π(y|x) / π_ref(y|x)): the reward for which π is optimal_policy, up to a constant of x.

    >>> float(implicit_reward(np.array(-1.0), np.array(-3.0), 0.5))
    1.0

    O(1). Rafailov et al. 2023, section 4 and equation 5. ValueError: β ≤ 0.
    """
    _check_beta(beta)
    return beta * (log_p - log_ref)


def implicit_reward_vjp(
    log_p: Float[Array, "*B"], log_ref: Float[Array, "*B"], beta: float, dr: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """±β dr."""
    return beta * dr, -beta * dr


def dpo_loss(
    chosen: Float[Array, "*B"],
    rejected: Float[Array, "*B"],
    ref_chosen: Float[Array, "*B"],
    ref_rejected: Float[Array, "*B"],
    beta: float,
) -> Float[Array, "*B"]:
    """-log σ(r̂_w - r̂_l), the reward loss of the implicit rewards; arguments are log-probabilities of responses.

    >>> at_start = dpo_loss(np.array(-5.0), np.array(-9.0), np.array(-5.0), np.array(-9.0), beta=0.1)
    >>> round(float(at_start), 4)
    0.6931

    O(1). Rafailov et al. 2023, equation 7. ValueError: β ≤ 0, NaN or infinite log-probabilities.
    """
    return reward_loss(implicit_reward(chosen, ref_chosen, beta), implicit_reward(rejected, ref_rejected, beta))


def dpo_loss_vjp(
    chosen: Float[Array, "*B"],
    rejected: Float[Array, "*B"],
    ref_chosen: Float[Array, "*B"],
    ref_rejected: Float[Array, "*B"],
    beta: float,
    dy: Float[Array, "*B"],
) -> tuple[Float[Array, "*B"], Float[Array, "*B"], Float[Array, "*B"], Float[Array, "*B"]]:
    """β σ(r̂_l - r̂_w) dy times -1 for π(w), +1 for π(l), and the opposite for π_ref."""
    r_w, r_l = implicit_reward(chosen, ref_chosen, beta), implicit_reward(rejected, ref_rejected, beta)
    derivative = beta * dy * preference_probability(r_l, r_w)
    return -derivative, derivative, derivative, -derivative


def regularized_reward(
    p: Float[Array, "*B K"], ref: Float[Array, "*B K"], reward: Float[Array, "*B K"], beta: float
) -> Float[Array, "*B"]:
    """J(p) = Σ_y p_y r_y - β KL(p‖ref): what RLHF maximizes, over K responses that can be listed.

    >>> uniform = np.array([0.5, 0.5])
    >>> float(regularized_reward(np.array([0.0, 1.0]), uniform, np.array([0.0, 1.0]), beta=0.0))
    1.0

    O(K). Ouyang et al. 2022, equation 2. ValueError: p or ref is no distribution, β < 0.
    """
    if not beta >= 0:
        raise ValueError(f"beta = {beta} must be 0 or more")
    earned = (p * reward).sum(-1)
    return earned - beta * kl(p, ref) if beta > 0 else earned


def regularized_reward_vjp(
    p: Float[Array, "*B K"],
    ref: Float[Array, "*B K"],
    reward: Float[Array, "*B K"],
    beta: float,
    dy: Float[Array, "*B"],
) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"], Float[Array, "*B K"]]:
    """(r - β (log(p / ref) + 1), β p / ref, p) dy, each entry taken as free."""
    dp, dref = kl_vjp(p, ref, -beta * dy)
    return reward * dy[..., None] + dp, dref, p * dy[..., None]


def optimal_policy(ref: Float[Array, "*B K"], reward: Float[Array, "*B K"], beta: float) -> Float[Array, "*B K"]:
    """π*_y = π_ref(y) exp(r_y / β) / Z, the maximum of regularized_reward, where it is worth β log Z.

    >>> optimal_policy(np.array([0.5, 0.5]), np.array([0.0, np.log(3)]), beta=0.5).round(6).tolist()
    [0.1, 0.9]

    O(K). Rafailov et al. 2023, equation 4 and appendix A.1. ValueError: β ≤ 0, a negative ref, or as softmax.
    """
    _check_beta(beta)
    return softmax(_tilted(ref, reward, beta))


def optimal_policy_vjp(
    ref: Float[Array, "*B K"], reward: Float[Array, "*B K"], beta: float, dp: Float[Array, "*B K"]
) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"]]:
    """(exp(r / β) / Z, π* / β) (dp - Σ_y π*_y dp_y)."""
    z = _tilted(ref, reward, beta)
    p = softmax(z)
    centered = dp - (p * dp).sum(-1, keepdims=True)
    return np.exp(reward / beta - log_sum_exp(z)[..., None]) * centered, p / beta * centered


def best_of_n(p: Float[Array, "K"], reward: Float[Array, "K"], n: int) -> Float[Array, "K"]:
    """The distribution of the best of n draws: π_n(y) = p_y (F(r_y)ⁿ - F(r_y⁻)ⁿ) / P(r = r_y), where F is r's under p.

    Draws of equal reward are as likely as each other to be taken, as when the first of them is. π_n is piecewise
    constant in the rewards.

    >>> best_of_n(np.array([0.5, 0.25, 0.25]), np.array([0.0, 1.0, 1.0]), 2).tolist()
    [0.25, 0.375, 0.375]

    O(K log K). Beirami et al. 2025, section 2, here with ties. ValueError: n < 1, or p is no distribution.
    """
    _check_draws(p, n)
    rank = np.unique(reward, return_inverse=True)[1]
    mass = np.bincount(rank, p)
    below = np.concatenate([[0.0], mass.cumsum()])
    won = np.diff(np.minimum(below, 1) ** n)
    return p * (won / np.where(mass > 0, mass, 1))[rank]


def best_of_n_kl(p: Float[Array, "K"], reward: Float[Array, "K"], n: int) -> float:
    """KL(π_n‖p), exactly: how far best-of-n moves from p. It never exceeds best_of_n_kl_bound.

    >>> round(best_of_n_kl(np.array([0.5, 0.5]), np.array([0.0, 1.0]), 2), 4)
    0.1308

    O(K log K). Beirami et al. 2025, section 3. ValueError: as best_of_n.
    """
    won = best_of_n(p, reward, n)
    return float(kl(won / won.sum(), p))


def best_of_n_kl_bound(n: int) -> float:
    """log n - (n - 1) / n: equal to KL(π_n‖p) where no two draws ever tie, and above it otherwise.

    >>> best_of_n_kl_bound(1), round(best_of_n_kl_bound(16), 4)
    (0.0, 1.8351)

    O(1). Stiennon et al. 2020, appendix G.3; a bound: Beirami et al. 2025, theorem 3.1. ValueError: n < 1.
    """
    if n < 1:
        raise ValueError(f"n = {n} draws must be 1 or more")
    return float(np.log(n) - (n - 1) / n)


def expected_best_of_n(p: Float[Array, "K"], reward: Float[Array, "K"], n: int) -> Float[Array, ""]:
    """E[max of n rewards] = Σ_y π_n(y) r_y.

    >>> [float(expected_best_of_n(np.array([0.5, 0.5]), np.array([0.0, 1.0]), n)) for n in (1, 2, 3)]
    [0.5, 0.75, 0.875]

    O(K log K). David and Nagaraja 2003, section 2.1 and 3.1. ValueError: as best_of_n.
    """
    return (best_of_n(p, reward, n) * reward).sum()


def expected_best_of_n_vjp(
    p: Float[Array, "K"], reward: Float[Array, "K"], n: int, dy: Float[Array, ""]
) -> tuple[Float[Array, "K"], Float[Array, "K"]]:
    """With r_1 ≤ ... ≤ r_K: (n (r_K F_Kⁿ⁻¹ - Σ_{j≥y} F_jⁿ⁻¹ (r_{j+1} - r_j)), π_n) dy, each p_y taken as free."""
    order = np.argsort(reward)
    power = p[order].cumsum() ** (n - 1)
    lost = power[:-1] * np.diff(reward[order])
    dp = np.empty_like(p)
    dp[order] = n * (reward[order[-1]] * power[-1] - np.append(lost[::-1].cumsum()[::-1], 0.0))
    return dp * dy, best_of_n(p, reward, n) * dy


def _tilted(ref: Array, reward: Array, beta: float) -> Array:
    if not (ref >= 0).all():
        raise ValueError("probabilities must be 0 or more")
    with np.errstate(divide="ignore"):  # what ref rules out stays ruled out
        return np.log(ref) + reward / beta


def _check_beta(beta: float) -> None:
    if not beta > 0:
        raise ValueError(f"beta = {beta} must be above 0")


def _check_draws(p: Array, n: int) -> None:
    if n < 1:
        raise ValueError(f"n = {n} draws must be 1 or more")
    if not is_distribution(p):
        raise ValueError("probabilities must be 0 or more and sum to 1; divide by their sum")
