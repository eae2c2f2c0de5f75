import math
import re

import pytest
from drawn import inside

from clearhead.report.data import CalibrationBin
from clearhead.report.learned import share_interval
from clearhead.report.reliability import reliability

NAN = math.nan


def bins(*triples):
    found = [CalibrationBin(*(float(v) for v in triple)) for triple in triples]
    return found, [share_interval(b.observed, b.count) for b in found]


@pytest.mark.parametrize(
    "triples",
    [
        [(0.0, 0.0, 1), (1.0, 1.0, 10_000_000)],
        [(0.5, 0.4, 12)],
        [(0.05, 0.1, 50), (0.06, 0.9, 50), (0.95, 0.2, 3)],
        [(0.5, NAN, 4), (0.7, 0.7, 1)],
    ],
)
def test_reliability_is_inside_its_box(triples):
    inside(reliability(*bins(*triples), 380.0, "x"))


def test_a_calibrated_bin_lies_on_the_diagonal():
    svg = reliability(*bins((0.25, 0.25, 40), (0.75, 0.75, 40)), 380.0, "x")
    number = r'="([\d.]+)" '
    diagonal = re.search(f"x1{number}y1{number}x2{number}y2{number}" + 'class="diagonal"', svg)
    x1, y1, x2, y2 = map(float, diagonal.groups())
    for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg):
        assert (float(x) - x1) / (x2 - x1) == pytest.approx((float(y) - y1) / (y2 - y1), abs=1e-3)


def test_reliability_of_nothing():
    assert reliability([], [], 380.0, "x") is None
    assert reliability(*bins((0.5, 0.5, 0)), 380.0, "x") is None
