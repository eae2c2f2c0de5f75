"""From where a text stands in its grammar to an end of it, in few tokens.

llguidance tells what may follow, not how far the end is. So this is a search by rules of thumb, which know JSON and
most expressions: take what is forced, then what closes, then what can be closed next. Where none of it helps, take the
first in some order of preference; one order may go round in a recursive grammar forever, so there are several.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Hints:
    """Tokens that may bring a text to its end."""

    closers: tuple[int, ...]
    end: tuple[int, ...]  # of the text, where the tokenizer has one
    letters: tuple[int, ...]
    opening: frozenset[int]
    orders: tuple[tuple[tuple[int, ...], ...], ...]  # of characters, and of words of the constraint


def hints(tokenizer: Tokenizer, source: str, json: bool) -> Hints:
    """For a constraint with this text; of an expression nothing closes but its end."""
    words = re.findall(r"\w\w+", source) + re.findall(r"[./:-]\w+", source.replace("\\", ""))
    ids = {text: tuple(_spelled(tokenizer, text)) for text in dict.fromkeys([*CHARACTERS, *CLOSERS, *words[:WORDS]])}
    single = {text: tokens[0] for text, tokens in ids.items() if len(text) == len(tokens) == 1}
    steps = [ids[text] for text in (*CHARACTERS, *dict.fromkeys(words[:WORDS])) if ids[text]]
    shuffled = [random.Random(i).sample(steps, len(steps)) for i in range(2, ORDERS)]
    return Hints(
        closers=tuple(single[char] for char in CLOSERS if char in single) if json else (),
        end=tuple(sorted(tokenizer.end_ids)[:1]),
        letters=tuple(token for char, token in single.items() if char.isalpha()),
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
        step = state.compute_ff_tokens() or _step(state, hints, hints.orders[order], len(found))
        if not step or len(found) + len(step) > most or not state.consume_tokens(list(step)):
            return None
        found += step
    return found if len(found) <= most and not state.is_error() else None


def completes(state: Any, tokens: Sequence[int]) -> bool:
    """Whether these tokens, with the end where the tokenizer has one, are an ending from here."""
    state = state.deep_copy()
    return state.try_consume_tokens(list(tokens)) == len(tokens) and bool(state.is_stopped())


def _step(state: Any, hints: Hints, order: Sequence[Sequence[int]], written: int) -> Sequence[int]:
    """What to write next: a closer, what can be closed after it, or the first in the order."""
    may = np.unpackbits(np.frombuffer(state.compute_bitmask(), np.uint8), bitorder="little")
    in_text = may[list(hints.letters)].sum() > FEW
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
    first = single[written % len(single) if in_text else 0]  # a text gets one character after the other
    return first if may[first[0]] else ()


def _spelled(tokenizer: Tokenizer, text: str) -> list[int]:
    if (
        isinstance(tokenizer, CharTokenizer)
        and not tokenizer.byte_fallback
        and not set(text) <= set(tokenizer.alphabet)
    ):
        return []
    return tokenizer.encode_after(text)
