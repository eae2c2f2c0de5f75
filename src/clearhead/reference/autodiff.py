"""Reverse-mode automatic differentiation on NumPy arrays: a record of operations, walked backwards once.

The walk keeps its own list, so a chain of any length is no deeper than one call. Broadcast axes are summed again on the
way back. Deliberately not here: second derivatives, and writing into arrays.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from clearhead.reference import Array

Backward = Callable[[Array], Sequence[Array]]  # gradient of the result -> gradient for each parent
Operand = Any  # a Value, or an array or a number, which become constant ones


class Value:
    """An array, the values that it was computed from, and how a gradient goes back to them.

    >>> x, y = Value(np.array(3.0)), Value(np.array(2.0))
    >>> z = x * y + x
    >>> [float(g) for g in gradients(z, [x, y])]  # y + 1, and x
    [3.0, 3.0]
    """

    __array_priority__ = 1000  # so that `ndarray + Value` is ours

    def __init__(self, data: Array, parents: "Sequence[Value]" = (), backward: Backward | None = None) -> None:
        self.data = np.asarray(data, np.float64)
        self.parents = tuple(parents)
        self.backward = backward

    def __add__(self, other: Operand) -> "Value":
        y = lift(other)
        return Value(self.data + y.data, (self, y), lambda g: (g, g))

    def __mul__(self, other: Operand) -> "Value":
        y = lift(other)
        return Value(self.data * y.data, (self, y), lambda g: (g * y.data, g * self.data))

    def __matmul__(self, other: Operand) -> "Value":
        y = lift(other)
        if self.data.ndim < 2 or y.data.ndim < 2:
            raise ValueError(f"@ takes matrices; got shapes {self.data.shape} and {y.data.shape}: add an axis")
        back = lambda g: (g @ y.data.swapaxes(-1, -2), self.data.swapaxes(-1, -2) @ g)  # noqa: E731
        return Value(self.data @ y.data, (self, y), back)

    def __pow__(self, p: float | int) -> "Value":
        return Value(self.data**p, (self,), lambda g: (g * p * self.data ** (p - 1) if p else 0 * g,))

    def __getitem__(self, index: Any) -> "Value":
        def back(g: Array) -> list[Array]:
            whole = np.zeros_like(self.data)
            np.add.at(whole, index, g)  # an element taken twice is owed twice
            return [whole]

        return Value(self.data[index], (self,), back)

    def __neg__(self) -> "Value":
        return self * -1.0

    def __sub__(self, other: Operand) -> "Value":
        return self + -lift(other)

    def __rsub__(self, other: Operand) -> "Value":
        return -self + other

    def __truediv__(self, other: Operand) -> "Value":
        return self * lift(other) ** -1.0

    def __rtruediv__(self, other: Operand) -> "Value":
        return self**-1.0 * other

    __radd__, __rmul__ = __add__, __mul__

    def sum(self, axis: int | None = None) -> "Value":
        def back(g: Array) -> list[Array]:
            return [np.broadcast_to(g if axis is None else np.expand_dims(g, axis), self.data.shape)]

        return Value(self.data.sum(axis), (self,), back)

    def max(self, axis: int) -> "Value":
        """The largest along an axis; equal ones share the gradient."""
        m = self.data.max(axis, keepdims=True)
        ties = (self.data == m) / (self.data == m).sum(axis, keepdims=True)
        return Value(m.squeeze(axis), (self,), lambda g: (np.expand_dims(g, axis) * ties,))

    def reshape(self, *shape: int) -> "Value":
        return Value(self.data.reshape(shape), (self,), lambda g: (g.reshape(self.data.shape),))

    def transpose(self, *axes: int) -> "Value":
        return Value(self.data.transpose(axes), (self,), lambda g: (g.transpose(np.argsort(axes)),))

    def exp(self) -> "Value":
        y = np.exp(self.data)
        return Value(y, (self,), lambda g: (g * y,))

    def log(self) -> "Value":
        return Value(np.log(self.data), (self,), lambda g: (g / self.data,))

    def tanh(self) -> "Value":
        y = np.tanh(self.data)
        return Value(y, (self,), lambda g: (g * (1 - y * y),))

    def relu(self) -> "Value":
        return Value(np.maximum(self.data, 0), (self,), lambda g: (g * (self.data > 0),))


def lift(x: Operand) -> Value:
    """A constant as a value that nobody asks the gradient of."""
    return x if isinstance(x, Value) else Value(np.asarray(x))


def topological_order(last: Value) -> list[Value]:
    """Everything that `last` was computed from, each after what it was computed from itself, `last` at the end.

    >>> x = Value(np.array(1.0))
    >>> y = x * x
    >>> topological_order(y)[0] is x, topological_order(y)[-1] is y
    (True, True)

    O(operations), by a list of places to go back to in the place of recursion. Cormen et al. 2022, section 20.4.
    """
    order: list[Value] = []
    seen: set[int] = set()
    stack: list[tuple[Value, bool]] = [(last, False)]
    while stack:
        value, parents_done = stack.pop()
        if parents_done:
            order.append(value)
        elif id(value) not in seen:
            seen.add(id(value))
            stack.append((value, True))
            stack.extend((parent, False) for parent in value.parents)
    return order


def gradients(result: Value, wanted: Sequence[Value]) -> list[Float[Array, "..."]]:
    """∂ result / ∂ each of `wanted`; zeros for what the result does not depend on.

    A value used several times receives the sum: the chain rule over all paths, each edge walked once.

    >>> x = Value(np.array([1.0, 2.0, 3.0]))
    >>> gradients((x * x).sum(), [x])[0].tolist()
    [2.0, 4.0, 6.0]

    O(operations), a small multiple of computing the result. Griewank and Walther 2008, section 3.2.
    ValueError: the result is not one number.
    """
    if result.data.size != 1:
        raise ValueError(f"a gradient is of one number; the result has shape {result.data.shape}: sum it first")
    owed: dict[int, Array] = {id(result): np.ones_like(result.data)}
    for value in reversed(topological_order(result)):
        g = owed.get(id(value))
        if g is None or value.backward is None:
            continue
        for parent, share in zip(value.parents, value.backward(g), strict=True):
            share = _unbroadcast(share, parent.data.shape)
            owed[id(parent)] = owed[id(parent)] + share if id(parent) in owed else share
    return [owed.get(id(value), np.zeros_like(value.data)) for value in wanted]


def _unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of a value that was broadcast: the sum over its copies."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    return g.sum(tuple(i for i, size in enumerate(shape) if size == 1 and g.shape[i] != 1), keepdims=True)
