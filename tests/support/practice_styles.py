"""Ways in which other people would write a right solution, each made from a source that is right."""

import re
from collections.abc import Callable

from clearhead.study.practice.exercise import Exercise, parameters
from clearhead.study.practice.rules import frameworks

CASTS = {
    "numpy": "import numpy\n_change = lambda x: x.astype(numpy.float32) if isinstance(x, numpy.ndarray) and x.dtype == float else x\n",
    "torch": "import torch\n_change = lambda x: x.float() if torch.is_tensor(x) and x.is_floating_point() else x\n",
}
LISTS = """
def _listed(x):
    if isinstance(x, (tuple, list)):
        return type(x)(map(_listed, x))
    return x.tolist() if hasattr(x, "tolist") else x
"""


def single(exercise: Exercise, source: str) -> str:
    """In single precision."""
    (kind, *_) = frameworks(source)
    return _around(exercise, source, CASTS[kind], "*map(_change, args)", "{}")


def listed(exercise: Exercise, source: str) -> str:
    """Results as lists and plain numbers."""
    return _around(exercise, source, LISTS, "*args", "_listed({})")


def renamed(exercise: Exercise, source: str) -> str:
    """Arguments under other names, in the exercise's order."""
    names = [f"argument_{i}" for i, _ in enumerate(parameters(exercise))]
    return _around(exercise, source, "", ", ".join(names), "{}", ", ".join(names))


def annotated(exercise: Exercise, source: str) -> str:
    """With postponed annotations, a dataclass, a guarded main, and both libraries imported."""
    top = "from __future__ import annotations\nimport sys, numpy, torch\nfrom dataclasses import dataclass\n"
    rest = "@dataclass\nclass Kept:\n    x: numpy.ndarray | None = None\nif __name__ == '__main__':\n    print(Kept(), file=sys.stderr)\n"
    return f"{top}{source}\n{rest}"


def _around(exercise: Exercise, source: str, top: str, passed: str, result: str, taken: str = "*args") -> str:
    if exercise.drive:  # calls the solution in its own way
        return source
    name = exercise.name
    inner = re.sub(rf"\b{name}\b(?=\()", "_inner", source)
    return f"{inner}\n{top}\ndef {name}({taken}):\n    return {result.format(f'_inner({passed})')}\n"


STYLES: dict[str, Callable[[Exercise, str], str]] = {
    "as it is": lambda exercise, source: source, "single": single, "listed": listed, "renamed": renamed,
    "annotated": annotated,
}  # fmt: skip
