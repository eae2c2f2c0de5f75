"""The trapezoid by hand and its limits."""

import pytest

from clearhead.training.schedule import scale


def test_by_hand() -> None:
    rates = [scale(step, steps=10, warmup=4, decay_from=0.5) for step in range(1, 11)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize(("steps", "warmup", "decay_from"), [(1, 0, 0.0), (7, 0, 0.4), (300, 50, 0.4), (60, 59, 0.0)])
def test_positive_and_never_above_one(steps: int, warmup: int, decay_from: float) -> None:
    rates = [scale(step, steps, warmup, decay_from) for step in range(1, steps + 1)]
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak]) and rates[peak:] == sorted(rates[peak:], reverse=True)
