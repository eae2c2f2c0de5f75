"""Scales of first weights against torch's, and what they keep, measured."""

import numpy as np
import pytest
import scipy.stats
import torch
from against import close

from clearhead.reference.initialisation import (
    gradient_gain,
    he_std,
    through_depth,
    truncated_share,
    uniform_bound,
    xavier_std,
)

FUNCTIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "leaky": (lambda z: np.where(z > 0, z, 0.3 * z), lambda z: np.where(z > 0, 1.0, 0.3)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "linear": (lambda z: z, np.ones_like),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
}


def deep(name: str, std: float, depth: int = 30):
    return through_depth(300, depth, std, *FUNCTIONS[name], np.random.default_rng(1))


def test_the_formulas_are_torch_s() -> None:
    w = torch.empty(2000, 500, dtype=torch.float64)  # torch has (out, in)
    generator = torch.Generator().manual_seed(0)
    close(torch.nn.init.xavier_normal_(w, generator=generator).std(), xavier_std(500, 2000), 0.01)
    close(torch.nn.init.xavier_uniform_(w, generator=generator).max(), uniform_bound(xavier_std(500, 2000)), 0.01)
    close(torch.nn.init.kaiming_normal_(w, generator=generator).std(), he_std(500), 0.01)
    close(torch.nn.init.kaiming_normal_(w, a=0.3, generator=generator).std(), he_std(500, 0.3), 0.01)
    close(truncated_share(2.0), scipy.stats.truncnorm(-2, 2).std())
    close(truncated_share(0.5), scipy.stats.truncnorm(-0.5, 0.5).std(), 1e-9)


@pytest.mark.parametrize(
    ("name", "std"), [("relu", he_std(300)), ("leaky", he_std(300, 0.3)), ("linear", xavier_std(300, 300))]
)
def test_a_good_start_keeps_both_directions(name: str, std: float) -> None:
    found = deep(name, std)
    assert 0.5 < found.forward[-1] < 2 and 0.5 < found.backward[0] < 2


def test_a_bad_start_fades_or_bursts_by_its_factor_a_layer() -> None:
    for factor in (0.7, 1.4):
        found = deep("relu", factor * he_std(300))
        close(np.log(found.forward[-1] / found.forward[4]) / 25, np.log(factor), 0.15)
        close(np.log(found.backward[0] / found.backward[25]) / 25, np.log(factor), 0.15)
    assert deep("relu", xavier_std(300, 300)).forward[-1] < 1e-3  # half of E[x²] is lost in each ReLU


def test_saturating_functions_stop_the_gradient() -> None:
    assert deep("sigmoid", xavier_std(300, 300)).backward[0] < 0.25**29
    found = deep("tanh", 5 * xavier_std(300, 300))
    assert found.forward[-1] > 0.8  # saturated
    gentle = deep("tanh", xavier_std(300, 300))
    assert gentle.forward[-1] < gentle.forward[0] and gentle.backward[0] > 0.1


def test_singular_values_bound_the_gradient() -> None:
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=(4, 4)) for _ in range(5)]
    low, high = gradient_gain(weights)
    for _ in range(50):
        g = rng.normal(size=4)
        before = np.linalg.norm(g)
        for w in weights:
            g = g @ w.T
        assert low <= np.linalg.norm(g) / before <= high
    close(gradient_gain([0.5 * np.linalg.qr(w)[0] for w in weights]), [0.5**5] * 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: xavier_std(0, 3), r"\(0, 3\)"),
        (lambda: he_std(0), "1 or more"),
        (lambda: truncated_share(0.0), "limit = 0.0"),
        (lambda: deep("relu", 1.0, 0), "1 or more"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
