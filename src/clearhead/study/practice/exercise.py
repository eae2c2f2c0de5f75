"""What an exercise is: one frozen record, with its inputs drawn from the named axes of its signature.

A wrong solution does two jobs. The grader must reject it, and when a learner's results equal its results, its sentence
tells the learner what happened.
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.study import exercises

# Sizes that an axis takes unless the exercise says otherwise: small, and unequal often enough to tell axes apart.
RANGES = {
    "B": (1, 3), "T": (1, 6), "S": (1, 7), "D": (1, 6), "H": (1, 4), "G": (1, 2), "C": (1, 5), "F": (1, 7),
    "V": (2, 8), "L": (1, 3), "R": (1, 3), "N": (1, 8), "K": (1, 6),
}  # fmt: skip
ANNOTATION = re.compile(r'(\w+): "float\[([\w, ]*)\]"')
Draw = Callable[[np.random.Generator, Any], dict[str, Any]]


@dataclass(frozen=True)
class Exercise:
    """A task with a known answer, two right solutions and several wrong ones."""

    title: str
    section: str
    statement: str
    signature: str  # `def f(x: "float[T, D]") -> "float[T]":`, or the whole text of a stub that is more than that
    oracle: Callable[..., Any]
    solution: str  # in NumPy
    torch: str  # in PyTorch
    wrong: Mapping[str, "str | tuple[str, ...]"]  # sentence -> source, or (old, new, ...) in `solution`
    hints: tuple[str, str, str]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    draw: Draw | None = None  # of what the annotations do not say; sees the sizes as attributes
    edges: Callable[[np.random.Generator], list[dict[str, Any]]] | None = None  # inputs that tell wrong from right
    outputs: tuple[str, ...] = ()  # names of the parts, where the result is a tuple
    forbidden: tuple[str, ...] = ()  # dotted names that may not be called
    drive: str = ""  # source of `drive(learner, **inputs)`, where calling the one function is not all
    tolerance: float | None = None  # of the largest value wanted, where the statement says how near is near enough
    vjp: Callable[..., dict[str, Any]] | None = None  # (dy, **inputs) -> gradients that a PyTorch solution must have
    memory: tuple[Mapping[str, int], int] | None = None  # sizes, and the bytes that may be alive at once
    seconds: float = 10.0

    @property
    def name(self) -> str:
        """What a learner must define: the first function or class of the signature."""
        found = re.search(r"^(?:def|class) (\w+)", self.signature, re.MULTILINE)
        assert found, "a signature defines something"
        return found[1]


def names() -> list[str]:
    """The exercises that there are, as they are called on the command line."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(exercises.__path__))


def load(name: str) -> Exercise:
    """The exercise of that name.

    >>> load("softmax").title
    'Softmax without overflow'

    UserError: there is none.
    """
    if name not in names():
        raise UserError(f"no exercise {name!r}{nearest(name, names())}")
    module = importlib.import_module(f"{exercises.__name__}.{name.replace('-', '_')}")
    found = module.exercise
    assert isinstance(found, Exercise)
    return found


def parameters(exercise: Exercise) -> list[str]:
    """The names of the function's arguments in their order; none where a class is to be written."""
    head = exercise.signature.strip()
    if not head.startswith("def "):
        return []
    (function,) = ast.parse(f"{head} pass").body
    assert isinstance(function, ast.FunctionDef)
    return [argument.arg for argument in function.args.args]


def file_of(name: str, folder: str) -> Path:
    """Where a learner writes an exercise: a name that Python can import."""
    return Path(folder) / f"{name.replace('-', '_')}.py"


def inputs(exercise: Exercise, rng: np.random.Generator, sizes: Mapping[str, int] | None = None) -> dict[str, Any]:
    """One set of arguments: every `float[...]` of the signature drawn from a normal, the rest by `draw`."""
    floats = [(name, [axis.strip() for axis in axes.split(",") if axis.strip()]) for name, axes in _floats(exercise)]
    axes = [*dict.fromkeys([*(axis for _, all_ in floats for axis in all_), *exercise.sizes])]
    chosen = {axis: int(rng.integers(*_range(exercise, axis), endpoint=True)) for axis in axes}
    chosen |= sizes or {}
    found = {name: rng.normal(size=[chosen[axis] for axis in shape]) for name, shape in floats}
    if exercise.draw is not None:
        found |= exercise.draw(rng, SimpleNamespace(**chosen))
    return found


def smallest(exercise: Exercise) -> dict[str, int]:
    """The least size of every axis: the first case, whose failure is the easiest to read."""
    axes = {axis.strip() for _, all_ in _floats(exercise) for axis in all_.split(",") if axis.strip()}
    return {axis: _range(exercise, axis)[0] for axis in sorted(axes | set(exercise.sizes))}


def mutant(exercise: Exercise, sentence: str) -> str:
    """The source of a wrong solution."""
    change = exercise.wrong[sentence]
    if isinstance(change, str):
        return change
    text = exercise.solution
    for old, new in zip(change[::2], change[1::2], strict=True):
        assert text.count(old) == 1, f"{sentence!r} replaces {old!r}, found {text.count(old)} times"
        text = text.replace(old, new)
    return text


def stub(exercise: Exercise, command_name: str) -> str:
    """The file that a learner starts from."""
    rules = [f"Do not call {name}." for name in exercise.forbidden]
    if exercise.memory is not None:
        sizes, limit = exercise.memory
        told = ", ".join(f"{axis} = {size}" for axis, size in sizes.items())
        rules.append(f"At {told} no more than {limit / 2**20:g} MiB may be alive at once.")
    rules.append("Only the standard library's harmless modules, numpy and torch may be imported.")
    body = exercise.signature.strip("\n")
    if body.endswith(":"):
        body = _wrapped(body) + "\n    raise NotImplementedError"
    ast.parse(body)
    return "\n".join([
        f'"""{exercise.title}.', "", exercise.statement.strip(), "", *rules, "",
        f"Grade it: clearhead practice grade {command_name}", '"""', "",
        "import numpy as np  # or: import torch, and the arrays come as float64 tensors", "", "", body, "",
    ])  # fmt: skip


def _wrapped(head: str) -> str:
    """The head of a function, one argument a line where it is long.

    >>> _wrapped('def f(x: "float[T]", n: int) -> float:')
    'def f(x: "float[T]", n: int) -> float:'
    """
    if max(map(len, head.splitlines())) <= 100:
        return head
    function = ast.parse(f"{head} pass").body[0]
    assert isinstance(function, ast.FunctionDef) and function.returns is not None
    arguments = "".join(f"    {ast.unparse(argument)},\n" for argument in function.args.args)
    return f"def {function.name}(\n{arguments}) -> {ast.unparse(function.returns)}:".replace("'", '"')


def _floats(exercise: Exercise) -> list[tuple[str, str]]:
    """The arrays that the signature names; with a drive the inputs are the drive's, and `draw` makes all of them."""
    head = "" if exercise.drive else exercise.signature.partition("->")[0]
    return ANNOTATION.findall(head)


def _range(exercise: Exercise, axis: str) -> tuple[int, int]:
    return exercise.sizes.get(axis) or RANGES[axis]
