"""From where a text stands in its grammar to an end of it, in few tokens.

llguidance tells what may follow, not how far the end is. So this is a search by rules of thumb, which know JSON and
most expressions: take what is forced, then what closes, then what can be closed next. Where none of it helps, take the
first in some order of preference; one order may go round in a recursive grammar forever, so there are several.
"""

import random
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from json import loads
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import numpy as np

from clearhead.generation.language_model import Constraint
from clearhead.text.protocol import Tokenizer
from clearhead.text.tokenizer import CharTokenizer

LONGEST_ENDING = 2048  # tokens; no longer one is looked for
LONGEST_DETOUR = 256  # by any but the first order
CLOSERS = '\n"}]),'  # of JSON, of lines and what resembles them, in the order in which they are tried
OF_TEXT = 2  # the first of them, which alone close a text
ESCAPED = '"\\'
FIRST, LAST = "0123456789ntf", "[{"  # numbers, null, true and false are short values; what opens must be closed
CHARACTERS = FIRST + "".join(chr(i) for i in range(32, 127) if chr(i) not in FIRST + LAST + ESCAPED) + LAST
ORDERS = 8
FEW = 8  # letters; where more may follow, there is text
WORDS = 64  # of the constraint's own text
PATTERN = re.compile(r'"pattern": *("(?:[^"\\]|\\.)*")')  # of a schema
CATEGORIES = {
    "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
}  # fmt: skip
CLASSES = CHARACTERS + ESCAPED  # of which one stands for a class of characters


@dataclass(frozen=True)
class Hints:
    """Tokens that may bring a text to its end."""

    closers: tuple[int, ...]
    end: tuple[int, ...]  # of the text, where the tokenizer has one
    letters: tuple[int, ...]
    empty_key: tuple[int, ...]  # as it is written in JSON; nothing of an expression
    opening: frozenset[int]
    orders: tuple[tuple[tuple[int, ...], ...], ...]  # of characters, and of words of the constraint


def hints(tokenizer: Tokenizer, constraint: Constraint) -> Hints:
    """For a constraint; of an expression nothing closes but its end."""
    source, json = constraint.text, constraint.kind != "regex"
    patterns = [loads(text) for text in PATTERN.findall(source)] if json else [source]
    words = [text for text in map(example, patterns) if len(text) > 1]
    words += re.findall(r"\w\w+", source) + re.findall(r"[./:-]\w+", source.replace("\\", ""))
    ids = {text: tuple(_spelled(tokenizer, text)) for text in dict.fromkeys([*CHARACTERS, *CLOSERS, *words[:WORDS]])}
    single = {text: tokens[0] for text, tokens in ids.items() if len(text) == len(tokens) == 1}
    steps = [ids[text] for text in (*CHARACTERS, *dict.fromkeys(words[:WORDS])) if ids[text]]
    shuffled = [random.Random(i).sample(steps, len(steps)) for i in range(2, ORDERS)]
    return Hints(
        closers=tuple(single[char] for char in CLOSERS if char in single) if json else (),
        end=tuple(sorted(tokenizer.end_ids)[:1]),
        letters=tuple(token for char, token in single.items() if char.isalpha()),
        empty_key=(single['"'], single['"'], single[":"]) if json and {'"', ":"} <= single.keys() else (),
        opening=frozenset(single[char] for char in LAST if char in single),
        orders=tuple(map(tuple, [steps, steps[::-1], *shuffled])),
    )


def ending(state: Any, hints: Hints, order: int, most: int) -> list[int] | None:
    """The ending that an order leads to, None if it has more than `most` tokens.

    `state`: llguidance's LLMatcher, left as it is.
    """
    state, found = state.deep_copy(), list[int]()
    while not state.is_stopped():
        if state.is_accepting():
            found += hints.end
            break
        step = state.compute_ff_tokens() or _step(state, hints, hints.orders[order], found)
        if not step or len(found) + len(step) > most or not state.consume_tokens(list(step)):
            return None
        found += step
    return found if len(found) <= most and not state.is_error() else None


def completes(state: Any, tokens: Sequence[int], ends: bool) -> bool:
    """Whether a text is whole after these tokens, the last of which `ends` it where the tokenizer has such a token.

    To try tokens on a copy takes ten times as long as to ask whether they may follow.
    """
    if state.validate_tokens(list(tokens)) < len(tokens):
        return False
    if ends:
        return True
    state = state.deep_copy()
    return state.try_consume_tokens(list(tokens)) == len(tokens) and bool(state.is_stopped())


def _step(state: Any, hints: Hints, order: Sequence[Sequence[int]], found: Sequence[int]) -> Sequence[int]:
    """What to write next: a closer, what can be closed after it, or the first in the order."""
    may = np.unpackbits(np.frombuffer(state.compute_bitmask(), np.uint8), bitorder="little")
    in_text = may[list(hints.letters)].sum() > FEW
    if in_text and (letter := _another_key(hints, found)) and may[letter]:
        return (letter,)
    closers = hints.closers[: OF_TEXT if in_text else None]  # within a string nothing closes but its quote
    for closer in closers:
        if may[closer]:
            return (closer,)
    possible = [step for step in order if may[step[0]]]
    for step in possible:
        if step[0] not in hints.opening and any(
            state.validate_tokens([*step, over]) > len(step) for over in closers + hints.end
        ):
            return step
    single = [step for step in possible if len(step) == 1] or [(int(may.argmax()),)]
    first = single[len(found) % len(single) if in_text else 0]  # a text gets one character after the other
    return first if may[first[0]] else ()


def _another_key(hints: Hints, found: Sequence[int]) -> int:
    """A letter for a string that was just opened, where an empty key was written before: a key stands once. 0: none."""
    quotes = [i for i in range(len(found)) if tuple(found[i : i + 3]) == hints.empty_key] if hints.empty_key else []
    if not quotes or found[-1] != hints.empty_key[0] or len(found) - quotes[0] <= 3:
        return 0
    return hints.letters[sum(token in hints.letters for token in found) % len(hints.letters)]


def example(pattern: str) -> str:
    r"""A short text of an expression, "" for one that is hard to read.

    >>> example(r"(foo|ba+r)\.$"), example(r"[^0-9]{2,}-42%"), example(r"\d\d:\d\d")
    ('foo.', 'nn-42%', '00:00')
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of what Python may read in another way some day
            return _shortest(_parser.parse(pattern))
    except (re.error, ValueError, RecursionError, OverflowError):
        return ""


def _shortest(parts: Any) -> str:  # (kind, what is told of it), one after the other
    return "".join(_one(str(kind), told) for kind, told in parts)


def _one(kind: str, told: Any) -> str:
    """A short text of one part, as Python's parser has it. ValueError: one that looks around, or is too long."""
    match kind:
        case "LITERAL":
            return chr(told)
        case "NOT_LITERAL" | "ANY" | "IN":
            for char in CLASSES:
                if _holds(kind, told, char):
                    return char
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            once = _shortest(told[2])
            if len(once) * told[0] <= LONGEST_ENDING:  # repetitions of repetitions
                return once * told[0]
        case "SUBPATTERN":
            return _shortest(told[3])
        case "ATOMIC_GROUP":
            return _shortest(told)
        case "BRANCH":
            return min(map(_shortest, told[1]), key=len)
        case "AT":
            return ""
    raise ValueError(kind)


def _holds(kind: str, told: Any, char: str) -> bool:
    """Is a character of this class?"""
    match kind:
        case "LITERAL" | "NOT_LITERAL":
            return (ord(char) == told) == (kind == "LITERAL")
        case "RANGE":
            return bool(told[0] <= ord(char) <= told[1])
        case "CATEGORY":
            return re.fullmatch(CATEGORIES[str(told)], char) is not None
        case "IN":
            negated = bool(told) and str(told[0][0]) == "NEGATE"
            return any(_holds(str(of), what, char) for of, what in told[negated:]) != negated
    return char != "\n"


def _spelled(tokenizer: Tokenizer, text: str) -> list[int]:
    if (
        isinstance(tokenizer, CharTokenizer)
        and not tokenizer.byte_fallback
        and not set(text) <= set(tokenizer.alphabet)
    ):
        return []
    return tokenizer.encode_after(text)
