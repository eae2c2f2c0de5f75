"""How an answer is compared with the one on file: as text, as a number, by a pattern, or by the user's own function.

A checker is a function (problem, answer, expected) -> bool. A wrong or strange answer is False; only a mistake in what
the user gave (a bad pattern, a function that fails) is an error.
"""

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from clearhead.errors import UserError

Checker = Callable[[str, str, str], bool]

LONGEST = 1000  # characters of an answer that a number or a pattern is looked for in
TOLERANCE = Fraction(1, 10**6)  # relative, where one of the two numbers is a decimal

_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})?"
    r"(?:(?P<point>\.)(?P<decimals>[0-9]{0,40})|/(?P<under>[0-9]{1,40}))?"
)
_CHOICE = re.compile(r"[|*+]|(?<!\()\?|\{[0-9]*,[0-9]*\}")  # what a pattern can do in more than one way
_REPEAT = re.compile(r"[*+]|\{[0-9]*,?[0-9]*\}")


def checker(name: str) -> Checker:
    """The checker an option names: "exact", "number", "regex", or the path of a Python file with a function `check`."""
    match name:
        case "exact":
            return same_text
        case "number":
            return same_number
        case "regex":
            return matches
    if name.endswith(".py"):
        return load_check(Path(name))
    raise UserError(f"checker {name!r} is unknown; use exact, number, regex or the path of a Python file (*.py)")


def same_text(problem: str, answer: str, expected: str) -> bool:
    return answer.strip() == expected.strip()


def same_number(problem: str, answer: str, expected: str) -> bool:
    """Equal exactly; within one part in a million where a decimal point is involved. 1,000 and 3/4 are numbers too."""
    ours, theirs = read_number(answer), read_number(expected)
    if ours is None or theirs is None:
        return False
    if ours[1] or theirs[1]:
        return abs(ours[0] - theirs[0]) <= TOLERANCE * max(Fraction(1), abs(theirs[0]))
    return ours[0] == theirs[0]


def read_number(text: str) -> tuple[Fraction, bool] | None:
    """The exact value of "42", "-1,000", "0.25" or "3/4", and whether it was written with a decimal point."""
    found = _NUMBER.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if not found or not (found["whole"] or (found["point"] and found["decimals"])):
        return None
    digits, decimals = (found["whole"] or "0").replace(",", ""), found["decimals"] or ""
    under = int(found["under"]) if found["under"] else 10 ** len(decimals)
    if under == 0:
        return None
    value = Fraction(int(digits + decimals), under)
    return -value if found["sign"] in ("-", "−") else value, found["point"] is not None


def matches(problem: str, answer: str, expected: str) -> bool:
    """Does the whole answer match the pattern?"""
    return len(answer) <= LONGEST and compile_pattern(expected).fullmatch(answer.strip()) is not None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern, unless it could take for ever: a group that repeats or branches, and is repeated, as (a+)+."""
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"the pattern {pattern[:60]!r} is not a regular expression: {error}") from None
    if _repeats_a_choice(pattern):
        raise UserError(
            f"the pattern {pattern[:60]!r} repeats a group that repeats or branches, which can take for ever; "
            "write it in another way, or write a checker in a Python file"
        )
    return compiled


def _repeats_a_choice(pattern: str) -> bool:
    """Is there a repeat behind a group with a repeat, a ? or a | inside? Escapes and [classes] are skipped."""
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "c", pattern, flags=re.DOTALL)
    choices = [False]  # one for each group that is open
    for at, char in enumerate(plain):
        if char == "(":
            choices.append(False)
        elif char == ")" and len(choices) > 1:
            inner = choices.pop()
            if inner and _REPEAT.match(plain, at + 1):
                return True
            choices[-1] |= inner
        elif _CHOICE.match(plain, at):
            choices[-1] = True
    return False


def load_check(path: Path) -> Checker:
    """The function check(problem, answer) or check(problem, answer, expected) of the user's own file, which is run."""
    path = path.absolute()
    spec = importlib.util.spec_from_file_location(f"clearhead_check_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UserError(
            f"there is no file {path}; give the path of a Python file with a function check(problem, answer)"
        )
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{path} fails when it is loaded: {_told(error, path)}") from error
    check = getattr(module, "check", None)
    if not callable(check):
        raise UserError(f"{path} has no function check; write def check(problem, answer) -> bool")
    takes = _takes(check)
    if takes is None:
        raise UserError(f"check in {path} must take (problem, answer) or (problem, answer, expected)")

    def run(problem: str, answer: str, expected: str) -> bool:
        try:
            verdict = check(*(problem, answer, expected)[:takes])
        except (Exception, SystemExit) as error:
            raise UserError(f"check in {path} fails on the answer {answer[:60]!r}: {_told(error, path)}") from error
        if type(verdict).__name__ not in ("bool", "bool_"):  # NumPy's own truth value is one too
            raise UserError(
                f"check in {path} gave {verdict!r:.60} for the answer {answer[:60]!r}; return True or False"
            )
        return bool(verdict)

    return run


def _takes(check: Callable[..., object]) -> int | None:
    """How many of problem, answer and expected the function can be called with; None when neither 3 nor 2 will do."""
    for count in (3, 2):
        try:
            inspect.signature(check).bind(*range(count))
        except (TypeError, ValueError):
            continue
        return count
    return None


def _told(error: BaseException, path: Path) -> str:
    """The error in one line, with the line of the user's file that it came from."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    first = str(error).partition("\n")[0]
    return (f"line {lines[-1]}: " if lines else "") + f"{type(error).__name__}: {first}"
