"""Routing against torch's top-k, the balance loss and its gradient, and what biases and capacities do."""

import numpy as np
import pytest
import torch
from against import check_vjp, close

from clearhead.reference.mixture import (
    balance_loss,
    balance_loss_vjp,
    capacity,
    dropped,
    loads,
    route,
    updated_bias,
)

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(64, 8))


def test_routing_is_top_k_with_a_softmax_over_the_chosen() -> None:
    routing = route(Z, 3)
    top = torch.tensor(Z).topk(3)
    assert routing.expert.tolist() == top.indices.tolist()
    close(routing.weight, top.values.softmax(-1).numpy())
    assert loads(routing, 8).sum() == 64 * 3


def test_a_bias_changes_who_is_chosen_and_not_the_weights() -> None:
    bias = np.zeros(8)
    bias[5] = 100.0
    routing = route(Z, 2, bias)
    assert (routing.expert[:, 0] == 5).all()
    chosen = np.take_along_axis(Z, routing.expert, -1)
    close(routing.weight, np.exp(chosen) / np.exp(chosen).sum(-1, keepdims=True))


def test_the_bias_balances_a_skewed_router() -> None:
    skewed = Z + np.linspace(0, 3, 8)
    bias = np.zeros(8)
    for _ in range(400):
        bias = updated_bias(bias, loads(route(skewed, 2, bias), 8), 0.02)
    load = loads(route(skewed, 2, bias), 8)
    assert loads(route(skewed, 2), 8).max() > 40 and load.max() < 24


def test_balance_loss_is_least_in_balance_and_its_gradient_is_that_of_the_means() -> None:
    even = np.kron(np.eye(4), np.ones((4, 1))) * 20
    close(balance_loss(even, 1), 1.0, 1e-6)
    assert balance_loss(np.tile([20.0, 0, 0, 0], (16, 1)), 1) > 3.99
    check_vjp(lambda z: np.array(balance_loss(z, 2)), lambda z, dy: balance_loss_vjp(z, 2, float(dy)), Z[:6])


def test_an_expert_that_is_full_drops_the_later_tokens() -> None:
    routing = route(np.tile([1.0, 0.0], (5, 1)), 1)
    assert dropped(routing, 2, capacity(5, 2, 1, 1.0)).ravel().tolist() == [False] * 3 + [True] * 2


@pytest.mark.parametrize("wrong", [lambda: route(Z, 0), lambda: route(Z, 9), lambda: capacity(0, 1, 1, 1.0)])
def test_what_cannot_be(wrong) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
