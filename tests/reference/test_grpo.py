"""GRPO's variants against torch, against GRPO itself, and what each of them changes."""

import numpy as np
import pytest
import torch
from against import check_vjp, close

from clearhead.reference.grpo import (
    centered_rewards,
    centered_rewards_vjp,
    leave_one_out_advantages,
    leave_one_out_advantages_vjp,
    policy_loss,
    policy_loss_vjp,
    weights_by_answer,
    weights_by_limit,
    weights_by_token,
)
from clearhead.reference.ppo import grpo_loss

RNG = np.random.default_rng(11)
LOG_P, LOG_OLD, LOG_REF = -RNG.exponential(size=(3, 2, 3, 4))
A = RNG.normal(size=(2, 3, 4))
GROUP = RNG.normal(size=(2, 5))
WRITTEN = np.array([[[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], [[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]], bool)


def test_advantages_and_their_gradients() -> None:
    check_vjp(centered_rewards, centered_rewards_vjp, GROUP, peer=lambda r: r - r.mean(-1, keepdim=True))

    def others(r: torch.Tensor) -> torch.Tensor:
        return r - (r.sum(-1, keepdim=True) - r) / (r.shape[-1] - 1)

    check_vjp(leave_one_out_advantages, leave_one_out_advantages_vjp, GROUP, peer=others)
    with pytest.raises(ValueError, match="two or more"):
        leave_one_out_advantages(np.array([1.0]))


@pytest.mark.parametrize("clip", [(0.2, 0.2), (0.2, 0.28), (0.1, 2.0)])
def test_the_loss_is_that_of_torch(clip: tuple[float, float]) -> None:
    weight = weights_by_token(WRITTEN)

    def peer(p: torch.Tensor, old: torch.Tensor, ref: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        ratio = (p - old).exp()
        each = -torch.minimum(ratio * a, ratio.clamp(1 - clip[0], 1 + clip[1]) * a)
        each = each + 0.1 * ((ref - p).exp() - 1 - (ref - p))
        return (each * torch.from_numpy(weight)).sum((-1, -2))

    check_vjp(
        lambda *x: policy_loss(*x, weight, clip, 0.1),
        lambda p, old, ref, a, dy: policy_loss_vjp(p, old, ref, a, weight, clip, 0.1, dy),
        LOG_P, LOG_OLD, LOG_REF, A, peer=peer,
    )  # fmt: skip


def test_with_its_own_weights_it_is_grpo() -> None:
    a = RNG.normal(size=(2, 3))
    each = np.broadcast_to(a[..., None], WRITTEN.shape)
    ours = policy_loss(LOG_P, LOG_OLD, LOG_REF, each, weights_by_answer(WRITTEN), (0.2, 0.2), 0.04)
    close(ours, grpo_loss(LOG_P, LOG_OLD, LOG_REF, a, WRITTEN, 0.2, 0.04))


def test_what_a_token_of_a_long_answer_weighs() -> None:
    written = np.array([[True] * 4, [True] + [False] * 3])
    assert weights_by_answer(written)[:, 0].tolist() == [1 / 8, 1 / 2]  # the long answer's tokens hardly count
    assert weights_by_token(written)[:, 0].tolist() == [1 / 5, 1 / 5]
    assert weights_by_limit(written, 4)[:, 0].tolist() == [1 / 8, 1 / 8]
    assert weights_by_limit(written[:, :1], 4)[:, 0].tolist() == [1 / 8, 1 / 8]  # whatever else was written
    with pytest.raises(ValueError, match="at least 1"):
        weights_by_limit(written, 0)
    with pytest.raises(ValueError, match="beta"):
        policy_loss(LOG_P, LOG_OLD, LOG_REF, A, weights_by_token(WRITTEN), (0.2, 0.2), -1.0)
