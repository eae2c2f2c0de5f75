"""Routing against torch's topk; the load-balance loss at its two ends."""

import numpy as np
import torch

from clearhead.reference.experts import load_balance_loss, route


def test_routing_is_topk_and_softmax() -> None:
    z = np.random.default_rng(0).normal(size=(3, 4, 6))
    for k in (1, 2, 6):
        best, expert = torch.from_numpy(z).topk(k, -1)
        found = route(z, k)
        np.testing.assert_array_equal(found.expert, expert.numpy())
        np.testing.assert_allclose(found.weight, best.softmax(-1).numpy())


def test_the_loss_is_1_where_the_load_is_even_and_n_where_one_expert_has_it_all() -> None:
    assert np.isclose(load_balance_loss(np.eye(4), 1), 1)
    assert np.isclose(load_balance_loss(np.array([[900.0, 0, 0]] * 5), 1), 3)
    z = np.random.default_rng(1).normal(size=(200, 8))
    assert 0.99 < load_balance_loss(z, 2) < 1.2 < load_balance_loss(z + np.linspace(0, 3, 8), 2) < 8
