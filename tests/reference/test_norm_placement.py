"""Pre- and post-LN around any sublayer beside torch's encoder layer, and what each does with depth."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from against import check_vjp, close

from clearhead.reference.norm_placement import (
    Depth,
    Sublayer,
    post_ln,
    post_ln_depth,
    post_ln_vjp,
    pre_ln,
    pre_ln_depth,
    pre_ln_vjp,
    random_linear,
)

RNG = np.random.default_rng(1)
X, W = RNG.normal(size=(3, 5)) * 2, RNG.normal(size=(5, 5))
GAIN, BIAS = RNG.normal(size=5), RNG.normal(size=5)
TANH = Sublayer(lambda x: np.tanh(x @ W), lambda x, dy: (dy * (1 - np.tanh(x @ W) ** 2)) @ W.T)
NOTHING = Sublayer(np.zeros_like, lambda x, dy: np.zeros_like(x))


def torch_tanh(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x @ torch.tensor(W))


@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_values_and_gradients(eps: float) -> None:
    check_vjp(
        post_ln,
        post_ln_vjp,
        X,
        TANH,
        GAIN,
        BIAS,
        eps,
        peer=lambda x, _, gain, bias, eps: F.layer_norm(x + torch_tanh(x), (5,), gain, bias, eps),
    )
    check_vjp(
        pre_ln,
        pre_ln_vjp,
        X,
        TANH,
        GAIN,
        BIAS,
        eps,
        peer=lambda x, _, gain, bias, eps: x + torch_tanh(F.layer_norm(x, (5,), gain, bias, eps)),
    )


def test_a_sublayer_that_does_nothing() -> None:
    dy = RNG.normal(size=(3, 5))
    assert pre_ln(X, NOTHING, GAIN, BIAS).tolist() == X.tolist()
    assert pre_ln_vjp(X, NOTHING, GAIN, BIAS, 1e-5, dy)[0].tolist() == dy.tolist()  # the highway
    close(
        post_ln(X, NOTHING, GAIN, BIAS), F.layer_norm(*map(torch.tensor, (X,)), (5,), *map(torch.tensor, (GAIN, BIAS)))
    )


def by_torch(pre: bool, x: np.ndarray, weights: list[np.ndarray], dy: np.ndarray) -> Depth:
    """The same stack with torch's norms and gradients."""

    def norm(x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:])

    xs, results = [torch.tensor(x, requires_grad=True)], []
    for w in weights:
        results.append((norm(xs[-1]) if pre else xs[-1]) @ torch.tensor(w))
        xs.append(xs[-1] + results[-1] if pre else norm(xs[-1] + results[-1]))
    end = norm(xs[-1]) if pre else xs[-1]
    found = torch.autograd.grad(end, [*xs, *results], torch.tensor(dy))
    parts = xs, found[: len(xs)], found[len(xs) :]
    return Depth(*(np.array([float(v.detach().square().mean().sqrt()) for v in part]) for part in parts))


def test_depths_are_what_autograd_measures() -> None:
    x, dy = RNG.normal(size=(2, 2, 3, 5))
    weights = list(RNG.normal(size=(4, 5, 5)))
    sublayers = [Sublayer(lambda x, w=w: x @ w, lambda x, dy, w=w: dy @ w.T) for w in weights]
    for measure, pre in ((post_ln_depth, False), (pre_ln_depth, True)):
        for got, want in zip(measure(x, sublayers, dy), by_torch(pre, x, weights, dy), strict=True):
            close(got, want)
    assert [part.shape for part in pre_ln_depth(x, [], dy)] == [(1,), (1,), (0,)]


def test_what_depth_does() -> None:
    L, D = 24, 256
    x, dy = RNG.normal(size=(2, 8, D))
    sublayers = [random_linear(D, RNG) for _ in range(L)]
    below = np.arange(L + 1)  # blocks before x_l
    post, pre = post_ln_depth(x, sublayers, dy), pre_ln_depth(x, sublayers, dy)
    close(post.sizes[1:], np.ones(L), 1e-4)
    close(post.at_sublayers, np.full(L, np.sqrt(0.5)), 0.2)
    close(pre.sizes, np.sqrt(1 + below), 0.1)
    close(pre.at_sublayers, 1 / np.sqrt(2 + below[:-1]), 0.15)
    assert (post.at_sublayers**2).sum() == pytest.approx(L / 2, rel=0.25)
    assert (pre.at_sublayers**2).sum() == pytest.approx((1 / (2 + below[:-1])).sum(), rel=0.25)


def test_where_alike_tokens_are_averaged_post_ln_lets_their_own_gradients_fade() -> None:
    T, D, L = 16, 256, 6
    alike = RNG.normal(size=D) + 1e-6 * RNG.normal(size=(T, D))
    dy = RNG.normal(size=(T, D))
    dy -= dy.mean(0)  # what is sent to single tokens, apart from what is sent to all

    def averaging() -> Sublayer:
        f, f_vjp = random_linear(D, RNG)
        return Sublayer(lambda x: np.tile(f(x).mean(0), (T, 1)), lambda x, dy: np.tile(f_vjp(x, dy).mean(0), (T, 1)))

    sublayers = [averaging() for _ in range(L)]
    post, pre = post_ln_depth(alike, sublayers, dy), pre_ln_depth(alike, sublayers, dy)
    close(post.gradients[:-1] / post.gradients[1:], np.full(L, np.sqrt(0.5)), 0.1)
    close(pre.gradients, np.full(L + 1, pre.gradients[-1]), 1e-3)


def test_one_channel_is_enough_for_a_linear_map() -> None:
    f, f_vjp = random_linear(1, RNG)
    close(f(np.ones((2, 1))), f_vjp(np.zeros((2, 1)), np.ones((2, 1))))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="D = 0"):
        random_linear(0, RNG)
    with pytest.raises(ValueError, match="eps = -1"):
        pre_ln(X, TANH, GAIN, BIAS, -1.0)
    with pytest.raises(ValueError, match="eps = -1"):
        post_ln(X, TANH, GAIN, BIAS, -1.0)
