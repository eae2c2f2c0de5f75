"""The trapezoid by hand and its limits."""

import pytest
import torch

from clearhead.training.schedule import Schedule, lr_multiplier


def test_by_hand() -> None:
    rates = [lr_multiplier(step, steps=10, warmup=4, decay_start=0.5) for step in range(1, 11)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize(("steps", "warmup", "decay_start"), [(1, 0, 0.0), (7, 0, 0.4), (300, 50, 0.4), (60, 59, 0.0)])
def test_positive_and_never_above_one(steps: int, warmup: int, decay_start: float) -> None:
    rates = [lr_multiplier(step, steps, warmup, decay_start) for step in range(1, steps + 1)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize("schedule", ["wsd", "constant", "linear", "cosine"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (9, 0), (300, 50), (60, 59)])
def test_every_schedule_warms_up_and_never_rises_again(schedule: Schedule, steps: int, warmup: int) -> None:
    rates = [lr_multiplier(step, steps, warmup, 0.4, schedule) for step in range(1, steps + 1)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[max(warmup, 1) - 1 :] == sorted(rates[max(warmup, 1) - 1 :], reverse=True)


def test_the_cosine_is_torchs() -> None:
    """After a warm-up of 10 steps: torch's own schedule over the 90 that are left."""
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([w], lr=1.0)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=90)
    for step in range(11, 101):
        assert lr_multiplier(step, 100, 10, 0.4, "cosine") == pytest.approx(peer.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        peer.step()


def test_the_line_is_torchs() -> None:
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([w], lr=1.0)
    peer = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=100)
    for step in range(1, 101):
        assert lr_multiplier(step, 100, 0, 0.4, "linear") == pytest.approx(peer.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        peer.step()


def test_a_constant_rate_is_held_to_the_end() -> None:
    assert [lr_multiplier(step, 6, 2, 0.4, "constant") for step in range(1, 7)] == [0.5, 1, 1, 1, 1, 1]
