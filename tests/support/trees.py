"""Weights that come as named tuples of arrays, laid flat so that each array can be held against its derivative."""

from collections.abc import Callable
from typing import Any

from against import check_vjp


def leaves(tree: Any) -> list[Any]:
    """What stands at the ends of nested tuples, in order."""
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, tuple) else [tree]


def arrays(tree: Any) -> list[Any]:
    """The leaves that are there: a weight that a model goes without is None."""
    return [leaf for leaf in leaves(tree) if leaf is not None]


def filled(tree: Any, values: list[Any]) -> Any:
    """A tree of the same form whose leaves are `values`, which are used up from the front."""
    if not isinstance(tree, tuple):
        return values.pop(0)
    parts = [filled(part, values) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)


def check_tree_vjp(
    f: Callable[..., Any], f_vjp: Callable[..., Any], *args: Any, peer: Callable[..., Any] | None = None
) -> None:
    """check_vjp for functions among whose arguments are trees; `peer` is given trees of tensors."""

    def value(*flat: Any) -> Any:
        return f(*filled(args, list(flat)))

    def gradient(*flat: Any) -> Any:
        rest = list(flat)
        found = f_vjp(*filled(args, rest), *rest)
        return tuple(arrays(found))

    def theirs(*flat: Any) -> Any:
        return peer(*filled(args, list(flat)))

    check_vjp(value, gradient, *leaves(args), peer=theirs if peer else None)
