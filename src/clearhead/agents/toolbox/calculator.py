"""An exact calculator: what is typed is read as a formula over fractions, and never run.

Numbers are fractions, so that 0.1 + 0.2 is 0.3. Roots that are no fraction are computed to `DIGITS` digits, and what
follows from them is told as "about". Sizes are bounded, so it always ends at once.
"""

import ast
import decimal
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Annotated

from clearhead.agents.tools import ToolError

LENGTH = 2000  # characters of an expression
BITS = 2**13  # of a numerator or denominator
LARGEST = f"{int(BITS * math.log10(2)):,} digits"
DIGITS = 50  # of what is no fraction
SHOWN = 16  # digits of a number that is shown rounded
DECIMALS = 60  # more of them are not shown
FRACTION = 80  # characters of a fraction that is shown as one
NEAR = Fraction(1, 10**30)  # numbers that are not exact and closer than that are equal
SPELLINGS = {"×": "*", "·": "*", "÷": "/", "−": "-", "^": "**", "≤": "<=", "≥": ">=", "≠": "!=", "√": "sqrt"}
NUMBER = re.compile(r"(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e([+-]?\d{1,9}))?", re.IGNORECASE)

ARITHMETIC: Mapping[type, Callable[[Fraction, Fraction], Fraction | int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
COMPARISONS: Mapping[type, Callable[[Fraction, Fraction], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


def calculator(
    expression: Annotated[str, "such as (2 + 3) * 4 / 7, 12 % 5, 2 ** 10, sqrt(2), max(1/3, 0.3), 3 < 4"],
) -> str:
    """Compute exactly with + - * / // % **, parentheses, comparisons, and sqrt, min, max, abs, round, sum."""
    if len(expression) > LENGTH:
        raise ToolError(f"an expression of {len(expression):,} characters; at most {LENGTH:,} are read")
    text = "".join(SPELLINGS.get(letter, letter) for letter in expression).strip()
    try:
        formula = _Formula(text)
        return formula.shown(formula.value(ast.parse(text, mode="eval").body))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: a null character
        raise ToolError(f"{expression!r:.80} is no expression; write one such as (2 + 3) * 4 / 7") from None


class _Formula:
    """The value of every part of a text; `exact` until there is a root that is no fraction."""

    def __init__(self, text: str) -> None:
        self.text, self.exact = text, True

    def value(self, node: ast.expr) -> Fraction | bool:
        match node:
            case ast.Constant() if not isinstance(node.value, bool):
                return _number(ast.get_source_segment(self.text, node) or "")
            case ast.UnaryOp(ast.USub() | ast.UAdd()):
                found = self.number(node.operand)
                return -found if isinstance(node.op, ast.USub) else found
            case ast.BinOp(left, ast.Pow(), right):
                return self.power(self.number(left), self.number(right))
            case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
                a, b = self.number(left), self.number(right)
                if not b and isinstance(op, ast.Div | ast.FloorDiv | ast.Mod):
                    raise ToolError(f"division by zero in {self.text!r:.80}")
                return _bounded(ARITHMETIC[type(op)](a, b))
            case ast.Compare(left, ops, others) if all(type(op) in COMPARISONS for op in ops):
                numbers = [self.number(part) for part in (left, *others)]
                return all(self.compare(op, numbers[i], numbers[i + 1]) for i, op in enumerate(ops))
            case ast.Call(ast.Name(name), args, []):
                return self.call(name, args)
            case ast.Tuple():
                raise ToolError(f"{self.text!r:.80}: a comma separates no digits; write 1000, not 1,000")
        raise ToolError(
            f"{ast.unparse(node)!r:.80} cannot be computed: numbers, + - * / // % ** and functions are read"
        )

    def number(self, node: ast.expr) -> Fraction:
        found = self.value(node)
        if isinstance(found, bool):
            raise ToolError("a comparison is no number to compute with")
        return found

    def compare(self, op: ast.cmpop, a: Fraction, b: Fraction) -> bool:
        return COMPARISONS[type(op)](a, a if not self.exact and abs(a - b) < NEAR else b)

    def power(self, base: Fraction, exponent: Fraction) -> Fraction:
        """base ** exponent; of a negative base only for whole exponents."""
        if not base and exponent < 0:
            raise ToolError(f"division by zero in {self.text!r:.80}")
        size = max(abs(base.numerator).bit_length(), base.denominator.bit_length()) - 1
        if exponent.denominator == 1:
            if size * abs(exponent) > BITS:
                raise ToolError(f"{self.text!r:.80} is too large: at most {LARGEST} are computed")
            return _bounded(base**exponent.numerator)
        if base < 0:
            raise ToolError(f"a root of a negative number in {self.text!r:.80}")
        if size * abs(exponent) > BITS:
            raise ToolError(f"{self.text!r:.80} is too large or too fine")
        root, rational = _root(base, exponent.denominator)
        if rational:
            return self.power(root, Fraction(exponent.numerator))
        self.exact = False
        with decimal.localcontext(prec=DIGITS, Emax=10**6, Emin=-(10**6)):
            return _bounded(Fraction(_decimal(base) ** _decimal(exponent)))

    def call(self, name: str, args: Sequence[ast.expr]) -> Fraction:
        if len(args) == 1 and isinstance(args[0], ast.List | ast.Tuple) and name in ("sum", "min", "max"):
            args = args[0].elts
        numbers = [self.number(part) for part in args]
        match name, numbers:
            case "sqrt", [x]:
                return self.power(x, Fraction(1, 2))
            case "abs", [x]:
                return abs(x)
            case "round", [x]:
                return Fraction(round(x))
            case "round", [x, digits] if digits.denominator == 1 and abs(digits) <= DECIMALS:
                return Fraction(round(x, int(digits)))
            case "min", [_, *_]:
                return min(numbers)
            case "max", [_, *_]:
                return max(numbers)
            case "sum", _:
                return _bounded(sum(numbers, Fraction()))
        known = name in ("sqrt", "abs", "round", "min", "max", "sum")
        raise ToolError(
            f"{name} does not take {len(numbers)} numbers like these"
            if known
            else f"there is no function {name:.40}; there are sqrt, min, max, abs, round, sum"
        )

    def shown(self, value: Fraction | bool) -> str:
        """7, 0.5, 1/3 (about 0.3333333333333333), about 1.414213562373095, true."""
        if isinstance(value, bool):
            return str(value).lower()
        if self.exact and value.denominator == 1:
            return str(value)
        places = _decimals(value.denominator)
        if self.exact and places is not None:
            digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
            return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
        with decimal.localcontext(prec=SHOWN, Emax=10**6, Emin=-(10**6)):
            near = f"about {_decimal(value).normalize() if value else 0}"
        return f"{value} ({near})" if self.exact and len(str(value)) <= FRACTION else near


def _number(literal: str) -> Fraction:
    found = NUMBER.fullmatch(literal)
    if not found:
        raise ToolError(f"{literal!r:.80} is no number to compute with")
    if found[1] and abs(int(found[1])) > BITS:
        raise ToolError(f"{literal:.80} is too large or too fine")
    return _bounded(Fraction(literal))


def _bounded(value: Fraction | int) -> Fraction:
    found = Fraction(value)
    if max(abs(found.numerator).bit_length(), found.denominator.bit_length()) > BITS:
        raise ToolError(f"a number of more than {LARGEST}; it is not computed")
    return found


def _decimal(value: Fraction) -> decimal.Decimal:
    return decimal.Decimal(value.numerator) / value.denominator


def _root(base: Fraction, degree: int) -> tuple[Fraction, bool]:
    """The root where it is a fraction, and whether it is.

    >>> _root(Fraction(4, 9), 2), _root(Fraction(2), 2)[1]
    ((Fraction(2, 3), True), False)
    """
    if base in (0, 1) or degree > BITS:
        return base, base in (0, 1)
    found = Fraction(_whole_root(base.numerator, degree), _whole_root(base.denominator, degree))
    return found, found**degree == base


def _whole_root(n: int, degree: int) -> int:
    """The largest integer whose power is at most n, by Newton's method from above."""
    if degree == 2:
        return math.isqrt(n)
    x = 1 << -(-n.bit_length() // degree)
    while (better := ((degree - 1) * x + n // x ** (degree - 1)) // degree) < x:
        x = better
    return x


def _decimals(denominator: int) -> int | None:
    """How many decimals a fraction with this denominator has; None where they never end, or are too many.

    >>> _decimals(8), _decimals(3)
    (3, None)
    """
    return next((places for places in range(1, DECIMALS + 1) if 10**places % denominator == 0), None)
