"""What a difference is called."""

import numpy as np
import pytest

from clearhead.study.practice.compare import difference

WANT = np.arange(12.0).reshape(3, 4) ** 2 + 1


def changed(place: object, value: float) -> np.ndarray:
    got = WANT.copy()
    got[place] = value
    return got


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (WANT, ""),
        (WANT.tolist(), ""),
        (WANT + 1e-9, ""),
        (WANT.astype(np.float32), ""),
        (WANT * 1.001, "off by the factor 1.001 everywhere"),
        (-WANT, "has the wrong sign everywhere"),
        (WANT + 0.5, "off by the term 0.5 everywhere"),
        (WANT * 0, "is 0 everywhere"),
        (WANT[::-1], "is reversed along axis 0"),
        (WANT[:, ::-1], "is reversed along axis 1"),
        (WANT.T, "shape (4, 3), must be (3, 4) (transposed?)"),
        (WANT[None], "shape (1, 3, 4), must be (3, 4)"),
        (changed((1, 2), np.nan), "NaN at (1, 2)"),
        (changed((0, 2), np.inf), "infinite at (0, 2)"),
        (changed(1, 7.0), "wrong only at index 1 of axis 0 (the others are right); [1, 0] is 7, must be 17"),
        (changed((slice(None), 1), 0.0), "3 of 12 values are wrong; [0, 1] is 0, must be 2"),
        (None, "returns nothing, must return an array of shape (3, 4)"),
        ("text", "returns a str, must return an array of shape (3, 4)"),
    ],
)
def test_arrays(got: object, said: str) -> None:
    assert difference(got, WANT, 1e-6) == said


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (3, 3, ""),
        (3.0, 3, ""),
        (4, 3, "is 4, must be 3"),
        (2.5, 2.0, "is 2.5, must be 2"),
        (np.array([1, 2]), [1, 2], ""),
        ([1, 2], [1, 3], "1 of 2 values are wrong; [1] is 2, must be 3"),
        ((1, 2), (1, 2, 3), "has 2 parts, must have 3"),
        ("a", "b", "is 'a', must be 'b'"),
        (["a"], ["a"], ""),
        ({"x": 1.0}, {"y": 1.0}, "has the keys ['x'], must have ['y']"),
        ({"x": 1.0}, {"x": 2.0}, "x: is 1, must be 2"),
        (None, None, ""),
        (np.array([-np.inf, 0.0]), np.array([-np.inf, 0.0]), ""),
        (np.eye(2)[:, ::-1] + np.array([[0, 1], [0, 0]]), np.array([[0.0, 1.0], [2.0, 0.0]]), "is transposed"),
    ],
)
def test_other_values(got: object, want: object, said: str) -> None:
    found = difference(got, want, 1e-6)
    assert found.startswith(said) and bool(found) == bool(said)
