"""The runtime type check that pytest puts on every function of the package."""

from collections.abc import Callable
from typing import TypeVar

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep3119Exception

F = TypeVar("F", bound=Callable)


def check(function: F) -> F:
    """beartype as mypy would have it: a whole number is a float, and membership of a Protocol is left to mypy."""
    try:
        return beartype(conf=BeartypeConf(is_pep484_tower=True))(function)
    except BeartypeDecorHintPep3119Exception:  # a Protocol among the parameters
        return function
