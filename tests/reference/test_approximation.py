"""A layer of ReLUs against NumPy's interpolation, the theory's bounds, and what the theorem does not promise."""

import numpy as np
import pytest
from against import close

from clearhead.reference.approximation import error_by_width, evaluate, interpolate
from clearhead.reference.dense import Network, train
from clearhead.reference.initialization import he

RNG = np.random.default_rng(1)
PLACES = np.sort(RNG.normal(size=12))
VALUES = RNG.normal(size=12)


def test_it_passes_through_every_point() -> None:
    net = interpolate(PLACES, VALUES)
    assert net.w_1.shape == (1, 11) and net.w_2.shape == (11, 1)
    close(evaluate(net, PLACES), VALUES, 1e-11)
    at = np.linspace(PLACES[0], PLACES[-1], 300)
    close(evaluate(net, at), np.interp(at, PLACES, VALUES), 1e-11)
    close(evaluate(net, PLACES[:1] - 7), VALUES[:1])


@pytest.mark.parametrize(
    ("f", "curvature"), [(np.sin, 1.0), (lambda x: x**2, 2.0), (lambda x: np.exp(-x * x) * 3, 6.0)]
)
def test_the_error_falls_with_the_square_of_the_width(f, curvature: float) -> None:
    widths = np.array([4, 8, 16, 32, 64, 128])
    errors = error_by_width(f, -2.0, 3.0, widths.tolist(), 6401)
    assert (errors <= curvature * (5 / widths) ** 2 / 8 * (1 + 1e-9)).all()
    close(errors[-2] / errors[-1], 4.0, 0.05)


def test_a_parabola_attains_the_bound() -> None:
    close(error_by_width(lambda x: x**2, 0.0, 1.0, [1, 2, 4, 10], 4001), [1 / 4, 1 / 16, 1 / 64, 1 / 400])


def test_a_corner_that_no_point_meets_costs_the_first_power() -> None:
    errors = error_by_width(np.abs, -1.0, 1.0, [3, 9, 27])
    close(errors, [1 / 3, 1 / 9, 1 / 27])  # continuous, but with no second derivative: h / 2


def test_not_a_function_that_jumps() -> None:
    errors = error_by_width(lambda x: (x > 0) * 1.0, -1.0, 1.0, [9, 99, 299], 5001)
    assert (errors > 0.45).all()


def test_not_beyond_the_interval() -> None:
    net = interpolate(np.linspace(-1, 1, 101), np.linspace(-1, 1, 101) ** 2)
    assert np.abs(evaluate(net, np.array([-10.0, 10.0])) - 100).min() > 75


def test_that_weights_exist_does_not_mean_that_descent_finds_them() -> None:
    x = np.linspace(-np.pi, np.pi, 65)
    width = 16
    built = np.abs(evaluate(interpolate(x[::4], np.sin(x[::4])), x) - np.sin(x)).max()
    rng = np.random.default_rng(0)
    start = Network(he(1, width, rng), np.zeros(width), he(width, 1, rng), np.zeros(1))
    found = train(x[:, None], np.sin(x)[:, None], start, 0.02, 1000)
    trained = np.abs(evaluate(found.w, x) - np.sin(x)).max()
    assert built < 0.02 < 5 * built < trained < 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interpolate(np.zeros(1), np.zeros(1)), "1 points"),
        (lambda: interpolate(np.zeros(2), np.zeros(2)), "rise strictly"),
        (lambda: error_by_width(np.sin, 1.0, 1.0, [2]), "low = 1.0"),
        (lambda: error_by_width(np.sin, 0.0, 1.0, [2, 0]), "every width"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
