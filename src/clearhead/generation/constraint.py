"""Texts that a grammar allows: a JSON schema, a regular expression, choices or a Lark grammar as a mask on the tokens.

The parsing is llguidance's. What is ours: that a text is complete when its tokens run out, whatever the model prefers.
"""

import importlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool

from clearhead.errors import UserError
from clearhead.generation.ending import LONGEST_DETOUR, LONGEST_ENDING, completes, ending, hints
from clearhead.generation.language_model import Constraint
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import BYTES, CharTokenizer

JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}  # as json.dumps writes
PACKAGE = "llguidance"
GROWTH = 16


class Grammar:
    """A constraint in a tokenizer's tokens. UserError for what is no schema, expression or grammar, or fits no text."""

    def __init__(self, constraint: Constraint, tokenizer: Tokenizer) -> None:
        llguidance = _library()
        self.tokens = _tokens(cast(Any, tokenizer))
        self.hints = hints(tokenizer, constraint)
        self._orders = list(range(len(self.hints.orders)))  # the one that led to an end before comes first
        self.growth = max(GROWTH, len(constraint.text))  # tokens by which one token puts off the end, hardly ever more
        named = {"json-schema": "JSON schema", "regex": "regular expression", "lark": "grammar"}[constraint.kind]
        try:
            of = llguidance.LLMatcher
            if constraint.kind == "json-schema":
                source = of.grammar_from_json_schema(constraint.text, overrides=JSON_STYLE)
            else:
                source = (of.grammar_from_regex if constraint.kind == "regex" else of.grammar_from_lark)(
                    constraint.text
                )
            self.start = of(self.tokens, source, log_level=0)
        except ValueError as error:
            raise UserError(f"the {named} cannot be used: {error}") from None
        if told := self.start.get_error():
            raise UserError(f"the {named} cannot be used: {' '.join(told.split()):.300}")
        self.begin().mask()  # an error where not even the first token can be written

    @cached_property
    def shortest(self) -> int | None:
        """Tokens of the shortest text found, its end included; None if none was found in LONGEST_ENDING tokens."""
        most, best = LONGEST_ENDING, None
        for order in list(self._orders):
            found = ending(self.start, self.hints, order, most)
            if found is not None:
                best, most = len(found), len(found) - 1
                self._prefer(order)
            most = min(most, LONGEST_DETOUR)
        return best

    def _prefer(self, order: int) -> None:
        self._orders.remove(order)
        self._orders.insert(0, order)

    def ending(self, state: Any, most: int) -> list[int] | None:
        """At most so many tokens that complete a text from here; None where none were found."""
        for tried, order in enumerate(list(self._orders)):
            found = ending(state, self.hints, order, min(most, LONGEST_DETOUR) if tried else most)
            if found is not None:
                self._prefer(order)
                return found
        return None

    def ended(self, ending: Sequence[int]) -> Sequence[int]:
        """An ending with the token that ends a text, where the tokenizer has one."""
        end = self.hints.end
        return ending if not end or ending[-1] == end[0] else [*ending, end[0]]

    def begin(self) -> "Matcher":
        """At the beginning of a text."""
        return Matcher(self, self.start.deep_copy())


class Plan(NamedTuple):
    """A way to complete a text, None where nobody looked, and how many tokens may follow before somebody must."""

    ending: Sequence[int] | None
    unwatched: int


UNKNOWN = Plan(None, 0)


class Matcher:
    """Where a text stands in its grammar."""

    def __init__(self, grammar: Grammar, state: Any, plan: Plan = UNKNOWN) -> None:
        self.grammar, self.state = grammar, state
        self._plan, self._after = plan, dict[int, Plan]()

    @property
    def complete(self) -> bool:
        """Nothing can follow but the end of the text."""
        return bool(self.state.is_stopped())

    def mask(self) -> Bool[np.ndarray, "V"]:
        """The tokens that may follow."""
        return masks([self], self.grammar.tokens.vocab_size)[0]

    def consume(self, token: int) -> None:
        """Go on by a token that may follow."""
        self.state.consume_token(token)
        self._plan = self._after.get(token, Plan(None, max(0, self._plan.unwatched - 1)))
        self._after = {}

    def after(self, token: int) -> "Matcher":
        """The same, in a copy."""
        longer = Matcher(self.grammar, self.state.deep_copy(), self._plan)
        longer._after = self._after
        longer.consume(token)
        return longer

    def completable(self, token: int, left: int) -> int:
        """The token, or another one from which the text can still be completed in the `left` tokens after it.

        With enough left, or where no ending is known, that is always the token itself. With less, the way to an end is
        looked for at every token, so that a text which once had an end within reach never loses it.
        """
        if self.grammar.shortest is None or self._plan.unwatched:
            return token
        plan = self._plan.ending
        ending: Sequence[int] | None
        if plan and plan[0] == token:
            ending = plan[1:]
        elif plan and len(whole := self.grammar.ended(plan)) <= left and self._completes([token, *whole]):
            ending = whole  # a letter more in a string, a digit in a number
        else:
            ending = self.grammar.ending(self.after(token).state, left)
            if ending is None and (plan := plan or self.grammar.ending(self.state, left + 1)):
                token, ending = plan[0], plan[1:]
        self._after[token] = Plan(ending, 0 if ending is None else (left - len(ending)) // self.grammar.growth)
        return token

    def _completes(self, tokens: Sequence[int]) -> bool:
        return completes(self.state, tokens, ends=bool(self.grammar.hints.end))


class Unfollowable(UserError):
    """A grammar is too hard to follow: that of a row, or in an engine of a request, which alone must end."""

    def __init__(self, told: str, row: int) -> None:
        super().__init__(told)
        self.row, self.request = row, -1


def masks(matchers: Sequence[Matcher], vocab: int) -> Bool[np.ndarray, "N V"]:
    """The tokens of a vocabulary that may follow each text. Unfollowable where a grammar is too hard to follow."""
    of = matchers[0].grammar.tokens.vocab_size
    bits = np.zeros((len(matchers), -(-of // 32)), np.uint32)
    for i, (matcher, row) in enumerate(zip(matchers, bits, strict=True)):
        matcher.state.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)
        if told := matcher.state.get_error():
            raise Unfollowable(
                "the tokenizer has no token for what the constraint asks for next; allow other characters"
                if told.startswith("NoExtension")
                else f"the constraint is too hard to follow: {' '.join(told.split()):.200}",
                i,
            )
    may = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")
    found = np.zeros((len(matchers), vocab), bool)
    found[:, :of] = may[:, :of]
    return found


def _library() -> ModuleType:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError("constrained decoding needs the package llguidance: pip install 'clearhead[agents]'") from None


@lru_cache(maxsize=4)
def _tokens(tokenizer: Any) -> Any:
    """The tokenizer as llguidance knows it: what each id spells in bytes, and what ends a text."""
    llguidance = _library()
    ends = sorted(tokenizer.end_ids)
    if isinstance(tokenizer, SubwordTokenizer):
        if tokenizer.guarded:
            raise UserError("this tokenizer.json has unusual parts, which constrained decoding cannot read safely")
        return llguidance.LLTokenizer(tokenizer.to_json(), n_vocab=tokenizer.vocab_size, eos_token=ends or None)
    assert isinstance(tokenizer, CharTokenizer)
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Spelled(tokenizer)), eos_token=ends)


class _Spelled:
    """A character tokenizer in the form that llguidance asks for."""

    def __init__(self, tokenizer: CharTokenizer) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id, self.bos_token_id = tokenizer.end_id, None
        spelled = [name.encode() for name in tokenizer.tokens]
        never = {*tokenizer.end_ids, tokenizer.pad_id}
        for i, name in enumerate(tokenizer.tokens):
            if name in BYTES:  # a character that is a token of its own is never written by its byte
                spelled[i] = bytes([BYTES.index(name)])
                never |= {i} if chr(spelled[i][0]) in tokenizer.alphabet else set()
        self.special_token_ids = sorted(never)
        self.tokens: Sequence[bytes] = [b"" if i in never else text for i, text in enumerate(spelled)]

    def __call__(self, text: str | bytes) -> list[int]:
        """The ids of a text, or of its beginning where the rest has none."""
        text = text if isinstance(text, str) else text.decode()
        of = self._tokenizer
        end = next((i for i, char in enumerate(text) if not of.byte_fallback and char not in of.alphabet), len(text))
        return of.encode(text[:end])
