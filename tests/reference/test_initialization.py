"""First weights against torch's, and signals and gradients against the rates that theory gives them."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from against import check_vjp, close
from torch.nn import init

from clearhead.reference.activations import relu, relu_vjp, sigmoid, sigmoid_vjp, tanh, tanh_vjp
from clearhead.reference.initialization import (
    Depth,
    activated,
    he,
    kept,
    lecun,
    through_depth,
    xavier,
    xavier_uniform,
)

D, L = 200, 30
X, DY = np.random.default_rng(5).normal(size=(2, 16, D))


def stack(weights, f, f_vjp, scale: float = 1.0) -> Depth:
    rng = np.random.default_rng(1)
    return through_depth(X, [activated(scale * weights(D, D, rng), f, f_vjp) for _ in range(L)], DY)


def test_one_input_is_enough() -> None:
    assert he(1, 5, np.random.default_rng(0)).shape == xavier(1, 5, np.random.default_rng(0)).shape == (1, 5)


def test_variance_as_torch_has_it() -> None:
    torch.manual_seed(0)
    peers = {
        he: lambda w: init.kaiming_normal_(w, nonlinearity="relu"),
        lecun: lambda w: init.kaiming_normal_(w, nonlinearity="linear"),
        xavier: init.xavier_normal_,
        xavier_uniform: init.xavier_uniform_,
    }
    for mine, peer in peers.items():
        w = mine(300, 500, np.random.default_rng(0))
        theirs = peer(torch.empty(500, 300)).numpy()  # torch puts the outputs first
        assert w.shape == (300, 500)
        close(w.std(), theirs.std(), 0.01)
        assert abs(w.mean()) < 0.01 * w.std()
        shares = [0.001, 0.25, 0.75, 0.999]
        close(np.quantile(w, shares), np.quantile(theirs, shares), 0.03)


def test_what_a_nonlinearity_lets_through() -> None:
    close(kept(relu, 3.0), 0.5, 1e-9)
    close(kept(lambda z: z, 0.2), 1.0)
    close(1 / kept(relu), init.calculate_gain("relu") ** 2, 1e-9)
    for f, size in ((tanh, 1.0), (tanh, 2.0), (sigmoid, 0.5)):
        integrand = lambda z, f=f, size=size: f(np.array(size * z)) ** 2 * scipy.stats.norm.pdf(z)  # noqa: E731
        close(kept(f, size), scipy.integrate.quad(integrand, -12, 12)[0] / size**2, 1e-9)


def test_he_keeps_relu_and_xavier_lets_it_vanish() -> None:
    kept_by_he = stack(he, relu, relu_vjp)
    assert np.abs(np.log(kept_by_he.signals)).max() < 0.5 and np.abs(np.log(kept_by_he.gradients)).max() < 0.5
    lost = stack(xavier, relu, relu_vjp)
    for sizes in (lost.signals, lost.gradients[::-1]):
        close(sizes[-1] ** (1 / L), 0.5**0.5, 0.02)  # half of the mean square at every layer, both ways
    close(stack(he, relu, relu_vjp, 1.5).gradients[0] ** (1 / L), 1.5, 0.03)  # and it explodes


def test_xavier_and_saturation() -> None:
    slow = stack(xavier, tanh, tanh_vjp)
    close(slow.signals[-1] ** 2, 1 / (2 * L), 0.1)  # q - 2q² a layer: not kept, but lost as 1 / 2L alone
    expected = np.sqrt(kept(tanh, float(slow.signals[0])))
    close(slow.signals[1], expected, 0.02)
    gone = stack(xavier, sigmoid, sigmoid_vjp)
    assert (gone.gradients[:-1] < 0.25 * gone.gradients[1:]).all() and gone.gradients[0] < 1e-17
    saturated = stack(xavier, tanh, tanh_vjp, 20.0)
    assert saturated.signals[-1] > 0.9


def test_a_sigmoid_under_large_weights_does_not_shrink_gradients() -> None:
    layer = activated(8 * np.eye(1), sigmoid, sigmoid_vjp)
    found = through_depth(np.zeros((1, 1)), [layer], np.ones((1, 1)))
    close(found.gradients, [2.0, 1.0])  # a quarter of 8: the weights count as well as the slope


def test_the_gradient_is_that_of_the_whole_stack() -> None:
    rng = np.random.default_rng(2)
    layers = [activated(xavier(a, b, rng), tanh, tanh_vjp) for a, b in ((3, 5), (5, 4), (4, 2))]
    x, dy = rng.normal(size=(2, 3)), rng.normal(size=(2, 2))

    def whole(x):
        for layer in layers:
            x = layer.f(x)
        return x

    def whole_vjp(x, dy):
        for i in reversed(range(3)):
            at = x
            for layer in layers[:i]:
                at = layer.f(at)
            dy = layers[i].f_vjp(at, dy)
        return dy

    check_vjp(whole, whole_vjp, x)
    found = through_depth(x, layers, dy)
    close(found.gradients[[0, 3]], [np.sqrt((whole_vjp(x, dy) ** 2).mean()), np.sqrt((dy**2).mean())])
    close(found.signals[[0, 3]], [np.sqrt((x**2).mean()), np.sqrt((whole(x) ** 2).mean())])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: he(0, 3, np.random.default_rng(0)), "D = 0"),
        (lambda: lecun(0, 3, np.random.default_rng(0)), "D = 0"),
        (lambda: xavier(-1, 3, np.random.default_rng(0)), "D = -1"),
        (lambda: xavier_uniform(0, 3, np.random.default_rng(0)), "D = 0"),
        (lambda: kept(relu, 0.0), "size = 0.0"),
        (lambda: through_depth(np.zeros((0, 2)), [], np.zeros((0, 2))), "empty"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
