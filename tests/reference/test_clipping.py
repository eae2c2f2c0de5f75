"""Clipping beside torch's, and what it does to direction and length."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from against import check_vjp, close

from clearhead.reference.clipping import (
    clip_by_norm,
    clip_by_norm_vjp,
    clip_by_value,
    clip_by_value_vjp,
    global_norm,
)

RNG = np.random.default_rng(1)
G = RNG.normal(size=(3, 4)) * 2
A, B = RNG.normal(size=(2, 3)), RNG.normal(size=4)


def torch_norm(gradients: list[np.ndarray], limit: float) -> list[np.ndarray]:
    parameters = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = torch.tensor(g)
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    return [p.grad.numpy() for p in parameters]


def test_values_and_gradients() -> None:
    check_vjp(clip_by_value, clip_by_value_vjp, G, 1.5, peer=lambda g, c: g.clamp(-c, c))
    weights = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    weights.grad = torch.tensor(G)
    torch.nn.utils.clip_grad_value_([weights], 1.5)
    close(clip_by_value(G, 1.5), weights.grad.numpy())

    for limit in (0.7, 100.0):  # cut, and not

        def theirs(a: torch.Tensor, b: torch.Tensor, limit: float = limit) -> tuple[torch.Tensor, ...]:
            size = torch.cat([a.flatten(), b.flatten()]).norm()
            return tuple(g * torch.clamp(limit / size, max=1.0) for g in (a, b))

        check_vjp(
            lambda a, b, limit=limit: clip_by_norm([a, b], limit),
            lambda a, b, da, db, limit=limit: clip_by_norm_vjp([a, b], limit, [da, db]),
            A,
            B,
            peer=theirs,
        )


def test_norm_beside_torch() -> None:
    close(global_norm([A, B]), float(torch.nn.utils.get_total_norm([torch.tensor(A), torch.tensor(B)])))
    long = [1e8 * A, 1e8 * B]  # torch adds 1e-6 to the norm, which is nothing beside this one
    for got, want in zip(clip_by_norm(long, 2.0), torch_norm(long, 2.0), strict=True):
        close(got, want)
    for got, want in zip(clip_by_norm([A, B], 100.0), torch_norm([A, B], 100.0), strict=True):
        close(got, want)
    close(torch_norm([A, B], 2.0)[0], clip_by_norm([A, B], 2.0)[0], 1e-6)


def test_length_and_direction() -> None:
    a, b = clip_by_norm([A, B], 0.5)
    close(global_norm([a, b]), 0.5)
    close(a / B[0], A / b[0] * (0.5 / global_norm([A, B])) ** 2)  # one factor for both
    g = np.array([3.0, 0.3])
    assert clip_by_value(g, 1.0).tolist() == [1.0, 0.3]  # the direction turns towards the short entry
    close(clip_by_norm([g], 1.0)[0][0] / clip_by_norm([g], 1.0)[0][1], 10.0)


def test_edges() -> None:
    assert global_norm([]) == global_norm([np.zeros((0, 2))]) == global_norm([np.zeros(3)]) == 0
    assert clip_by_norm([], 1.0) == () and clip_by_norm([np.zeros(2)], 1.0)[0].tolist() == [0, 0]
    close(global_norm([np.array([3e-200, 4e-200])]), 5e-200)
    close(global_norm([np.array([3e200]), np.array([-4e200])]) / 1e200, 5.0)
    close(clip_by_norm([np.array([3e200, 4e200])], 1.0)[0], [0.6, 0.8])
    assert clip_by_value(np.array([np.inf, -np.inf]), 2.0).tolist() == [2.0, -2.0]
    assert clip_by_norm([np.array([3.0, 4.0])], 5.0)[0].tolist() == [3.0, 4.0]
    g = np.ones(2)
    clip_by_norm([g], 9.0)[0][0] = 7
    assert g.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clip_by_value(G, 0.0), "limit = 0.0"),
        (lambda: clip_by_value(np.array([np.nan]), 1.0), "NaN"),
        (lambda: clip_by_norm([G], -1.0), "limit = -1.0"),
        (lambda: clip_by_norm([G], np.nan), "limit = nan"),
        (lambda: clip_by_norm([np.array([np.inf])], 1.0), "infinity"),
        (lambda: global_norm([G, np.array([np.nan])]), "NaN"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
