"""A character tokenizer: one id per character of the training text, after two special tokens.

With bytes, a character outside the alphabet is spelled by the bytes of its UTF-8, so every text has ids.
What is deliberately not here: merges. Arithmetic is learned best digit by digit, and a vocabulary of thirty
characters leaves a small model's parameters for the problem instead of for its spelling.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from clearhead.errors import UserError

PAD, END = 0, 1  # END closes a solution; PAD fills rows and is never predicted
SPECIALS = ("<pad>", "<end>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))  # the names that llama.cpp gives them


@dataclass(frozen=True)
class CharTokenizer:
    """Characters <-> ids; `alphabet[i]` has id `i + 2`, and with `byte_fallback` 256 bytes come behind the alphabet.

    >>> CharTokenizer("+12=").encode("1+1=2")
    [3, 2, 3, 5, 4]
    >>> CharTokenizer("a", byte_fallback=True).encode("aé")
    [2, 198, 172]
    """

    alphabet: str
    byte_fallback: bool = False

    @classmethod
    def train(cls, texts: Iterable[str], byte_fallback: bool = False, fewest: int = 1) -> "CharTokenizer":
        """Collect every character that is ASCII or occurs in `fewest` of the texts, in code-point order."""
        counts = Counter(char for text in texts for char in set(text))
        kept = sorted(char for char, count in counts.items() if count >= fewest or char.isascii())
        return cls("".join(kept), byte_fallback)

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """What each id is called."""
        return (*SPECIALS, *self.alphabet, *(BYTES if self.byte_fallback else ()))

    @property
    def end_id(self) -> int:
        return END

    @property
    def end_ids(self) -> frozenset[int]:
        return frozenset((END,))

    @property
    def pad_id(self) -> int:
        return PAD

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {char: i for i, char in enumerate(self.alphabet, start=len(SPECIALS))}

    def encode(self, text: str) -> list[int]:
        try:
            return [self._ids[char] for char in text]
        except KeyError as missing:
            if self.byte_fallback:
                return [i for char in text for i in self._spelled(char)]
            raise UserError(
                f"the character {missing.args[0]!r} in {text[:60]!r} is not in the model's alphabet "
                f"{self.alphabet!r}; train on text that contains it, or leave it out"
            ) from None

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        return list(map(self.encode, texts))

    def encode_after(self, text: str) -> list[int]:
        return self.encode(text)

    def _spelled(self, char: str) -> list[int]:
        if char in self._ids:
            return [self._ids[char]]
        first = len(SPECIALS) + len(self.alphabet)
        return [first + byte for byte in char.encode("utf-8", "surrogatepass")]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; special tokens have none. Bytes that are no character become U+FFFD."""
        if not self.byte_fallback:
            return "".join(self.alphabet[i - len(SPECIALS)] for i in ids if i >= len(SPECIALS))
        return b"".join(self._bytes_of[i] for i in ids).decode("utf-8", "replace")

    @cached_property
    def _bytes_of(self) -> list[bytes]:
        spelled = [char.encode("utf-8", "surrogatepass") for char in self.alphabet]
        return [b"" for _ in SPECIALS] + spelled + [bytes((byte,)) for byte in range(256)]

    def to_json(self) -> str:
        fields = {"kind": "char", "alphabet": self.alphabet} | ({"bytes": True} if self.byte_fallback else {})
        return json.dumps(fields, ensure_ascii=False)
