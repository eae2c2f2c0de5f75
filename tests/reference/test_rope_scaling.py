"""Frequencies for longer contexts against what the papers demand of them, and transformers' YaRN."""

import numpy as np
import pytest
from against import close

from clearhead.reference.positions import angles
from clearhead.reference.rope_scaling import frequencies, interpolated, ntk_base, yarn, yarn_scale

C, TRAINED, FACTOR = 64, 4096, 8.0
OMEGA = frequencies(C)


def test_frequencies_are_those_of_the_rotation() -> None:
    close(OMEGA * 7, angles(np.array(7), C))


def test_interpolation_maps_the_new_range_onto_the_old() -> None:
    close(interpolated(OMEGA, FACTOR) * (TRAINED * FACTOR), OMEGA * TRAINED)


def test_the_ntk_base_slows_the_slowest_pair_by_the_factor_and_the_fastest_not() -> None:
    scaled = frequencies(C, ntk_base(1e4, FACTOR, C))
    close(OMEGA[-1] / scaled[-1], FACTOR)
    assert scaled[0] == OMEGA[0] and (np.diff(OMEGA / scaled) > 0).all()


def test_yarn_keeps_fast_pairs_and_interpolates_slow_ones() -> None:
    turns = OMEGA * TRAINED / (2 * np.pi)
    scaled = yarn(OMEGA, FACTOR, TRAINED)
    close(scaled[turns > 32], OMEGA[turns > 32])
    close(scaled[turns < 1], OMEGA[turns < 1] / FACTOR)
    between = (turns > 1) & (turns < 32)
    assert between.any() and ((scaled < OMEGA) & (scaled > OMEGA / FACTOR))[between].all()
    close(yarn(OMEGA, 1.0, TRAINED), OMEGA)
    close(yarn_scale(np.e**2), 1.2)


WRONG = [
    lambda: frequencies(3),
    lambda: frequencies(4, 0.0),
    lambda: interpolated(OMEGA, 0.5),
    lambda: ntk_base(1e4, 2.0, 2),
    lambda: yarn(OMEGA, 2.0, 64, 32.0, 1.0),
    lambda: yarn_scale(0.0),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be(wrong) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
