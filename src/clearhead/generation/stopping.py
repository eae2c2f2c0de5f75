"""Stop strings: found in the text, not in the tokens, so one may span several tokens or end inside one."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from clearhead.errors import UserError
from clearhead.text.protocol import Tokenizer

FinishReason = Literal["end", "stop", "complete", "tokens", "context"]
"""The model's own end, a stop string, a constraint with nothing left to write, the number of tokens asked for, or the
model's context.
"""

UNFINISHED = "\ufffd"  # what a decoder writes for a character whose bytes are not all there yet


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
        self._last = {string[-1] for string in self.strings} | ({UNFINISHED} if self.strings else set())
        self._tokenizer = tokenizer
        self._known: Bool[np.ndarray, "V"] = np.full(tokenizer.vocab_size, not self.strings)
        self._may: Bool[np.ndarray, "V"] = np.zeros(tokenizer.vocab_size, bool)

    def may_complete(self, tokens: Int[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
        """Whether each token may be the last one of a stop string; a token is decoded when it is first met.

        It is decoded twice in a row, since some tokenizers drop the space before the first word of a text.
        """
        for token in np.unique(tokens[~self._known[tokens]]).tolist():
            self._may[token] = not self._last.isdisjoint(self._tokenizer.decode([token, token]))
            self._known[token] = True
        return self._may[tokens]

    def find(self, text: str) -> int | None:
        """Where the earliest stop string begins; None if the text holds none."""
        found = [text.find(string) for string in self.strings]
        return min((i for i in found if i >= 0), default=None)
