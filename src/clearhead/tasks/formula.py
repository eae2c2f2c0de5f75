r"""Are two typed formulas the same? Both are read without running anything, and evaluated at a few fixed points.

Arithmetic, powers, roots, the usual functions, one-letter variables, LaTeX's \frac, \sqrt and signs; a tuple or set is
compared part by part. Two formulas of which one cannot be read are the same only as texts.
Deliberately not here: exact algebra. Formulas that differ by less than a billionth at every point count as the same,
except plain whole numbers and fractions, which are compared exactly.
"""

import ast
import cmath
import math
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

MAX_FORMULA_CHARS = 400  # characters
CLOSE = 1e-9  # relative
POINTS = 4  # that the variables are tried at
MAX_VALUE = 1e60  # a value beyond is none: it says nothing about the formula

_REWRITES = (
    (r"\\(?:left|right|displaystyle|,|;|!|quad)|\$|~", ""),
    (r"\\(?:text|mathrm|mbox)\{([^{}]*)\}", r"\1"),
    (r"\\[dt]?frac\s*([0-9])\s*([0-9])", r"((\1)/(\2))"),
    (r"\\(?:cdot|times)|[×·∗]", "*"),
    (r"\\div|÷", "/"),
    (r"\\(pi|theta|alpha|beta|gamma|lambda|mu|sigma|phi|omega|sin|cos|tan|sqrt|exp|log|ln)", r" \1 "),
    (r"[−–]", "-"), (r"π", " pi "), (r"√", " sqrt "), (r"\^|\*\*", "^"),
)  # fmt: skip
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"(?:\\sqrt|sqrt)\s*\[([^\[\]]*)\]\s*\{([^{}]*)\}")
_GROUP = re.compile(r"(\\sqrt|\^|_)\s*\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<![0-9,])([0-9]{1,3}(?:,[0-9]{3})+)(?![0-9,])")
_ASSIGNED = re.compile(r"([A-Za-z])\s*=(?!=)(.*)", re.DOTALL)
_EXACT = re.compile(r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,40}|/[0-9]{1,40})?|\.[0-9]{1,40})")
_WORDS = re.compile(r"[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+|[A-Za-z]+|[-+*/^()]|\S")
_FUNCTIONS: Mapping[str, Callable[[complex], complex]] = {
    "sqrt": cmath.sqrt, "exp": cmath.exp, "log": cmath.log, "ln": cmath.log, "sin": cmath.sin, "cos": cmath.cos,
    "tan": cmath.tan, "abs": abs,
}  # fmt: skip
_GREEK = ("theta", "alpha", "beta", "gamma", "mu", "sigma", "phi", "omega")
_OPERATORS: Mapping[type[ast.operator], Callable[[complex, complex], complex]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip


def same_formula(problem: str, answer: str, expected: str) -> bool:
    r"""Do the two formulas have the same values?

    >>> same_formula("", "(x+1)^2", "x^2 + 2x + 1"), same_formula("", r"\frac{1}{2}", "0.5")
    (True, True)
    """
    if max(len(answer), len(expected)) > MAX_FORMULA_CHARS or not answer.strip():
        return False
    if "".join(answer.split()) == "".join(expected.split()):
        return True
    (name, ours), (other, theirs) = assigned(answer), assigned(expected)
    (kind, left), (other_kind, right) = parts(ours), parts(theirs)
    if kind != other_kind or len(left) != len(right) or (name and other and name != other):
        return False
    return _paired(left, right) if kind == "{" else all(map(_same, left, right))


def assigned(text: str) -> tuple[str, str]:
    """(name, formula) of "x = 3"; the name is empty where there is none. LaTeX is made plain."""
    plain = plainly(text).strip().rstrip(".").strip()
    found = _ASSIGNED.fullmatch(plain)
    return (found[1], found[2].strip()) if found else ("", plain)


def parts(plain: str) -> tuple[str, list[str]]:
    r"""("(", "[", "{" or "", the formulas that stand in it): a tuple, a list, a set, or one formula.

    >>> parts("(1, 2)"), parts(r"\{3, 1\}"), parts("f(x)")
    (('(', ['1', '2']), ('{', ['3', '1']), ('', ['f(x)']))
    """
    plain = plain.replace("\\{", "{").replace("\\}", "}")
    is_set = plain[:1] + plain[-1:] == "{}"
    bare = plain[1:-1] if plain[:1] + plain[-1:] in ("()", "[]", "{}") else plain
    depth, found = 0, [""]
    for char in bare:
        depth += (char in "([") - (char in ")]")
        if depth < 0:
            return "", [plain]
        if char == "," and depth == 0:
            found.append("")
        else:
            found[-1] += char
    if depth or not (is_set or len(found) > 1):
        return "", [plain]
    return plain[0] if bare != plain else "(", [part.strip() for part in found]


def plainly(text: str) -> str:
    """LaTeX as a plain formula, as far as it is one."""
    text = _THOUSANDS.sub(lambda found: found[1].replace(",", ""), text)
    for pattern, plain in ((_FRACTION, r"((\1)/(\2))"), (_ROOT, r"((\2)^(1/(\1)))"), (_GROUP, r"\1(\2)")) * 4:
        text = pattern.sub(plain, text)  # the innermost first, four deep
    for found, put in _REWRITES:
        text = re.sub(found, put, text)
    return text


def _paired(ours: list[str], theirs: list[str]) -> bool:
    """Can every part be paired with an equal one?"""
    left = list(theirs)
    for part in ours:
        match = next((other for other in left if _same(part, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same(answer: str, expected: str) -> bool:
    if "".join(answer.split()) == "".join(expected.split()) != "":
        return True
    try:
        if _EXACT.fullmatch(answer) and _EXACT.fullmatch(expected):
            return Fraction(answer) == Fraction(expected)
        trees = [_tree(text) for text in (answer, expected)]
        names = sorted({node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)})
        compared = 0
        for point in range(2 * POINTS):
            where = _point(names, point)
            values = [_tried(tree, where) for tree in trees]
            if (values[0] is None) != (values[1] is None):
                return False
            if values[0] is None or values[1] is None:
                continue
            if abs(values[0] - values[1]) > CLOSE * max(1e-3, abs(values[1])):
                return False
            compared += 1
        return compared >= POINTS
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return False


def _point(names: list[str], point: int) -> dict[str, complex]:
    """Values of the variables, positive and negative, that no simple relation holds between."""
    values = {name: math.sin(37.0 * (i + 1) + 11.3 * (point + 1)) * 3.1 for i, name in enumerate(names)}
    return values | {"pi": math.pi, "e": math.e, "i": 1j}


def _tree(text: str) -> ast.expr:
    """The formula as Python would read it, with the products that are not written put in."""
    words: list[str] = []
    for word in _WORDS.findall(text):
        known = word in _FUNCTIONS or word in _GREEK or word == "pi"
        letters = list(word) if word.isalpha() and not known and set(word) <= set("abcxyz") else [word]
        for part in letters:
            if words and words[-1] in _FUNCTIONS and part != "(":
                words += ["(", part, ")"]
                continue
            ends = bool(words) and (words[-1] == ")" or (words[-1][-1].isalnum() and words[-1] not in _FUNCTIONS))
            words += ["*"] * (ends and (part[0].isalnum() or part[0] in "(.")) + ["**" if part == "^" else part]
    return ast.parse(" ".join(words), mode="eval").body


def _tried(tree: ast.expr, where: Mapping[str, complex]) -> complex | None:
    """The value there; None where there is none, as of 1/0, or it is too large to mean anything."""
    try:
        value = complex(_value(tree, where))
    except (ArithmeticError, ValueError):  # the second is a logarithm of 0
        return None
    return value if abs(value) < MAX_VALUE else None


def _value(node: ast.expr, where: Mapping[str, complex]) -> complex:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return complex(value)
        case ast.Name(id=name) if name in where and (len(name) == 1 or name in _GREEK or name == "pi"):
            return where[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, where)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, where)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, where), _value(right, where))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_value(argument, where))
    raise SyntaxError("no formula")
