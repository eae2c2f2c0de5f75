"""Text while it is being written: never half a character, never the beginning of a stop string.

Deliberately not here: where the tokens come from.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

from clearhead.errors import UserError
from clearhead.generation.stopping import UNFINISHED
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer

LONGEST_CHARACTER = 4  # bytes; more unfinished tokens than that are no character at all


class Detokenizer:
    """Tokens in, text out as soon as no later token can change it. All that comes out, joined, is `decode` of them all.

    A byte-level tokenizer gives bytes, and bytes are decoded one by one. Others are asked for the text of a few tokens
    with and without the new one, since what a token says may depend on those before it. What goes on a text is no
    beginning of one (`after`): it keeps the space before its first word.
    """

    def __init__(self, tokenizer: Tokenizer, after: bool = False) -> None:
        self._tokenizer = tokenizer
        self._first = decoder_after(tokenizer) if after else tokenizer.decode
        self._begun = False
        in_bytes = isinstance(tokenizer, SubwordTokenizer) and tokenizer.is_byte_level
        self._bytes = cast(SubwordTokenizer, tokenizer).decode_bytes if in_bytes else None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._before: list[int] = []  # tokens whose text is out
        self._waiting: list[int] = []

    def push(self, token: int) -> str:
        if self._bytes is not None:
            return self._decoder.decode(self._bytes([token]))
        self._waiting.append(token)
        text = self._new_text()
        if text.endswith(UNFINISHED) and len(self._waiting) < LONGEST_CHARACTER:
            return ""
        return self._out(text)

    def finish(self) -> str:
        """What is left when nothing follows."""
        return self._decoder.decode(b"", final=True) if self._bytes is not None else self._out(self._new_text())

    def _new_text(self) -> str:
        if not self._begun:
            return self._first(self._waiting)
        out = self._tokenizer.decode(self._before)
        return self._tokenizer.decode([*self._before, *self._waiting])[len(out) :]

    def _out(self, text: str) -> str:
        if text:  # those without a text stay together with what they may change
            self._before, self._waiting, self._begun = self._waiting, [], True
        return text


def decoder_after(tokenizer: Tokenizer) -> Callable[[Iterable[int]], str]:
    """Ids to text, for ids that go on a text."""
    return tokenizer.decode_after if isinstance(tokenizer, SubwordTokenizer) else tokenizer.decode


class StopStrings:
    """Text in, text out up to the first stop string; what may yet become one is held back. `found` once it is there."""

    def __init__(self, strings: Sequence[str]) -> None:
        if "" in strings:
            raise UserError("an empty stop string would end every text at once; leave it out")
        self._strings = tuple(strings)
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        if self.found is not None:
            return ""
        self._held += text
        found = [(self._held.find(string), string) for string in self._strings if string in self._held]
        if found:
            at, self.found = min(found)
            out, self._held = self._held[:at], ""
            return out
        keep = max((overlap(self._held, string) for string in self._strings), default=0)
        out, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return out

    def finish(self) -> str:
        """What was held back in vain."""
        out, self._held = self._held, ""
        return out


def overlap(text: str, string: str) -> int:
    """How many of the last characters of `text` are the first of `string`.

    >>> overlap("the en", "end"), overlap("the end", "end"), overlap("", "end")
    (2, 3, 0)
    """
    return next(n for n in range(min(len(text), len(string)), -1, -1) if text.endswith(string[:n]))


def stream(tokens: Iterable[int], tokenizer: Tokenizer, stops: StopStrings) -> Iterator[str]:
    """The text of the tokens in pieces as they come, up to a stop string; no token is asked for after it."""
    words = Detokenizer(tokenizer)
    for token in tokens:
        if piece := stops.push(words.push(token)):
            yield piece
        if stops.found is not None:
            return
    if piece := stops.push(words.finish()) + stops.finish():
        yield piece
