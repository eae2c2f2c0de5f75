"""A layer of ReLUs that interpolates, against NumPy's interpolation and the bound of its error."""

import numpy as np
import pytest
from against import close

from clearhead.reference.approximation import interpolate, network, worst_error

X = np.linspace(-2, 2, 501)


@pytest.mark.parametrize("f", [np.sin, np.exp, np.abs, lambda x: np.sign(np.sin(9 * x)) * x])
@pytest.mark.parametrize("units", [1, 7, 40])
def test_it_is_the_line_through_the_points(f, units: int) -> None:
    at = np.linspace(-2, 2, units + 1)
    close(network(X, interpolate(f, -2, 2, units)), np.interp(X, at, f(at)), 1e-10)


def test_the_error_falls_with_the_square_of_the_width() -> None:
    for units in (4, 16, 64):
        assert worst_error(np.exp, -2, 2, units) <= (4 / units) ** 2 / 8 * np.exp(2)
    errors = [worst_error(np.exp, -2, 2, units) for units in (16, 32, 64)]
    close([errors[0] / errors[1], errors[1] / errors[2]], [4, 4], 0.1)
    assert worst_error(np.sin, -2, 2, 400) < 1e-4
    assert worst_error(lambda x: 3 * x - 1, -2, 2, 1) < 1e-12  # a line takes one unit


def test_outside_the_interval_nothing_is_promised() -> None:
    far = np.array([10.0])
    assert abs(network(far, interpolate(np.sin, -2, 2, 100)) - np.sin(far)) > 1


@pytest.mark.parametrize("interval", [(0.0, 1.0, 0), (1.0, 1.0, 5)])
def test_bad_input_is_named(interval) -> None:
    with pytest.raises(ValueError, match="units = "):
        interpolate(np.sin, *interval)
