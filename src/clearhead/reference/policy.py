"""Learning from rewards: returns and advantages, the policy gradient, and a bandit that learns by it.

The losses of language models that are built on these stand in ppo.py. Functions are differentiated in all their
arguments; training holds advantages and rewards constant.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from clearhead.reference import Array
from clearhead.reference.softmax import softmax, softmax_vjp


def discounted_returns(reward: Float[Array, "*B T"], gamma: float) -> Float[Array, "*B T"]:
    """G_t = r_t + γ G_{t+1} = Σ_k γᵏ r_{t+k}, nothing being paid after the last step.

    >>> discounted_returns(np.array([1.0, 0.0, 4.0]), 0.5).tolist()
    [2.0, 2.0, 4.0]

    O(T). Sutton and Barto 2018, equations 3.8 and 3.9. ValueError: γ outside [0, 1].
    """
    _check_share("gamma", gamma)
    returns = np.zeros_like(reward)
    later = np.zeros(reward.shape[:-1])
    for t in reversed(range(reward.shape[-1])):
        later = reward[..., t] + gamma * later
        returns[..., t] = later
    return returns


def discounted_returns_vjp(
    reward: Float[Array, "*B T"], gamma: float, dg: Float[Array, "*B T"]
) -> Float[Array, "*B T"]:
    """dr_t = dG_t + γ dr_{t-1}: the same sum, from the other end."""
    return discounted_returns(dg[..., ::-1], gamma)[..., ::-1]


def td_error(reward: Float[Array, "*B T"], value: Float[Array, "*B T+1"], gamma: float) -> Float[Array, "*B T"]:
    """δ_t = r_t + γ V(s_{t+1}) - V(s_t); the last value is 0 where the episode is over.

    >>> td_error(np.array([1.0, 2.0]), np.array([3.0, 4.0, 0.0]), 0.5).tolist()
    [0.0, -2.0]

    O(T). Sutton and Barto 2018, equation 6.5. ValueError: γ outside [0, 1].
    """
    _check_share("gamma", gamma)
    return reward + gamma * value[..., 1:] - value[..., :-1]


def td_error_vjp(
    reward: Float[Array, "*B T"], value: Float[Array, "*B T+1"], gamma: float, dd: Float[Array, "*B T"]
) -> tuple[Float[Array, "*B T"], Float[Array, "*B T+1"]]:
    """dr_t = dδ_t, dV_t = γ dδ_{t-1} - dδ_t."""
    dv = np.zeros_like(value)
    dv[..., 1:] += gamma * dd
    dv[..., :-1] -= dd
    return dd, dv


def gae(reward: Float[Array, "*B T"], value: Float[Array, "*B T+1"], gamma: float, lam: float) -> Float[Array, "*B T"]:
    """Â_t = Σ_l (γλ)ˡ δ_{t+l}: λ = 0 trusts the value function after one step, λ = 1 only what was paid, G_t - V(s_t).

    >>> gae(np.array([1.0, 2.0]), np.array([3.0, 4.0, 0.0]), gamma=0.5, lam=1.0).tolist()
    [-1.0, -2.0]

    O(T). Schulman et al. 2016, equation 16. ValueError: γ or λ outside [0, 1].
    """
    _check_share("lam", lam)
    return discounted_returns(td_error(reward, value, gamma), gamma * lam)


def gae_vjp(
    reward: Float[Array, "*B T"], value: Float[Array, "*B T+1"], gamma: float, lam: float, da: Float[Array, "*B T"]
) -> tuple[Float[Array, "*B T"], Float[Array, "*B T+1"]]:
    """dδ_t = Σ_l (γλ)ˡ dÂ_{t-l}, then as td_error."""
    return td_error_vjp(reward, value, gamma, discounted_returns_vjp(reward, gamma * lam, da))


def policy_gradient_loss(log_p: Float[Array, "*B"], advantage: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """-Â log π(a|s): no measure of how good π is; its gradient, on π's own actions, is what is meant.

    >>> policy_gradient_loss(np.array([-2.0, -1.0]), np.array([1.5, -1.0])).tolist()
    [3.0, -1.0]

    O(1). Williams 1992, section 5; Schulman et al. 2017, equation 2.
    """
    return -advantage * log_p


def policy_gradient_loss_vjp(
    log_p: Float[Array, "*B"], advantage: Float[Array, "*B"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """(-Â, -log π) dy."""
    return -advantage * dy, -log_p * dy


def expected_reward(z: Float[Array, "*B K"], reward: Float[Array, "*B K"]) -> Float[Array, "*B"]:
    """J(z) = Σ_a softmax(z)_a r_a: what a softmax policy over K actions earns.

    >>> float(expected_reward(np.zeros(2), np.array([0.0, 1.0])))
    0.5

    O(K). Sutton and Barto 2018, section 2.8. ValueError: as softmax.
    """
    return (softmax(z) * reward).sum(-1)


def expected_reward_vjp(
    z: Float[Array, "*B K"], reward: Float[Array, "*B K"], dy: Float[Array, "*B"]
) -> tuple[Float[Array, "*B K"], Float[Array, "*B K"]]:
    """(p (r - J), p) dy: the policy gradient without sampling."""
    return softmax_vjp(z, reward * dy[..., None]), softmax(z) * dy[..., None]


def reinforce(
    z: Float[Array, "*B K"], action: Int[Array, "*B"], reward: Float[Array, "*B"], baseline: Float[Array, "*B"]
) -> Float[Array, "*B K"]:
    """(r - b) ∂ log π(a) / ∂z = (r - b) (onehot(a) - p): the policy gradient from one action drawn from π.

    Its mean is ∂J / ∂z for every b that does not depend on the action, since Σ_a p_a ∂ log p_a = ∂ Σ_a p_a = 0.

    >>> reinforce(np.zeros(2), np.array(1), np.array(3.0), baseline=np.array(1.0)).tolist()
    [-1.0, 1.0]

    O(K). Williams 1992, theorem 1. ValueError: an action that is none of the K, or as softmax.
    """
    if not ((action >= 0) & (action < z.shape[-1])).all():
        raise ValueError(f"actions run from {action.min()} to {action.max()}; they must be 0 to {z.shape[-1] - 1}")
    taken = np.arange(z.shape[-1]) == action[..., None]
    return (reward - baseline)[..., None] * (taken - softmax(z))


def gradient_bandit(
    pull: Callable[[int], float], arms: int, steps: int, rate: float, rng: np.random.Generator
) -> Float[Array, "N arms"]:
    """Climb by reinforce from the uniform policy, earlier rewards' mean as baseline: the policy after each step.

    >>> p = gradient_bandit(lambda arm: [0.0, 1.0, 0.5][arm], 3, 400, 0.5, np.random.default_rng(0))
    >>> bool(p[-1, 1] > 0.95), p.shape
    (True, (400, 3))

    O(steps · K). Sutton and Barto 2018, equation 2.12. ValueError: no arms, negative steps or rate.
    """
    if arms < 1 or steps < 0 or not rate >= 0:
        raise ValueError(f"{arms} arms must be 1 or more; {steps} steps and rate {rate} must be 0 or more")
    z, baseline = np.zeros(arms), 0.0
    policies = np.zeros((steps, arms))
    for n in range(steps):
        action = rng.choice(arms, p=softmax(z))
        reward = float(pull(int(action)))
        if n == 0:
            baseline = reward
        z = z + rate * reinforce(z, np.asarray(action), np.asarray(reward), np.asarray(baseline))
        baseline += (reward - baseline) / (n + 1)
        policies[n] = softmax(z)
    return policies


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} = {share} must be between 0 and 1")
