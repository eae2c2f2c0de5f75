"""The runtime check of shapes and types that pytest puts on every function of the package."""

import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from typing import Any, TypeVar, get_args

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep3119Exception

F = TypeVar("F", bound=Callable)

with_dimensions = jaxtyping.jaxtyped
CONF = BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError)  # a TypeError, as Python's own


def install() -> None:
    """Check whatever of the package is imported from now on.

    jaxtyping's hook writes `@jaxtyping.jaxtyped(typechecker=...)` over every function and class. Its own decorator
    checks arguments twice, and binds the letters of axes where none is named: here only functions that name an array
    pay for that.
    """
    jaxtyping.jaxtyped = decorator
    jaxtyping.install_import_hook("clearhead", "runtime_check.check")


def decorator(thing: Any = None, *, typechecker: Any = None) -> Any:
    if thing is None:
        return partial(decorator, typechecker=typechecker)
    if not isinstance(thing, type):
        return checked(thing)
    if is_dataclass(thing):
        thing.__init__ = checked(thing.__init__)  # type: ignore[misc]
    return thing


def checked(function: F) -> F:
    if inspect.isgeneratorfunction(function):  # its body runs later, among the axes of whoever asks it
        return with_dimensions(function, typechecker=check)
    annotations = {name: evaluated(found, function) for name, found in function.__annotations__.items()}
    function.__annotations__ = annotations
    with_types = check(function)
    arrays = any(map(names_an_array, annotations.values()))
    return with_dimensions(with_types, typechecker=None) if arrays else with_types


def evaluated(annotation: Any, function: Callable) -> Any:
    """What a quoted annotation stands for; anything, if that is not there yet or only for mypy."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, function.__globals__)
    except (NameError, AttributeError):
        return Any


def names_an_array(annotation: Any) -> bool:
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    parts = annotation if isinstance(annotation, list) else get_args(annotation)
    return any(map(names_an_array, parts))


def check(function: F) -> F:
    """beartype as mypy would have it: a whole number is a float, and membership of a Protocol is left to mypy."""
    try:
        return beartype(conf=CONF)(function)
    except BeartypeDecorHintPep3119Exception:  # a Protocol among the parameters
        return function
