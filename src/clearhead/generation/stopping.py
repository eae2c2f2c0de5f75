"""Stop strings: found in the text, not in the tokens, so one may span several tokens or end inside one."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool

from clearhead.errors import UserError

UNFINISHED = "\ufffd"  # what a decoder writes for a character whose bytes are not all there yet


class Tokenizer(Protocol):
    @property
    def vocab_size(self) -> int: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Iterable[int]) -> str: ...


class StopRule:
    """Where a text ends. A token that holds no last character of a stop string cannot complete one: it costs nothing.

    A token may reach beyond the stop string that it completes; the text then still ends before the stop string.
    """

    def __init__(self, tokenizer: Tokenizer, stop: str | Sequence[str] | None) -> None:
        self.strings = () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
        if "" in self.strings:
            raise UserError(
                "an empty stop string would end every text at once; use None to stop at the text's end only"
            )
        last = {string[-1] for string in self.strings} | ({UNFINISHED} if self.strings else set())
        pieces = [tokenizer.decode([token]) for token in range(tokenizer.vocab_size)]
        self.may_complete: Bool[np.ndarray, "V"] = np.array([not last.isdisjoint(piece) for piece in pieces], bool)

    def find(self, text: str) -> int | None:
        """Where the earliest stop string begins; None if the text holds none."""
        found = [text.find(string) for string in self.strings]
        return min((i for i in found if i >= 0), default=None)
