"""Reverse-mode automatic differentiation of scalars."""

from typing import Any

import numpy as np

from clearhead.reference.autodiff import Value, gradients
from clearhead.study.practice.exercise import Exercise

Step = tuple[str, int, int]  # what is done, and with which values


def _oracle(leaves: np.ndarray, steps: list[Step]) -> tuple[float, np.ndarray]:
    values = [Value(np.array(x)) for x in leaves]
    wanted = values.copy()
    for what, i, j in steps:
        if what in ("add", "mul"):
            values.append(values[i] + values[j] if what == "add" else values[i] * values[j])
        elif what == "scale":
            values.append(values[i] * float(j))
        else:
            values.append(values[i].tanh() if what == "tanh" else values[i].relu())
    return float(values[-1].data), np.array([float(g) for g in gradients(values[-1], wanted)])


def _draw(rng: np.random.Generator, n: Any) -> dict[str, Any]:
    steps = []
    for place in range(n.N, n.N + n.L):
        what = str(rng.choice(["add", "mul", "mul", "scale", "tanh", "relu"]))
        i = place - 1 if rng.random() < 0.6 else int(rng.integers(place))
        steps.append((what, i, int(rng.integers(place)) if what != "scale" else int(rng.integers(2, 4))))
    return {"leaves": rng.normal(size=n.N), "steps": steps}


exercise = Exercise(
    title="Micrograd",
    section="Backpropagation",
    statement="""
A class Value that holds a number in .data and its gradient in .grad, 0.0 at first. Two Values, or a Value and a number
to its right, can be added and multiplied, giving a Value; v.tanh() and v.relu() give one too. v.backward() sets .grad
of every Value that v was computed from, and 1 for v itself. A Value may be used several times: its gradients add up.
The gradient of relu at 0 does not matter.
""",
    signature='''
class Value:
    def __init__(self, data):
        self.data = data
        self.grad = 0.0

    def __add__(self, other): raise NotImplementedError
    def __mul__(self, other): raise NotImplementedError
    def tanh(self): raise NotImplementedError
    def relu(self): raise NotImplementedError
    def backward(self): raise NotImplementedError
''',
    sizes={"N": (2, 3), "L": (2, 8)},
    draw=_draw,
    edges=lambda rng: [
        {"leaves": np.array([3.0, 0.7]), "steps": [("mul", 0, 0), ("add", 2, 0), ("mul", 3, 2), ("add", 4, 3)]},
        {"leaves": np.array([0.5, -2.0]), "steps": [("add", 0, 0), ("tanh", 2, 0), ("mul", 3, 2), ("mul", 4, 1)]},
        {"leaves": np.array([-0.6, 2.0]), "steps": [("scale", 0, 3), ("relu", 2, 0), ("add", 3, 1), ("mul", 4, 1)]},
        {"leaves": np.array([1.3, 0.4]), "steps": [("mul", 0, 1), ("tanh", 2, 0), ("add", 3, 2), ("mul", 4, 3), ("add", 5, 2)]},
        {"leaves": np.array([0.9, 0.4]), "steps": [("mul", 0, 1), ("tanh", 2, 0), ("add", 2, 3)]},
        {"leaves": np.array([0.3, 0.4]), "steps": [("add", 0, 1), ("mul", 2, 1), ("add", 3, 2), ("relu", 4, 0), ("mul", 5, 3)]},
    ],
    oracle=_oracle,
    outputs=("value", "gradients of the first values"),
    drive="""
def drive(learner, leaves, steps):
    values = [learner.Value(float(x)) for x in leaves]
    first = values[:]
    for what, i, j in steps:
        if what == "add":
            values.append(values[i] + values[j])
        elif what == "mul":
            values.append(values[i] * values[j])
        elif what == "scale":
            values.append(values[i] * float(j))
        else:
            values.append(getattr(values[i], what)())
    values[-1].backward()
    return float(values[-1].data), [float(v.grad) for v in first]
""",
    hints=(
        "Each operation knows its local derivatives. What has to be remembered when it is done?",
        "A Value's gradient is complete only when all that was computed from it is done: go in reverse topological order.",
        "Keep parents and a function that does parent.grad += local * self.grad; sort depth-first; walk reversed.",
    ),
    solution="""
import math

class Value:
    def __init__(self, data, parents=()):
        self.data, self.grad, self.parents = data, 0.0, parents  # parents: (Value, local derivative)

    def __add__(self, other):
        if not isinstance(other, Value):
            other = Value(other)
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        if not isinstance(other, Value):
            other = Value(other)
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def tanh(self):
        y = math.tanh(self.data)
        return Value(y, ((self, 1 - y * y),))

    def relu(self):
        return Value(max(self.data, 0.0), ((self, float(self.data > 0)),))

    def backward(self):
        order, seen = [], set()
        def visit(v):
            if id(v) not in seen:
                seen.add(id(v))
                for parent, _ in v.parents:
                    visit(parent)
                order.append(v)
        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            for parent, local in v.parents:
                parent.grad += local * v.grad
""",
    torch="""
import torch

class Value:
    def __init__(self, data):
        self.x = data if torch.is_tensor(data) else torch.tensor(data, dtype=torch.float64, requires_grad=True)
        if self.x.requires_grad:
            self.x.retain_grad()

    @property
    def data(self):
        return self.x.item()

    @property
    def grad(self):
        return 0.0 if self.x.grad is None else self.x.grad.item()

    def __add__(self, other):
        return Value(self.x + (other.x if isinstance(other, Value) else other))

    def __mul__(self, other):
        return Value(self.x * (other.x if isinstance(other, Value) else other))

    def tanh(self):
        return Value(self.x.tanh())

    def relu(self):
        return Value(self.x.relu())

    def backward(self):
        self.x.backward()
""",
    wrong={
        "a Value that is used twice keeps only its last gradient: = where += must be": ("parent.grad += local * v.grad", "parent.grad = local * v.grad"),
        "gradients go back before they are complete: the order is not topological": (
            "                for parent, _ in v.parents:\n                    visit(parent)\n                order.append(v)\n",
            "                order.append(v)\n                for parent, _ in v.parents:\n                    visit(parent)\n", "reversed(order)", "order",
        ),
        "the order is not reversed": ("in reversed(order)", "in order"),
        "the gradient of v itself is not set to 1": ("        self.grad = 1.0\n", ""),
        "the derivatives of a product have changed places": ("((self, other.data), (other, self.data))", "((self, self.data), (other, other.data))"),
        "the derivative of tanh is 1 - tanh, its square is missing": ("1 - y * y", "1 - y"),
        "relu lets the gradient through everywhere": ("float(self.data > 0)", "1.0"),
        "only the direct parents get a gradient": ("for v in reversed(order)", "for v in [self]"),
        "local derivatives are not multiplied by the gradient that comes in": ("local * v.grad", "local"),
        "every path is walked on its own, and a Value passes on what it has already passed on": (
            "            if id(v) not in seen:\n                seen.add(id(v))\n                for parent, _ in v.parents:\n                    visit(parent)\n                order.append(v)\n",
            "            for parent, _ in v.parents:\n                visit(parent)\n            order.append(v)\n",
        ),
    },
)  # fmt: skip
