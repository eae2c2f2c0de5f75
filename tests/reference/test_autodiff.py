"""The small autodiff against torch's on fixed and random expressions, and on a very long chain."""

import random

import numpy as np
import pytest
import torch
from against import close

from clearhead.reference.autodiff import Value, gradients, topological_order

RNG = np.random.default_rng(1)
A, B, C = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2)), RNG.normal(size=(4,))


def agrees(f, g, *arrays) -> None:
    """f on Values and g on tensors have the same result and gradients."""
    values, tensors = [Value(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    mine, theirs = f(*values), g(*tensors)
    close(mine.data, theirs.detach().numpy())
    found = gradients(mine, values)
    wanted = torch.autograd.grad(theirs, tensors, allow_unused=True)
    for got, want, array in zip(found, wanted, arrays, strict=True):
        close(got, np.zeros_like(array) if want is None else want.numpy())


def test_a_network() -> None:
    def loss(x, w, b):
        h = (x @ w + b[0]).tanh()
        return ((h * h).sum(1).exp() + (1.0 / (1.0 + h**2.0)).sum(1)).log().sum()

    agrees(loss, loss, A, B, RNG.normal(size=(1, 2)))


def test_each_operation() -> None:
    def pairs(name, *args):
        return (lambda x: (getattr(x, name)(*args) * x.sum()).sum(),) * 2

    for name in ("exp", "tanh", "relu"):
        agrees(*pairs(name), A)
    agrees(lambda x: (x * x).log().sum(), lambda x: (x * x).log().sum(), A)
    agrees(lambda x: (x.max(1) ** 2.0).sum(), lambda x: (x.max(1).values ** 2).sum(), A)
    agrees(lambda x: (x.transpose(1, 0) @ x).sum(), lambda x: (x.T @ x).sum(), A)
    turned = RNG.normal(size=(4, 2, 3))
    agrees(lambda x: (x.transpose(2, 0, 1) * turned.transpose(2, 0, 1) * x.sum()).sum(),
           lambda x: (x.permute(2, 0, 1) * torch.tensor(turned).permute(2, 0, 1) * x.sum()).sum(),
           RNG.normal(size=(4, 2, 3)))  # fmt: skip
    agrees(lambda x: (x.reshape(2, 6)[0] ** 3.0).sum(), lambda x: (x.reshape(2, 6)[0] ** 3).sum(), A)
    agrees(lambda x: (x[[0, 0, 2]] ** 2.0).sum(), lambda x: (x[[0, 0, 2]] ** 2).sum(), A)
    agrees(lambda x: (2.0 - x).sum() / 3.0, lambda x: (2.0 - x).sum() / 3.0, A)
    agrees(lambda x: (x**0.0).sum(), lambda x: (x**0.0).sum(), A)
    agrees(lambda x, y: (x - y).sum(), lambda x, y: (x - y).sum(), A, C)
    tied = Value(np.array([[2.0, 2.0, 1.0]]))
    assert gradients(tied.max(1).sum(), [tied])[0].tolist() == [[0.5, 0.5, 0]]


def test_broadcasting_is_undone() -> None:
    agrees(lambda x, y: (x * y).sum(), lambda x, y: (x * y).sum(), A, C)
    agrees(lambda x, y: (x / y).sum(), lambda x, y: (x / y).sum(), A[:, :1], C)
    agrees(lambda x, y: (x * y).sum(), lambda x, y: (x * y).sum(), A, np.array(2.0))
    agrees(lambda x, y: (x * y).sum(), lambda x, y: (x * y).sum(), A[:, :1], A[:, :2])
    agrees(lambda x, y: (x * y).sum(), lambda x, y: (x * y).sum(), A[:1], A[:2])
    batch = RNG.normal(size=(2, 3, 4))
    agrees(lambda x, y: ((x @ y) ** 2.0).sum(), lambda x, y: ((x @ y) ** 2).sum(), batch, B)


@pytest.mark.parametrize("seed", range(20))
def test_random_expressions(seed: int) -> None:
    plan = random.Random(seed)
    choices = [(plan.randrange(5), plan.randrange(3 + i), plan.randrange(3 + i)) for i in range(25)]

    def expression(*inputs):
        nodes = list(inputs)
        for kind, i, j in choices:
            x, y = nodes[i], nodes[j]
            nodes.append([x + y, x * y, (x * 0.3).tanh(), x - y * 0.5, (y * y + 1.0) ** -0.5][kind])
        return (nodes[-1] + nodes[-2].tanh()).sum()

    agrees(expression, expression, *RNG.normal(size=(3, 2, 3)))


def test_a_chain_of_ten_thousand_operations() -> None:
    x = Value(np.array(1.0))
    y = x
    for _ in range(10_000):
        y = y * 0.9999 + 0.0001
    assert len(topological_order(y)) > 20_000
    close(gradients(y, [x])[0], 0.9999**10_000)


def test_shared_parts_are_walked_once() -> None:
    x = Value(np.array(1.0))
    y = x
    for _ in range(60):
        y = y + y  # 2^60 paths
    assert gradients(y, [x])[0] == 2.0**60


def test_what_is_not_used_has_no_gradient() -> None:
    x, unused = Value(A), Value(C)
    assert gradients((x * 0.0).sum(), [unused])[0].tolist() == [0, 0, 0, 0]
    assert isinstance(A + x, Value) and isinstance(A * x, Value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradients(Value(A), [Value(A)]), r"shape \(3, 4\)"),
        (lambda: Value(A) @ Value(C), "@ takes matrices"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
