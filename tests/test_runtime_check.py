"""Under pytest a wrong argument is refused where it is passed; the check is shown right and wrong calls."""

import os
from collections.abc import Iterator

import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError
from runtime_check import checked, names_an_array

from clearhead.config import nearest

Array = np.ndarray


@checked
def matvec(a: Float[Array, "T D"], x: Float[Array, "D"], scale: float = 1.0) -> Float[Array, "T"]:
    return scale * (a @ x) if scale else x


def test_shapes_must_agree() -> None:
    matvec(np.ones((2, 3)), np.ones(3), 2)  # a whole number is a number
    with pytest.raises(TypeCheckError):
        matvec(np.ones((2, 3)), np.ones(2))
    with pytest.raises(TypeCheckError):
        matvec(np.ones((2, 3)), np.ones(3, dtype=int))
    with pytest.raises(TypeCheckError):
        matvec(np.ones((2, 3)), np.ones(3), "2")  # type: ignore[arg-type]
    with pytest.raises(TypeCheckError):
        matvec(np.ones((2, 3)), np.ones(3), 0)  # returns a D for a T


def test_an_array_is_found_wherever_it_stands() -> None:
    vector = Float[Array, "D"]
    assert all(map(names_an_array, (vector, tuple[int, vector], dict[str, list[vector]], vector | None)))
    assert not any(map(names_an_array, (int, tuple[int, ...], Array, None)))


def test_axes_of_one_call_are_not_those_of_another() -> None:
    """In a function that is called from another, and in a generator, whose body runs among the axes of its reader."""

    @checked
    def halves(x: Float[Array, "D"]) -> Iterator[Float[Array, "E"]]:
        yield first(x)
        yield x[len(x) // 2 :]

    @checked
    def first(x: Float[Array, "D"]) -> Float[Array, "E"]:
        return x[: len(x) // 2]

    @checked
    def both(x: Float[Array, "D"], y: Float[Array, "E"]) -> Float[Array, "D"]:
        assert first(y).shape == (1,)
        return np.concatenate(list(halves(x)))

    assert both(np.ones(4), np.ones(2)).shape == (4,)


@pytest.mark.skipif(os.environ.get("CLEARHEAD_CHECK_SHAPES") == "0", reason="the check is off")
def test_the_package_is_checked() -> None:
    with pytest.raises(TypeCheckError):
        nearest(3, ["a"])  # type: ignore[arg-type]
