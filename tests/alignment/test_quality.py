"""Ranking and calibration against slow plain definitions and hand-worked cases."""

import itertools

import numpy as np
import pytest

from clearhead.alignment.quality import auc, brier, calibration, expected_calibration_error, first_wrong


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_pairs_in_the_right_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, truth = rng.integers(0, 6, 40) / 5, rng.random(40) < 0.4  # many ties
    pairs = list(itertools.product(scores[truth], scores[~truth]))
    expected = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)
    assert auc(scores, truth) == pytest.approx(expected, abs=1e-12)


def test_auc_of_perfect_reversed_and_one_sided() -> None:
    scores, truth = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    assert auc(scores, truth) == 1.0
    assert auc(-scores, truth) == 0.0
    assert np.isnan(auc(scores, np.ones(4, bool)))


def test_brier_by_hand() -> None:
    assert brier(np.array([1.0, 0.5]), np.array([True, False])) == pytest.approx(0.125)


def test_calibration_bins_hold_everything_once_and_one_goes_to_the_last() -> None:
    scores = np.array([0.0, 0.09, 0.1, 0.55, 1.0])
    bins = calibration(scores, np.array([False, True, False, True, True]))
    assert [b.count for b in bins] == [2, 1, 1, 1]
    assert bins[0].observed == 0.5
    assert bins[-1].predicted == 1.0


def test_calibration_error_is_zero_only_for_honest_promises() -> None:
    truth = np.array([True] * 3 + [False] * 7)
    assert expected_calibration_error(calibration(np.full(10, 0.3), truth)) == pytest.approx(0)
    assert expected_calibration_error(calibration(np.full(10, 0.9), truth)) == pytest.approx(0.6)


def test_first_wrong() -> None:
    assert first_wrong([True, True]) is None
    assert first_wrong([False]) == 0
