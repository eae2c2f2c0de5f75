"""How an answer is compared with the one on file: as text, number, formula, JSON, by a pattern or the user's function.

A comparison is a function (problem, answer, expected) -> bool, total over every text: a strange answer is wrong, never
an error. What the user brings, a pattern or a file with a function `check`, is run in a process of its own and has a
limit of time.
"""

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from clearhead.errors import UserError
from clearhead.tasks.formula import same_formula
from clearhead.tasks.userfile import UserFile
from clearhead.terminal import echo, one_line

Compare = Callable[[str, str, str], bool]

JOINT = " | "  # where the lines of an answer were joined
MAX_ANSWER_CHARS = 1000  # characters of an answer that a number or a pattern is looked for in
LONGEST_JSON = 100_000
TOLERANCE = Fraction(1, 10**6)  # relative, where one of the two numbers is a decimal

_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{1,40})?"
    r"(?:(?P<point>\.)(?P<decimals>[0-9]{0,40})|/(?P<under>[0-9]{1,40}))?"
)
_IN_TEXT = re.compile(r"(?<![\w.,/])[-+−]?(?:[0-9][0-9,]*(?:\.[0-9]+|/[0-9]+)?|\.[0-9]+)(?![\w/])")
_CHOICE = re.compile(r"[|*+?{]")  # what a pattern can do in more than one way
_LETTER = r"[(\[]?\s*([A-J])\s*[)\]]?"
_LETTER_ALONE = re.compile(rf"\W*{_LETTER}\W*", re.IGNORECASE)
_LETTER_FIRST = re.compile(r"\s*(?:\(([A-J])\)|([A-J])[).:])\s")
_LETTER_NAMED = re.compile(
    rf"\b(?:answer|choice|option)(?:\s+is)?\s*:?\s*(?:option\s+|choice\s+)?{_LETTER}\s*(?=[.,:;!*\n]|$)", re.IGNORECASE
)
_LETTER_IN_BRACKETS = re.compile(r"\(([A-J])\)")
_BULLET = re.compile(r"\s*(?:[-*•]\s+|[0-9]+[.)]\s+)?")


@dataclass(frozen=True)
class Checker:
    """A comparison that is total: what fails or takes too long is counted, told and wrong."""

    name: str
    compare: Compare
    seconds: float = 2.0
    troubles: Counter[str] = field(default_factory=Counter)

    def __call__(self, problem: str, answer: str, expected: str) -> bool:
        try:
            return self.is_right(problem, answer, expected)
        except TimeoutError:
            self._count(f"the checker {self.name} took longer than {self.seconds:g} s", "")
        except UserError as error:
            self._count(f"the checker {self.name} failed", f"; this one: {error}")
        return False

    def is_right(self, problem: str, answer: str, expected: str) -> bool:
        """Is the answer right as it was joined to one line, or with its lines apart?

        TimeoutError and UserError: the user's part takes too long, or fails.
        """
        apart = (answer.replace(JOINT, "\n"), expected.replace(JOINT, "\n"))
        failure: Exception | None = None
        for form in dict.fromkeys([(answer, expected), apart]):
            try:
                if self.compare(problem, *form):
                    return True
            except (UserError, TimeoutError) as error:
                failure = error
        if failure:
            raise failure
        return False

    def accepts(self, problem: str, answer: str, expected: str) -> bool:
        """`is_right`, with what fails as wrong, and not counted."""
        try:
            return self.is_right(problem, answer, expected)
        except (UserError, TimeoutError):
            return False

    def _count(self, what: str, detail: str) -> None:
        self.troubles[what] += 1
        times = self.troubles[what]
        if str(times).strip("0") == "1":  # 1, 10, 100, ...
            told = f"{what} on {times} answer{'s' * (times > 1)} so far; counted as wrong{detail}"
            echo(one_line(told), err=True)


def checker(name: str, seconds: float = 2.0) -> Checker:
    """The checker that an option names: one of NAMES, "number:TOLERANCE", or the path of a Python file with `check`."""
    if seconds <= 0:
        raise UserError(f"check_seconds = {seconds} must be above 0")
    kind, colon, tolerance = name.partition(":")
    if name in BUILT_IN:
        return Checker(name, BUILT_IN[name], seconds)
    if name == "regex":
        return Checker(name, matcher(seconds), seconds)
    if colon and kind == "number":
        return Checker(name, number_within(tolerance), seconds)
    if name.endswith(".py"):
        return Checker(name, load_check(Path(name), seconds), seconds)
    raise UserError(f"checker {name!r} is unknown; use {', '.join(NAMES)} or the path of a Python file (*.py)")


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


def number_within(tolerance: str) -> Compare:
    """Numbers that differ by at most `tolerance`, or by that share of the expected one where it ends in %.

    >>> number_within("0.01")("", "3.14", "3.1416"), number_within("1%")("", "990", "1000")
    (True, True)
    """
    bound = read_number(tolerance.removesuffix("%"))
    if bound is None or bound[0] < 0:
        raise UserError(f"checker number:{tolerance}: {tolerance!r} is no tolerance; write number:0.01 or number:1%")
    limit = bound[0]
    share = tolerance.endswith("%")

    def compare(problem: str, answer: str, expected: str) -> bool:
        ours, theirs = read_number(answer), read_number(expected)
        if ours is None or theirs is None:
            return False
        return abs(ours[0] - theirs[0]) <= (limit / 100 * abs(theirs[0]) if share else limit)

    return compare


def read_number(text: str) -> tuple[Fraction, bool] | None:
    """The exact value of "42", "-1,000", "0.25" or "3/4", and whether it was written with a decimal point."""
    found = _NUMBER.fullmatch(text.strip()) if len(text) <= MAX_ANSWER_CHARS else None
    if not found or not (found["whole"] or (found["point"] and found["decimals"])):
        return None
    digits, decimals = (found["whole"] or "0").replace(",", ""), found["decimals"] or ""
    under = int(found["under"]) if found["under"] else 10 ** len(decimals)
    if under == 0:
        return None
    value = Fraction(int(digits + decimals), under)
    return -value if found["sign"] in ("-", "−") else value, found["point"] is not None


def last_number(text: str) -> str:
    """The last number in a text; "" where there is none.

    >>> last_number("48 + 24 makes 1,072."), last_number("v2 of it")
    ('1,072', '')
    """
    found = _IN_TEXT.findall(text[-MAX_ANSWER_CHARS:])
    return found[-1].rstrip(",") if found else ""


def same_last_number(problem: str, answer: str, expected: str) -> bool:
    return same_number(problem, last_number(answer), last_number(expected))


def boxed(text: str) -> str | None:
    r"""What stands in the last \boxed{...}; None where there is none, or it does not end.

    >>> boxed(r"so \boxed{1}, no, \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    at = text.rfind("\\boxed{")
    depth = 0
    for i in range(at + len("\\boxed"), len(text)) if at >= 0 else ():
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[at + len("\\boxed{") : i].strip()
    return None


def same_boxed(problem: str, answer: str, expected: str) -> bool:
    r"""The last \boxed{...} as a formula; the last number where nothing is boxed."""
    inside = boxed(answer)
    ours = last_number(answer) if inside is None else inside
    theirs = boxed(expected)
    return bool(ours) and any(
        same_formula(problem, ours, text)
        for text in ([expected, last_number(expected)] if theirs is None else [theirs])
        if text.strip()
    )


def same_choice(problem: str, answer: str, expected: str) -> bool:
    ours = read_choice(answer)
    return ours is not None and ours == read_choice(expected)


def read_choice(text: str) -> str | None:
    """The letter of a multiple choice, A to J, in any of its usual spellings; None where there is none, or several.

    >>> [read_choice(text) for text in ("b", "(B)", "B. Paris", "The answer is b.", "Bern", "(A) or (B)")]
    ['B', 'B', 'B', 'B', None, None]
    """
    if len(text) > MAX_ANSWER_CHARS:
        text = text[-MAX_ANSWER_CHARS:]
    inside = boxed(text)
    text = text if inside is None else inside
    if found := _LETTER_ALONE.fullmatch(text):
        return found[1].upper()
    if named := _LETTER_NAMED.findall(text):
        return str(named[-1]).upper()
    letters = set(_LETTER_IN_BRACKETS.findall(text))
    if first := _LETTER_FIRST.match(text):
        letters.add(first[1] or first[2])
    return letters.pop() if len(letters) == 1 else None


def same_json(problem: str, answer: str, expected: str) -> bool:
    """Equal as JSON: the order of keys, white space and the spelling of numbers do not matter."""
    try:
        return _equal(read_json(answer), read_json(expected))
    except (ValueError, ArithmeticError, RecursionError):
        return False


def read_json(text: str) -> Any:
    """Numbers are exact decimals. ValueError: no JSON, the same key twice, or Infinity and NaN, which JSON has not."""
    if len(text) > LONGEST_JSON:
        raise ValueError("too long")
    return json.loads(
        text, parse_int=Decimal, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_without_twins
    )


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _equal(a: Any, b: Any) -> bool:
    """Equality in which true is not 1."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def same_lines(problem: str, answer: str, expected: str) -> bool:
    """The same lines, or items of a list, in any order; each as often."""
    ours, theirs = items(answer), items(expected)
    return bool(ours) and Counter(ours) == Counter(theirs)


def items(text: str) -> list[str]:
    """The items of a JSON list, else the lines without their bullets, else the parts of one line between commas.

    >>> items('["b", 1]'), items("- a\\n- b"), items("a, b")
    (['b', '1'], ['a', 'b'], ['a', 'b'])
    """
    try:
        found = json.loads(text, parse_int=str, parse_float=str) if len(text) <= LONGEST_JSON else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list):
        return [item if isinstance(item, str) else json.dumps(item, sort_keys=True) for item in found]
    lines = text.replace(JOINT, "\n").splitlines()
    parts = text.split(",") if len(lines) == 1 else [_BULLET.sub("", line, count=1) for line in lines]
    return [part.strip() for part in parts if part.strip()]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of what a later Python may read in another way
            return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"the pattern {pattern[:60]!r} is not a regular expression: {error}") from None


def matcher(seconds: float) -> Compare:
    """Does the whole answer match the pattern? One that can go more than one way might take for ever, so it is tried
    in another process.
    """
    apart = UserFile()

    def compare(problem: str, answer: str, expected: str) -> bool:
        if len(answer) > MAX_ANSWER_CHARS:
            return False
        pattern = compile_pattern(expected)
        if len(_CHOICE.findall(expected)) < 2:
            return pattern.fullmatch(answer.strip()) is not None
        return bool(apart.call("match", seconds, pattern=expected, text=answer.strip()))

    return compare


def load_check(path: Path, seconds: float) -> Compare:
    """The function check(problem, answer) or check(problem, answer, expected) of the user's own file, which is run."""
    file = UserFile(path)
    if "check" not in file.functions():
        raise UserError(f"{path} has no function check; write def check(problem, answer, expected) -> bool")
    return user_check(file, seconds)


def user_check(file: UserFile, seconds: float) -> Compare:
    def compare(problem: str, answer: str, expected: str) -> bool:
        return bool(file.call("check", seconds, problem=problem, answer=answer, expected=expected))

    return compare


BUILT_IN: Mapping[str, Compare] = {
    "exact": same_text, "number": same_number, "last-number": same_last_number, "boxed": same_boxed,
    "math": same_formula, "json": same_json, "lines": same_lines, "choice": same_choice,
}  # fmt: skip
NAMES = (*BUILT_IN, "number:TOLERANCE", "regex")
