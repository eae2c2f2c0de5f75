"""Comparisons and best-of-N against torch, SciPy's optimizer, and every outcome of every draw."""

import itertools

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import torch
import torch.nn.functional as F
from against import check_vjp, close
from batched import check_batched

from clearhead.reference.preference import (
    best_of_n,
    best_of_n_kl,
    best_of_n_kl_bound,
    dpo_loss,
    dpo_loss_vjp,
    expected_best_of_n,
    expected_best_of_n_vjp,
    implicit_reward,
    implicit_reward_vjp,
    optimal_policy,
    optimal_policy_vjp,
    preference_probability,
    preference_probability_vjp,
    regularized_reward,
    regularized_reward_vjp,
    reward_loss,
    reward_loss_vjp,
)
from clearhead.reference.softmax import kl

RNG = np.random.default_rng(5)  # apart from the cotangents of check_vjp
A, B, C, D = RNG.normal(size=(4, 7)) * 2
P, REF = RNG.dirichlet(np.ones(5), 3), RNG.dirichlet(np.ones(5), 3)
REWARD = RNG.normal(size=(3, 5))
FAR = np.array([1e4, -1e4, 0.0])


def test_losses_and_gradients() -> None:
    check_vjp(preference_probability, preference_probability_vjp, A, B, peer=lambda a, b: (a - b).sigmoid())
    check_vjp(reward_loss, reward_loss_vjp, A, B, peer=lambda a, b: -F.logsigmoid(a - b))
    check_vjp(implicit_reward, implicit_reward_vjp, A, B, 0.3, peer=lambda a, b, beta: beta * (a - b))
    check_vjp(
        dpo_loss,
        dpo_loss_vjp,
        *(A, B, C, D, 0.3),
        peer=lambda a, b, ref_a, ref_b, beta: -F.logsigmoid(beta * ((a - b) - (ref_a - ref_b))),
    )
    close(preference_probability(A, B), scipy.special.expit(A - B))
    check_vjp(
        optimal_policy,
        optimal_policy_vjp,
        REF,
        REWARD,
        0.5,
        peer=lambda ref, r, beta: (ref * (r / beta).exp()) / (ref * (r / beta).exp()).sum(-1, keepdim=True),
    )


def test_gradients_on_the_simplex() -> None:
    """Against torch alone: off the simplex p is no distribution, so differences do not apply."""
    p, ref, r = (torch.tensor(x, requires_grad=True) for x in (P, REF, REWARD))
    dy = np.array([1.0, -2.0, 0.5])
    value = (p * r).sum(-1) - 0.3 * (p * (p / ref).log()).sum(-1)
    close(regularized_reward(P, REF, REWARD, 0.3), value.detach().numpy())
    theirs = torch.autograd.grad(value, [p, ref, r], torch.tensor(dy))
    for got, want in zip(regularized_reward_vjp(P, REF, REWARD, 0.3, dy), theirs, strict=True):
        close(got, want.numpy())

    p, r = p[0], r[0]
    order = r.argsort()
    F_ = p[order].cumsum(0)
    best = ((F_**4 - torch.cat([torch.zeros(1), F_[:-1]]) ** 4) * r[order]).sum()
    close(expected_best_of_n(P[0], REWARD[0], 4), best.detach().numpy())
    theirs = torch.autograd.grad(best, [p, r])
    for got, want in zip(expected_best_of_n_vjp(P[0], REWARD[0], 4, np.array(1.0)), theirs, strict=True):
        close(got, want.numpy())
    twice = expected_best_of_n_vjp(P[0], REWARD[0], 4, np.array(2.0))
    close(twice[0], 2 * theirs[0].numpy())
    close(twice[1], 2 * theirs[1].numpy())


def test_any_number_of_batch_axes() -> None:
    dy = np.array([1.0, -2.0, 0.5])
    check_batched(lambda p, ref, r: regularized_reward(p, ref, r, 0.3), P, REF, REWARD)
    check_batched(lambda p, ref, r, dy: regularized_reward_vjp(p, ref, r, 0.3, dy), P, REF, REWARD, dy)
    check_batched(lambda ref, r: optimal_policy(ref, r, 0.3), REF, REWARD)
    check_batched(lambda ref, r, dp: optimal_policy_vjp(ref, r, 0.3, dp), REF, REWARD, P)


def test_far_out_nothing_overflows() -> None:
    assert reward_loss(FAR, -FAR).tolist() == [0, 2e4, np.log(2)]
    assert preference_probability(FAR, -FAR).tolist() == [1, 0, 0.5]
    assert [g.tolist() for g in reward_loss_vjp(FAR, -FAR, np.ones(3))] == [[0, -1, -0.5], [0, 1, 0.5]]
    assert dpo_loss(FAR, -FAR, -FAR, FAR, 1.0).tolist() == [0, 4e4, np.log(2)]
    assert optimal_policy(np.ones(3) / 3, FAR, 0.01).tolist() == [1, 0, 0]


def test_only_the_difference_of_rewards_matters() -> None:
    close(reward_loss(A + 5, B + 5), reward_loss(A, B))
    close(preference_probability(A, B) + preference_probability(B, A), np.ones(7))


def test_the_optimal_policy_is_the_maximum() -> None:
    beta = 0.7
    best = optimal_policy(REF, REWARD, beta)
    top = regularized_reward(best, REF, REWARD, beta)
    close(top, beta * np.log((REF * np.exp(REWARD / beta)).sum(-1)))
    for other in (P, REF):
        close(top - regularized_reward(other, REF, REWARD, beta), beta * kl(other, best), 1e-11)
    found = scipy.optimize.minimize(
        lambda z: -float(regularized_reward(scipy.special.softmax(z), REF[0], REWARD[0], beta)), np.zeros(5), tol=1e-12
    )
    close(scipy.special.softmax(found.x), best[0], 1e-5)  # a minimum to a tolerance in its gradient
    close(optimal_policy(REF, REWARD, 1e6), REF, 1e-5)  # β → ∞ stays at ref, up to r / β
    assert (optimal_policy(REF, REWARD, 1e-4).argmax(-1) == REWARD.argmax(-1)).all()
    assert regularized_reward(np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([0.0, 2.0]), 0.0) == 2
    assert regularized_reward(np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([0.0, 2.0]), 0.1) == -np.inf


def test_implicit_rewards_give_the_reward_back() -> None:
    """Up to a constant of the prompt, so that DPO's loss at π* is the reward loss of the true reward."""
    beta = 0.7
    best = optimal_policy(REF, REWARD, beta)
    back = implicit_reward(np.log(best), np.log(REF), beta)
    close(back - back[:, :1], REWARD - REWARD[:, :1])
    p, ref = np.log(best), np.log(REF)
    close(dpo_loss(p[:, 1], p[:, 4], ref[:, 1], ref[:, 4], beta), reward_loss(REWARD[:, 1], REWARD[:, 4]))


def test_what_the_reference_rules_out() -> None:
    ref = np.array([0.5, 0.5, 0.0])
    reward = np.array([0.0, 0.0, 9.0])
    assert optimal_policy(ref, reward, 1.0).tolist() == [0.5, 0.5, 0]
    dref, dreward = optimal_policy_vjp(ref, reward, 1.0, np.array([0.0, 0.0, 1.0]))
    close(dref[2], np.exp(9.0))
    assert dreward[2] == 0


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("reward", [[0.1, -2.0, 3.0], [1.0, 0.0, 1.0], [5.0, 5.0, 5.0]])
def test_best_of_n_by_all_draws(reward: list[float], n: int) -> None:
    p = np.array([0.2, 0.5, 0.3])
    want = np.zeros(3)
    for draws in itertools.product(range(3), repeat=n):
        want[max(draws, key=lambda y: reward[y])] += p[list(draws)].prod()  # the first of equals
    got = best_of_n(p, np.array(reward), n)
    close(got, want)
    close(best_of_n_kl(p, np.array(reward), n), scipy.stats.entropy(want, p))
    close(expected_best_of_n(p, np.array(reward), n), want @ np.array(reward))


def test_the_kl_of_best_of_n_is_bounded() -> None:
    for n in (1, 2, 5, 40, 1000):
        assert best_of_n_kl(P[0], REWARD[0], n) <= best_of_n_kl_bound(n) + 1e-12
    fine = np.full(20_000, 1 / 20_000)
    for n in (2, 8):  # draws hardly ever tie: the bound is met, up to n² / 20,000 or so
        close(best_of_n_kl(fine, np.arange(20_000.0), n), best_of_n_kl_bound(n), 1e-3)
        assert best_of_n_kl(fine, np.arange(20_000.0), n) < best_of_n_kl_bound(n)
    u = scipy.stats.beta(8, 1)  # the largest of 8 uniform numbers, whose KL from the uniform is minus its entropy
    close(best_of_n_kl_bound(8), -u.entropy())
    coin = np.array([0.5, 0.5])
    assert best_of_n_kl(coin, np.array([0.0, 1.0]), 10_000) <= np.log(2) < best_of_n_kl_bound(10_000)
    close(best_of_n_kl_bound(4), np.log(4) - 0.75)


def test_the_expected_best_of_n() -> None:
    k = np.arange(1.0, 7.0)
    dice = np.full(6, 1 / 6)
    close(expected_best_of_n(dice, k, 2), 161 / 36)  # the larger of two dice
    close(expected_best_of_n(dice, k, 3), 6 - sum((j / 6) ** 3 for j in range(1, 6)))
    assert expected_best_of_n(dice, k, 1) == pytest.approx(3.5)
    assert expected_best_of_n(dice, k, 5000) == pytest.approx(6)
    assert best_of_n(np.array([0.0, 1.0]), np.array([9.0, 1.0]), 3).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reward_loss(np.array([np.nan]), np.array([0.0])), "finite"),
        (lambda: reward_loss(np.array([0.0]), np.array([np.inf])), "finite"),
        (lambda: dpo_loss(A, B, C, D, 0.0), "beta = 0.0"),
        (lambda: implicit_reward(A, B, -0.1), "beta = -0.1"),
        (lambda: optimal_policy(REF, REWARD, 0.0), "beta = 0.0"),
        (lambda: optimal_policy(-REF, REWARD, 1.0), "0 or more"),
        (lambda: regularized_reward(P, REF, REWARD, -1.0), "beta = -1.0"),
        (lambda: regularized_reward(P * 2, REF, REWARD, 1.0), "sum to 1"),
        (lambda: best_of_n(P[0], REWARD[0], 0), "n = 0"),
        (lambda: best_of_n(P[0] * 2, REWARD[0], 2), "sum to 1"),
        (lambda: best_of_n_kl_bound(0), "n = 0"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
