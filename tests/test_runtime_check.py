"""Under pytest a wrong argument is refused where it is passed; the check is shown right and wrong calls."""

import os

import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError, jaxtyped
from runtime_check import check

from clearhead.config import nearest

Array = np.ndarray


@jaxtyped(typechecker=check)
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


@pytest.mark.skipif(os.environ.get("CLEARHEAD_CHECK_SHAPES") == "0", reason="the check is off")
def test_the_package_is_checked() -> None:
    with pytest.raises(TypeCheckError):
        nearest(3, ["a"])  # type: ignore[arg-type]
