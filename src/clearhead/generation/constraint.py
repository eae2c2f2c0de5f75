"""Texts that a grammar allows: a JSON schema, a regular expression, choices or a Lark grammar as a mask on the tokens.

The parsing is llguidance's. What is ours: that a text is complete when its tokens run out, whatever the model prefers.
"""

import importlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, cast

import numpy as np
from jaxtyping import Bool

from clearhead.errors import UserError
from clearhead.generation.language_model import Constraint
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import BYTES, CharTokenizer

JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}  # as json.dumps writes
PACKAGE = "llguidance"
LONGEST_ENDING = 512  # tokens; no shorter ending is looked for
AHEAD = 4  # times the shortest text: how many tokens before its last a text is watched
CLOSERS = ("\n", '"', "}", "]", ")", "/", ".", "0", "n", "a")  # what is tried first to bring a text to its end


class Grammar:
    """A constraint in a tokenizer's tokens. UserError for what is no schema, expression or grammar, or fits no text."""

    def __init__(self, constraint: Constraint, tokenizer: Tokenizer) -> None:
        llguidance = _library()
        self.tokens, self.tokenizer = _tokens(cast(Any, tokenizer)), tokenizer
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

    @cached_property
    def shortest(self) -> int | None:
        """Tokens of the shortest text found, its end included; None if none was found in LONGEST_ENDING tokens."""
        ending = self.begin().ending()
        return None if ending is None else len(ending)

    def begin(self) -> "Matcher":
        """At the beginning of a text."""
        return Matcher(self, self.start.deep_copy())


class Matcher:
    """Where a text stands in its grammar."""

    def __init__(self, grammar: Grammar, state: Any) -> None:
        self.grammar, self.state = grammar, state

    def copy(self) -> "Matcher":
        return Matcher(self.grammar, self.state.deep_copy())

    @property
    def complete(self) -> bool:
        """Nothing can follow but the end of the text."""
        return bool(self.state.is_stopped())

    def mask(self) -> Bool[np.ndarray, "V"]:
        """The tokens that may follow."""
        bits = self.state.compute_bitmask()
        if told := self.state.get_error():
            raise UserError(f"the constraint is too hard to follow: {' '.join(told.split()):.200}")
        allowed = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little").astype(bool)
        return allowed[: self.grammar.tokens.vocab_size]

    def consume(self, token: int) -> None:
        """Go on by a token that may follow."""
        self.state.consume_token(token)

    def after(self, token: int) -> "Matcher":
        """The same, in a copy."""
        longer = self.copy()
        longer.consume(token)
        return longer

    def completable(self, token: int, left: int) -> int:
        """The token, or another one from which the text can still be completed in the `left` tokens after it.

        With enough left, or where no ending is known, that is always the token itself.
        """
        shortest = self.grammar.shortest
        if shortest is None or left >= AHEAD * shortest:
            return token
        ending = self.after(token).ending()
        if ending is None or len(ending) > left:
            planned = self.ending()
            if planned and len(planned) <= left + 1:
                return planned[0]
        return token

    def ending(self) -> list[int] | None:
        """Tokens that complete the text, few of them; None where none were found.

        What the grammar forces is taken, then what closes: a heuristic, which knows JSON and most expressions.
        """
        at, found = self.copy(), list[int]()
        end = self.grammar.tokenizer.end_ids
        first = _closers(cast(Any, self.grammar.tokenizer))
        while len(found) < LONGEST_ENDING:
            if at.complete:
                return found
            if at.state.is_accepting():
                return [*found, min(end)] if end else found
            forced = at.state.compute_ff_tokens()
            if not forced:
                allowed = at.mask()
                forced = [next((token for token in first if allowed[token]), int(allowed.argmax()))]
                if not allowed[forced[0]]:
                    return None
            if not at.state.consume_tokens(forced):
                return None
            found += forced
        return None


def _library() -> ModuleType:
    try:
        return importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError("constrained decoding needs the package llguidance: pip install 'clearhead[agents]'") from None


@lru_cache(maxsize=4)
def _closers(tokenizer: Any) -> tuple[int, ...]:
    """The tokens of CLOSERS, where they are tokens of their own."""
    spelled = [tokenizer.encode_after(text) for text in CLOSERS if _spells(tokenizer, text)]
    return tuple(ids[0] for ids in spelled if len(ids) == 1)


def _spells(tokenizer: Tokenizer, text: str) -> bool:
    return not isinstance(tokenizer, CharTokenizer) or text in tokenizer.alphabet


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
        return self._tokenizer.encode(text if isinstance(text, str) else text.decode())
