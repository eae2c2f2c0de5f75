"""Returns, advantages and policy gradients against SciPy, torch, and all actions written out."""

import numpy as np
import pytest
import scipy.signal
import torch
from against import check_vjp, close
from batched import check_batched

from clearhead.reference.policy import (
    discounted_returns,
    discounted_returns_vjp,
    expected_reward,
    expected_reward_vjp,
    gae,
    gae_vjp,
    gradient_bandit,
    policy_gradient_loss,
    policy_gradient_loss_vjp,
    reinforce,
    td_error,
    td_error_vjp,
)
from clearhead.reference.softmax import softmax

RNG = np.random.default_rng(5)  # apart from the cotangents of check_vjp
R, V = RNG.normal(size=(2, 6)), RNG.normal(size=(2, 7))
Z, WORTH = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))


def weights(T: int, rate: float) -> torch.Tensor:
    """rate^(later - earlier) where later ≥ earlier, else 0."""
    gap = torch.arange(T) - torch.arange(T)[:, None]
    return torch.where(gap >= 0, torch.tensor(rate, dtype=torch.float64) ** gap.clamp(min=0), 0.0)


def torch_gae(r, v, gamma, lam):
    return (r + gamma * v[..., 1:] - v[..., :-1]) @ weights(6, gamma * lam).T


def test_values_and_gradients() -> None:
    check_vjp(discounted_returns, discounted_returns_vjp, R, 0.9, peer=lambda r, g: r @ weights(6, g).T)
    check_vjp(td_error, td_error_vjp, R, V, 0.9, peer=lambda r, v, g: r + g * v[..., 1:] - v[..., :-1])
    check_vjp(gae, gae_vjp, R, V, 0.9, 0.8, peer=torch_gae)
    check_vjp(policy_gradient_loss, policy_gradient_loss_vjp, R, V[:, 1:], peer=lambda lp, a: -a * lp)
    check_vjp(expected_reward, expected_reward_vjp, Z, WORTH, peer=lambda z, r: (z.softmax(-1) * r).sum(-1))


def test_any_number_of_batch_axes() -> None:
    check_batched(lambda r: discounted_returns(r, 0.9), R)
    check_batched(lambda r, v: gae(r, v, 0.9, 0.8), R, V)
    check_batched(lambda r, v, da: gae_vjp(r, v, 0.9, 0.8, da), R, V, R)
    check_batched(expected_reward, Z, WORTH)
    check_batched(expected_reward_vjp, Z, WORTH, Z[:, 0])
    check_batched(reinforce, Z, np.array([0, 3, 1]), WORTH[:, 0], WORTH[:, 1])


def test_returns_are_a_filter_run_backwards() -> None:
    close(discounted_returns(R, 0.95), scipy.signal.lfilter([1], [1, -0.95], R[:, ::-1])[:, ::-1])
    assert discounted_returns(R, 0.0).tolist() == R.tolist()
    close(discounted_returns(R, 1.0)[:, 0], R.sum(-1))
    assert discounted_returns(np.zeros((2, 0)), 0.5).shape == (2, 0)


def test_gae_at_its_ends() -> None:
    ended = np.concatenate([V[:, :-1], np.zeros((2, 1))], -1)
    assert gae(R, ended, 0.9, 0.0).tolist() == td_error(R, ended, 0.9).tolist()
    close(gae(R, ended, 0.9, 1.0), discounted_returns(R, 0.9) - ended[:, :-1])
    truth = np.concatenate([discounted_returns(R, 0.9), np.zeros((2, 1))], -1)
    for lam in (0.0, 0.5, 1.0):  # a value function that is right leaves no advantage
        assert np.abs(gae(R, truth, 0.9, lam)).max() < 1e-14
    # (1 - λ) Σ λⁿ⁻¹ (n-step advantage), the definition that the recursion sums up
    G, lam = 0.9, 0.7
    v = V[0]
    step = [sum(G**k * R[0, k] for k in range(n)) + G**n * v[n] - v[0] for n in range(1, 7)]
    mixed = (1 - lam) * sum(lam ** (n - 1) * step[n - 1] for n in range(1, 6)) + lam**5 * step[5]
    close(gae(R, V, G, lam)[0, 0], mixed)


def test_reinforce_is_unbiased_for_every_baseline() -> None:
    z, reward = Z[0], WORTH[0]
    p = softmax(z)
    exact = expected_reward_vjp(z, reward, np.array(1.0))[0]
    actions = np.arange(4)
    spreads = []
    for baseline in (0.0, float(expected_reward(z, reward)), -7.0):
        each = reinforce(np.tile(z, (4, 1)), actions, reward, np.full(4, baseline))
        close(p @ each, exact)
        spreads.append(p @ ((each - exact) ** 2).sum(-1))
    assert spreads[1] < spreads[0] < spreads[2]
    # and it is minus the loss's gradient through log softmax
    t = torch.tensor(z, requires_grad=True)
    (theirs,) = torch.autograd.grad(-(1.5 - 0.5) * t.log_softmax(-1)[2], [t])
    close(reinforce(z, np.array(2), np.array(1.5), np.array(0.5)), -theirs.numpy())


def test_a_baseline_that_depends_on_the_action_is_biased() -> None:
    z, reward = Z[0], WORTH[0]
    each = reinforce(np.tile(z, (4, 1)), np.arange(4), reward, 0.5 * reward)
    close(softmax(z) @ each, 0.5 * expected_reward_vjp(z, reward, np.array(1.0))[0])


def test_the_bandit_learns_the_best_arm() -> None:
    noise = np.random.default_rng(1)
    means = [0.2, 0.5, 0.8]
    p = gradient_bandit(lambda arm: means[arm] + 0.3 * noise.normal(), 3, 3000, 0.2, np.random.default_rng(0))
    assert p.shape == (3000, 3)
    close(p.sum(-1), np.ones(3000))
    assert p[-1, 2] > 0.95
    assert p[:1000, 2].mean() < p[-1000:, 2].mean()


def test_the_bandit_step_by_step() -> None:
    """The first step only sets the baseline; from then on z moves by rate (r - mean of earlier r) (onehot - p)."""
    rewards = iter([1.0, 3.0, 8.0])
    pulled = []

    def pull(arm: int) -> float:
        pulled.append(arm)
        return next(rewards)

    policies = gradient_bandit(pull, 2, 3, 0.1, np.random.default_rng(3))
    z, p = np.zeros(2), [np.array([0.5, 0.5])]
    for arm, gain in zip(pulled, [0.0, 3.0 - 1.0, 8.0 - 2.0], strict=True):
        z = z + 0.1 * gain * (np.eye(2)[arm] - p[-1])
        p.append(np.exp(z) / np.exp(z).sum())
    close(policies, p[1:])
    assert gradient_bandit(lambda arm: 0.0, 2, 0, 0.1, RNG).shape == (0, 2)
    assert gradient_bandit(float, 2, 5, 0.0, RNG).tolist() == [[0.5, 0.5]] * 5
    assert gradient_bandit(lambda arm: 5.0, 1, 2, 0.1, RNG).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: discounted_returns(R, 1.1), "gamma = 1.1"),
        (lambda: discounted_returns(R, -0.1), "gamma = -0.1"),
        (lambda: td_error(R, V, 2.0), "gamma = 2.0"),
        (lambda: gae(R, V, 0.9, 1.5), "lam = 1.5"),
        (lambda: gae(R, V, 1.5, 0.5), "gamma = 1.5"),
        (lambda: reinforce(Z, np.array([0, 4, 1]), np.zeros(3), np.zeros(3)), "0 to 3"),
        (lambda: reinforce(Z, np.array([0, -1, 1]), np.zeros(3), np.zeros(3)), "0 to 3"),
        (lambda: gradient_bandit(lambda arm: 0.0, 0, 1, 0.1, RNG), "0 arms"),
        (lambda: gradient_bandit(lambda arm: 0.0, 1, -1, 0.1, RNG), "-1 steps"),
        (lambda: gradient_bandit(lambda arm: 0.0, 1, 1, -0.1, RNG), "rate -0.1"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
