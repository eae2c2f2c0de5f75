import itertools
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clearhead.charts.scale import Scale, linear_ticks, log_ticks, span, spread

wide = st.floats(-1e9, 1e9, allow_nan=False)
positive = st.floats(1e-6, 1e9)


@given(low=wide, size=st.floats(1e-3, 1e9), count=st.integers(2, 10))
def test_linear_ticks_are_few_even_and_inside(low, size, count):
    assume(abs(low) < 1e6 * size)  # else doubles are too coarse for the gaps
    high = low + size
    ticks = linear_ticks(low, high, count)
    assert count / 3 <= len(ticks) <= 2 * count + 1
    slack = 1e-6 * max(size, 1e-9 * abs(low))
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    gaps = [b - a for a, b in itertools.pairwise(ticks)]
    assert all(gap == pytest.approx(gaps[0], rel=1e-3) for gap in gaps)
    if gaps:
        assert float(f"{gaps[0]:.2e}") / 10 ** math.floor(math.log10(gaps[0] * 1.001)) == pytest.approx(
            min((1, 2, 5), key=lambda nice: abs(nice - gaps[0] / 10 ** math.floor(math.log10(gaps[0] * 1.001)))),
            rel=2e-2,
        )


@given(low=positive, ratio=st.floats(1.01, 1e9))
def test_log_ticks_are_rising_inside_and_enough(low, ratio):
    ticks = log_ticks(low, low * ratio)
    assert ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in ticks)
    assert 1 <= len(ticks) <= 12


def test_ticks_of_a_typical_axis():
    assert linear_ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert log_ticks(1.0, 1000.0) == [1.0, 10.0, 100.0, 1000.0]
    assert log_ticks(20.0, 5000.0, 9) == [20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]
    assert log_ticks(1.0, 1e6) == [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6][::2]


def test_an_empty_range_has_no_ticks():
    with pytest.raises(AssertionError):
        linear_ticks(1.0, 1.0)
    with pytest.raises(AssertionError):
        log_ticks(0.0, 1.0)


@given(x=wide)
def test_a_scale_stays_on_the_drawing(x):
    assert 10 <= Scale(0.0, 1.0, 10.0, 90.0)(x) <= 90
    assert 10 <= Scale(1.0, 100.0, 90.0, 10.0, log=True)(abs(x)) <= 90


def test_beyond_its_ends_a_scale_goes_on_where_it_is_asked_to():
    assert Scale(0.0, 1.0, 10.0, 90.0).beyond(2.0) == 170
    assert 1.0 in Scale(0.0, 1.0, 10.0, 90.0) and 1.1 not in Scale(0.0, 1.0, 10.0, 90.0)


def test_a_log_scale_gives_equal_ratios_equal_room():
    scale = Scale(1.0, 100.0, 0.0, 100.0, log=True)
    assert scale(10.0) == pytest.approx(50)


@pytest.mark.parametrize("log", [False, True])
def test_span_of_one_point_nothing_and_nan(log):
    low, high = span([7.0, math.nan], log)
    assert low < 7 < high
    assert span([], log) is None
    assert span([math.nan, math.inf], log) is None
    assert span([0.0, -3.0], True) is None
    low, high = span([0.0], False)
    assert low < 0 < high


@given(wanted=st.lists(st.floats(0, 200), min_size=1, max_size=9), gap=st.floats(1, 40))
def test_spread_keeps_order_distance_and_bounds(wanted, gap):
    places = spread(wanted, gap, 0.0, 200.0)
    room = min(gap, 200.0 / max(1, len(wanted) - 1))
    assert all(-1e-6 <= place <= 200 + 1e-6 for place in places)
    ordered = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    assert all(places[j] - places[i] >= room - 1e-6 for i, j in itertools.pairwise(ordered))


def test_spread_leaves_what_does_not_collide():
    assert spread([100.0, 20.0], 10.0, 0.0, 200.0) == [100.0, 20.0]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 3), (0, 60), (-1.25, 1.25), (0.001, 0.0042), (12, 13)])
def test_ticks_of_small_axes_are_few_round_and_inside(low, high):
    found = linear_ticks(low, high)
    assert 3 <= len(found) <= 7 and low <= found[0] and found[-1] <= high
    assert all(len(f"{tick:g}".lstrip("-0.").replace(".", "")) <= 3 for tick in found)
