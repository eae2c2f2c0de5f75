"""PPO, the KL estimates and GRPO against torch, and against exact expectations over all actions."""

import numpy as np
import pytest
import torch
from against import check_vjp, close
from batched import check_batched

from clearhead.reference.ppo import (
    group_advantages,
    group_advantages_vjp,
    grpo_loss,
    grpo_loss_vjp,
    kl_k1,
    kl_k1_vjp,
    kl_k2,
    kl_k2_vjp,
    kl_k3,
    kl_k3_vjp,
    penalized_reward,
    penalized_reward_vjp,
    ppo_loss,
    ppo_loss_vjp,
    shaped_reward,
    shaped_reward_vjp,
)
from clearhead.reference.softmax import kl, log_softmax, log_softmax_vjp, softmax

RNG = np.random.default_rng(5)  # apart from the cotangents of check_vjp
LOG_P, LOG_OLD, LOG_REF = -RNG.exponential(size=(3, 2, 3, 4))
A = RNG.normal(size=(2, 3, 4))
GROUP = RNG.normal(size=(2, 3))
WRITTEN = np.array([[[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], [[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]], bool)


def torch_ppo(log_p, log_old, a, epsilon):
    ratio = (log_p - log_old).exp()
    return -torch.minimum(ratio * a, ratio.clamp(1 - epsilon, 1 + epsilon) * a)


def torch_k3(log_p, log_ref):
    return (log_ref - log_p).exp() - 1 - (log_ref - log_p)


def torch_grpo(log_p, log_old, log_ref, a, written, epsilon, beta):
    each = torch_ppo(log_p, log_old, a[..., None], epsilon) + beta * torch_k3(log_p, log_ref)
    return ((each * written).sum(-1) / written.sum(-1).clamp(min=1)).mean(-1)


def test_values_and_gradients() -> None:
    check_vjp(ppo_loss, ppo_loss_vjp, LOG_P, LOG_OLD, A, 0.2, peer=torch_ppo)
    check_vjp(kl_k1, kl_k1_vjp, LOG_P, LOG_REF, peer=lambda p, q: p - q)
    check_vjp(kl_k2, kl_k2_vjp, LOG_P, LOG_REF, peer=lambda p, q: 0.5 * (p - q) ** 2)
    check_vjp(kl_k3, kl_k3_vjp, LOG_P, LOG_REF, peer=torch_k3)
    check_vjp(
        group_advantages,
        group_advantages_vjp,
        GROUP,
        peer=lambda r: (r - r.mean(-1, keepdim=True)) / r.std(-1, keepdim=True, correction=0),
    )
    check_vjp(
        lambda r: group_advantages(r, 1, 0.1),
        lambda r, da: group_advantages_vjp(r, da, 1, 0.1),
        GROUP,
        peer=lambda r: (r - r.mean(-1, keepdim=True)) / (r.std(-1, keepdim=True) + 0.1),
    )
    check_vjp(grpo_loss, grpo_loss_vjp, LOG_P, LOG_OLD, LOG_REF, GROUP, WRITTEN, 0.2, 0.3, peer=torch_grpo)

    def torch_penalized(score, p, q, beta):
        last = torch.zeros(4, dtype=torch.float64)
        last[-1] = 1
        return -beta * (p - q) + score[..., None] * last

    def torch_shaped(r, potential, gamma):
        later = torch.cat([potential[..., 1:], torch.zeros_like(potential[..., :1])], -1)
        return r + gamma * later - potential

    check_vjp(shaped_reward, shaped_reward_vjp, LOG_P, LOG_REF, 0.9, peer=torch_shaped)
    check_vjp(penalized_reward, penalized_reward_vjp, GROUP, LOG_P, LOG_REF, 0.3, peer=torch_penalized)


def test_any_number_of_batch_axes() -> None:
    check_batched(group_advantages, GROUP)
    check_batched(group_advantages_vjp, GROUP, A[..., 0])
    check_batched(lambda s, p, q: penalized_reward(s, p, q, 0.3), GROUP[:, 0], LOG_P[:, 0], LOG_REF[:, 0])
    check_batched(
        lambda s, p, q, dr: penalized_reward_vjp(s, p, q, 0.3, dr), GROUP[:, 0], LOG_P[:, 0], LOG_REF[:, 0], A[:, 0]
    )
    grpo = (LOG_P, LOG_OLD, LOG_REF, GROUP, WRITTEN)
    check_batched(lambda *args: grpo_loss(*args, 0.2, 0.3), *grpo)
    check_batched(lambda *args: grpo_loss_vjp(*args[:-1], 0.2, 0.3, args[-1]), *grpo, GROUP[:, 0])


def test_shaping_leaves_the_discounted_sum_but_for_a_constant() -> None:
    """Ng et al. 1999, theorem 1: Σ γ^t F_t = -Φ(s_0), so every answer's return moves by the same amount."""
    rng = np.random.default_rng(0)
    reward, potential = rng.normal(size=(2, 5, 7))
    weight = 0.9 ** np.arange(7)
    potential[:, 0] = 0.3
    gap = ((shaped_reward(reward, potential, 0.9) - reward) * weight).sum(-1)
    close(gap, np.full(5, -0.3))


def test_clipping_takes_the_gain_and_leaves_the_loss() -> None:
    """The eight cases of ρ below, inside (twice) and above the interval, for a positive and a negative advantage."""
    ratio = np.array([0.5, 0.9, 1.1, 1.5] * 2)
    advantage = np.repeat([2.0, -2.0], 4)
    close(ppo_loss(np.log(ratio), np.zeros(8), advantage, 0.2), [-1, -1.8, -2.2, -2.4, 1.6, 1.8, 2.2, 3])
    slope = ppo_loss_vjp(np.log(ratio), np.zeros(8), advantage, 0.2, np.ones(8))[0]
    close(slope, [-1, -1.8, -2.2, 0, 0, 1.8, 2.2, 3])


def test_at_the_start_ppo_is_the_policy_gradient() -> None:
    da, dold, _ = ppo_loss_vjp(LOG_P, LOG_P, A, 0.2, np.ones_like(A))
    assert da.tolist() == (-A).tolist() and dold.tolist() == A.tolist()
    still = np.zeros((2, 3, 4))
    assert ppo_loss_vjp(LOG_P, LOG_P, A, 0.0, np.ones_like(A))[0].tolist() == (-A).tolist()
    assert ppo_loss(LOG_P, LOG_OLD, still, 0.2).tolist() == still.tolist()


def test_far_out_nothing_is_nan() -> None:
    log_p, log_old = np.array([0.0, 0.0, 0.0, -1e4]), np.array([-1e4, -1e4, -1e4, 0.0])
    a = np.array([1.0, -1.0, 0.0, 1.0])
    assert ppo_loss(log_p, log_old, a, 0.2).tolist() == [-1.2, np.inf, 0, 0]
    dp, _, da = ppo_loss_vjp(log_p, log_old, a, 0.2, np.ones(4))
    assert dp.tolist() == [0, np.inf, 0, 0]
    assert da.tolist() == [-1.2, -np.inf, -1.2, 0]
    assert kl_k3(log_p, log_old)[0] == 9999 and kl_k3(log_p, log_old)[3] == np.inf
    assert [g.tolist() for g in kl_k3_vjp(log_p[2:], log_old[2:], np.array([1.0, 0.0]))] == [[1, 0], [-1, 0]]
    assert kl_k3(np.array(-1.0), np.array(-1.0 - 1e-9)) == pytest.approx(5e-19, rel=1e-6)  # where exp would round


def test_three_estimates_of_the_kl_and_their_gradients() -> None:
    """All actions weighted by π: what sampling gives on average. `frozen` is the gradient with samples held fixed."""
    rng = np.random.default_rng(1)
    z, ref = rng.normal(size=5), log_softmax(rng.normal(size=5))
    log_p, p = log_softmax(z), softmax(z)
    true = kl(p, np.exp(ref))
    close(p @ kl_k1(log_p, ref), true)
    close(p @ kl_k3(log_p, ref), true)
    assert abs(p @ kl_k2(log_p, ref) - true) > 0.01 * true
    near = log_softmax(z + 1e-3 * rng.normal(size=5))
    close(p @ kl_k2(log_p, near), kl(p, np.exp(near)), 0.01)
    assert (kl_k3(log_p, ref) > 0).all() and (kl_k2(log_p, ref) > 0).all() and (kl_k1(log_p, ref) < 0).any()

    def frozen(vjp) -> np.ndarray:
        return log_softmax_vjp(z, vjp(log_p, ref, p)[0])

    t, q = torch.tensor(z, requires_grad=True), torch.tensor(ref)
    reverse = (t.softmax(-1) * (t.log_softmax(-1) - q)).sum()
    forward = (q.exp() * (q - t.log_softmax(-1))).sum()
    (to_reverse,), (to_forward,) = torch.autograd.grad(reverse, [t]), torch.autograd.grad(forward, [t])
    assert np.abs(frozen(kl_k1_vjp)).max() < 1e-14
    close(frozen(kl_k2_vjp), to_reverse.numpy())
    close(frozen(kl_k3_vjp), to_forward.numpy())
    assert (to_forward - to_reverse).abs().max() > 0.01


def test_group_advantages() -> None:
    a = group_advantages(GROUP)
    close(a.mean(-1) + 1, np.ones(2))
    close((a**2).mean(-1), np.ones(2))
    close(group_advantages(3 * GROUP + 7), a)
    close(group_advantages(np.array([1.0, 0.0, 0.0, 0.0])), np.array([3, -1, -1, -1]) / np.sqrt(3))
    for same in (np.full(3, 0.1), np.full(10, 1 / 3), np.array([5.0])):
        assert group_advantages(same).tolist() == group_advantages(same, 1, 1e-4).tolist() == [0] * len(same)
        assert group_advantages_vjp(same, np.arange(float(len(same)))).tolist() == [0] * len(same)
    assert group_advantages(np.array([1e-200, 0.0])).tolist() == [1, -1]
    assert group_advantages(np.array([1e200, 0.0])).tolist() == [1, -1]


def test_grpo_reads_only_what_was_written() -> None:
    args = (0.2, 0.3)
    want = grpo_loss(LOG_P, LOG_OLD, LOG_REF, GROUP, WRITTEN, *args)
    padded = [np.where(WRITTEN, x, -np.inf) for x in (LOG_P, LOG_OLD, LOG_REF)]
    assert grpo_loss(*padded, GROUP, WRITTEN, *args).tolist() == want.tolist()
    for gradient in grpo_loss_vjp(*padded, GROUP, WRITTEN, *args, np.ones(2))[:3]:
        assert (gradient[~WRITTEN] == 0).all() and (gradient[WRITTEN] != 0).any()
    nothing = np.zeros_like(WRITTEN)
    assert grpo_loss(LOG_P, LOG_OLD, LOG_REF, GROUP, nothing, *args).tolist() == [0, 0]


def test_long_answers_weigh_no_more_than_short_ones() -> None:
    """Each answer's tokens are averaged first, so a token of a short answer counts for more."""
    written = np.array([[True, True, True, True], [True, False, False, False]])
    p = LOG_P[0, :2]
    dp = grpo_loss_vjp(p, p, p, np.array([1.0, 1.0]), written, 0.2, 0.0, np.array(1.0))[0]
    assert dp.tolist() == [[-1 / 8] * 4, [-1 / 2, 0, 0, 0]]


def test_without_a_penalty_the_reference_is_not_read() -> None:
    nowhere = np.full_like(LOG_P, -np.inf)
    want = grpo_loss(LOG_P, LOG_OLD, LOG_P, GROUP, WRITTEN, 0.2, 0.0)
    assert grpo_loss(LOG_P, LOG_OLD, nowhere, GROUP, WRITTEN, 0.2, 0.0).tolist() == want.tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ppo_loss(LOG_P, LOG_OLD, A, -0.1), "epsilon = -0.1"),
        (lambda: shaped_reward(LOG_P, LOG_REF, 1.5), "gamma = 1.5"),
        (lambda: penalized_reward(GROUP, LOG_P, LOG_REF, -0.1), "beta = -0.1"),
        (lambda: penalized_reward(GROUP, np.zeros((2, 3, 0)), np.zeros((2, 3, 0)), 0.1), "without tokens"),
        (lambda: group_advantages(np.zeros((2, 0))), "at least one"),
        (lambda: group_advantages(np.array([1.0, np.nan])), "finite"),
        (lambda: group_advantages(np.ones(2), 2), "ddof = 2"),
        (lambda: group_advantages(np.ones(2), 0, -1.0), "epsilon = -1.0"),
        (lambda: grpo_loss(LOG_P, LOG_OLD, LOG_REF, GROUP, WRITTEN, -0.2, 0.1), "epsilon = -0.2"),
        (lambda: grpo_loss(LOG_P, LOG_OLD, LOG_REF, GROUP, WRITTEN, 0.2, -0.1), "beta = -0.1"),
        (
            lambda: grpo_loss(*[np.zeros((0, 4))] * 3, np.zeros(0), np.zeros((0, 4), bool), 0.2, 0.1),
            "no answers",
        ),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
