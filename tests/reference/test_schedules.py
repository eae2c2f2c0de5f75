"""Schedules step by step beside those of transformers and torch."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from against import close

from clearhead.reference.schedules import cosine, inverse_square_root, linear, trapezoid, warm_up

STEPS = 40


def rates(make: Callable[[torch.optim.Optimizer], Any]) -> list[float]:
    """A scheduler's rate at t = 0 .. STEPS + 5, from a peak of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, dtype=torch.float64, requires_grad=True)], lr=1.0)
    scheduler, found = make(optimizer), []
    for _ in range(STEPS + 6):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


def course(f: Callable[..., float], *args: float) -> list[float]:
    return [f(t, *args) for t in range(STEPS + 6)]


@pytest.mark.parametrize("warmup", [0, 1, 7, 39])
def test_beside_transformers(warmup: int) -> None:
    t = transformers
    close(course(warm_up, warmup), rates(lambda o: t.get_constant_schedule_with_warmup(o, warmup)))
    close(course(linear, warmup, STEPS), rates(lambda o: t.get_linear_schedule_with_warmup(o, warmup, STEPS)))
    theirs = rates(lambda o: t.get_cosine_schedule_with_warmup(o, warmup, STEPS))
    close(course(cosine, warmup, STEPS)[: STEPS + 1], theirs[: STEPS + 1])  # theirs climbs again behind the end
    theirs = rates(lambda o: t.get_cosine_with_min_lr_schedule_with_warmup(o, warmup, STEPS, min_lr_rate=0.2))
    close(course(cosine, warmup, STEPS, 0.2)[: STEPS + 1], theirs[: STEPS + 1])
    fall = min(12, STEPS - warmup)
    level = STEPS - warmup - fall
    theirs = rates(lambda o: t.get_wsd_schedule(o, warmup, fall, num_stable_steps=level, decay_type="linear"))
    close(course(trapezoid, warmup, STEPS, fall), theirs)
    if warmup:
        close(course(inverse_square_root, warmup), rates(lambda o: t.get_inverse_sqrt_schedule(o, warmup)))


def test_beside_torch() -> None:
    s = torch.optim.lr_scheduler
    theirs = rates(lambda o: s.CosineAnnealingLR(o, STEPS, eta_min=0.1))
    close(course(cosine, 0, STEPS, 0.1)[: STEPS + 1], theirs[: STEPS + 1])
    close(course(linear, 0, STEPS), rates(lambda o: s.LinearLR(o, 1.0, 0.0, STEPS)))
    close(course(linear, 0, STEPS), rates(lambda o: s.PolynomialLR(o, STEPS)))


def test_inverse_square_root_is_that_of_the_paper() -> None:
    D, warmup = 512, 4000
    for t in (1, 400, 3999, 4000, 4001, 100_000):
        close(inverse_square_root(t, warmup) / math.sqrt(D * warmup), D**-0.5 * min(t**-0.5, t * warmup**-1.5))


def test_ends() -> None:
    assert warm_up(0, 0) == linear(0, 0, 10) == cosine(0, 0, 10) == trapezoid(0, 0, 10, 10) == 1
    assert warm_up(0, 3) == linear(0, 3, 10) == cosine(0, 3, 10, 0.5) == trapezoid(0, 3, 10, 2) == 0
    assert linear(10, 10, 10) == cosine(10, 10, 10) == trapezoid(10, 10, 10, 0) == 0  # no room to fall: at once
    assert linear(9, 10, 10) == cosine(9, 10, 10) == trapezoid(9, 10, 10, 0) == 0.9
    assert trapezoid(9.5, 0, 10, 0) == 1 and trapezoid(9.5, 0, 10, 1) == 0.5
    assert cosine(20, 5, 10, 0.25) == 0.25 and linear(20, 5, 10) == trapezoid(20, 5, 10, 5) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: warm_up(-1, 4), "t = -1"),
        (lambda: warm_up(1, -4), "warmup = -4"),
        (lambda: linear(1, 20, 10), "warmup = 20 exceeds steps = 10"),
        (lambda: linear(12, 11, 10), "exceeds"),
        (lambda: cosine(-1, 2, 10), "t = -1"),
        (lambda: cosine(1, 20, 10), "exceeds"),
        (lambda: cosine(1, 2, 10, 1.5), "floor = 1.5"),
        (lambda: inverse_square_root(1, 0), "above 0"),
        (lambda: inverse_square_root(-1, 3), "t = -1"),
        (lambda: trapezoid(1, 4, 10, 7), r"fall = 7 must be in \[0, 6\]"),
        (lambda: trapezoid(1, 4, 10, -1), "fall = -1"),
        (lambda: trapezoid(-1, 4, 10, 1), "t = -1"),
    ],
)
def test_bad_input_is_named(call: Callable[[], float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
