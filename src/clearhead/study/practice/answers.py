"""Typed answers: a number, a fraction, a vector, a matrix or a formula, read without running anything.

Only arithmetic, a few functions and the variables of the problem are understood; everything else is refused.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from clearhead.errors import UserError
from clearhead.reference import Array
from clearhead.study.practice.notation import readings

MAX_TYPED_CHARS = 400  # characters
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "ln": np.log, "abs": np.abs, "sin": np.sin, "cos": np.cos,
    "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "max": np.maximum, "min": np.minimum,
    "log2": np.log2, "log10": np.log10,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip


def read(text: str, variables: Mapping[str, float] | None = None) -> np.ndarray:
    """The likeliest value of a typed answer; rows of a matrix may be parted by semicolons.

    >>> read("1/4").tolist(), read("0, 1.5").tolist(), read("1,2; 3,4").tolist()
    (0.25, [0.0, 1.5], [[1.0, 2.0], [3.0, 4.0]])
    >>> read("2(w x)^2", {"w": 3, "x": 2}).tolist()
    72.0

    UserError: what is no answer.
    """
    return read_all(text, variables)[0]


def read_all(text: str, variables: Mapping[str, float] | None = None) -> list[np.ndarray]:
    """The values that a typed answer may have, the likeliest first: `0,667` is a number or a vector.

    UserError: what is no answer.
    """
    if len(text) > MAX_TYPED_CHARS:
        raise UserError(f"the answer has {len(text)} characters; it may have {MAX_TYPED_CHARS}")
    known = {"pi": math.pi, "e": math.e} | dict(variables or {})
    found, first = list[np.ndarray](), None
    for meant in [x for plain in readings(text, bool(variables)) for x in _applied(plain, variables or {})]:
        try:
            found.append(_one(meant, known))
        except UserError as error:
            first = first or error
        except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
            continue
    if not found:
        raise first or UserError(
            f"{text!r} cannot be read; write a number, a fraction 1/3, a vector 1, 2 or a formula 2*(w*x - y)"
        )
    return found


def _applied(text: str, variables: Mapping[str, float]) -> list[str]:
    """A formula in which a sigmoid stands without its argument, as in σ(1 - σ), has it put in."""
    if len(variables) != 1 or "sigmoid" not in text:
        return [text]
    (z,) = variables
    bare = re.sub(rf"\bsigmoid\b(?!\s*\(\s*{re.escape(z)}\s*\))", f"(sigmoid({z}))", text)
    return [text, bare]


def _one(plain: str, known: Mapping[str, float]) -> np.ndarray:
    if ";" in plain:
        plain = "[" + ", ".join(f"[{row.strip().strip('[]')}]" for row in plain.strip("[]").split(";")) + "]"
    with np.errstate(all="ignore"):
        return np.asarray(_value(ast.parse(_times(plain, known), mode="eval").body, known), float)


def _times(text: str, known: Mapping[str, float]) -> str:
    """Products that are written without a sign: `2 x`, `2(x)`, `) (`, `a b` and `ab`, but not `exp (x)`."""
    found: list[str] = []
    before = ""
    parts = []
    for part in words(text):
        letters = part not in known and part not in FUNCTIONS and all(letter in known for letter in part)
        parts += list(part) if letters else [part]
    parts = _called(parts)
    for part in parts:
        ends = before == ")" or (before[-1:].isalnum() and before not in FUNCTIONS)
        if ends and (part[0].isalnum() or part[0] in "_.("):
            found.append("*")
        found.append(part)
        before = part
    return " ".join(found)


def _called(parts: list[str]) -> list[str]:
    """Functions without parentheses are applied to the next number or name: `ln 2`, `sqrt 2/2`."""
    found: list[str] = []
    for i, part in enumerate(parts):
        applied = i > 0 and parts[i - 1] in FUNCTIONS and (part[0].isalnum() or part[0] in "_.")
        found += ["(", part, ")"] if applied and part not in FUNCTIONS else [part]
    return found


def words(text: str) -> list[str]:
    """The words and signs of a formula.

    >>> words("2x**3 + sqrt(1e-3)")
    ['2', 'x', '**', '3', '+', 'sqrt', '(', '1e-3', ')']
    """
    found: list[str] = []
    i = 0
    while i < len(text):
        if text[i].isspace():
            i += 1
            continue
        j = i + 1
        if text[i].isdigit() or text[i] == ".":
            while j < len(text) and (text[j].isdigit() or text[j] == "."):
                j += 1
            k = j + 1 if j < len(text) and text[j] in "eE" else j
            k += k > j and k < len(text) and text[k] in "+-"
            while k > j and k < len(text) and text[k].isdigit():
                j = k = k + 1
        elif text[i].isalpha() or text[i] == "_":
            while j < len(text) and (text[j].isalnum() or text[j] == "_"):
                j += 1
        elif text[i : i + 2] == "**":
            j = i + 2
        found.append(text[i:j])
        i = j
    return found


def _value(node: ast.expr, known: Mapping[str, float]) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return np.float64(node.value)
    if isinstance(node, ast.Name):
        if node.id not in known:
            raise UserError(f"{node.id!r} is not known here; use {', '.join(known)} and {', '.join(FUNCTIONS)}")
        return np.float64(known[node.id])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        value = _value(node.operand, known)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_value(node.left, known), _value(node.right, known))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in FUNCTIONS:
            raise UserError(f"there is no function {node.func.id!r}; use {', '.join(FUNCTIONS)}")
        return FUNCTIONS[node.func.id](*(_value(argument, known) for argument in node.args))
    if isinstance(node, ast.List | ast.Tuple):
        return np.array([_value(part, known) for part in node.elts], float)
    raise ValueError("no arithmetic")


def equal(got: Array, want: Array, tolerance: float) -> bool:
    """Whether two values are the same up to rounding; axes of length 1 are overlooked.

    >>> equal(np.array([0.33, 0.67]), np.array([[1 / 3, 2 / 3]]), 0.01)
    True
    """
    a, b = np.squeeze(np.asarray(got)), np.squeeze(np.asarray(want))
    if a.shape != b.shape or not np.isfinite(a).all():
        return False
    scale = float(np.abs(b).max()) if b.size else 0.0
    return bool((np.abs(a - b) <= tolerance * scale + 1e-9).all())
