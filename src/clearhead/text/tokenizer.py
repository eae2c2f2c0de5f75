"""A character tokenizer: one id per character of the training text, after two special tokens.

What is deliberately not here: merges. Arithmetic is learned best digit by digit, and a vocabulary of thirty
characters leaves a small model's parameters for the problem instead of for its spelling.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from clearhead.errors import UserError

PAD, END = 0, 1  # END closes a solution; PAD fills rows and is never predicted
SPECIALS = ("<pad>", "<end>")


@dataclass(frozen=True)
class CharTokenizer:
    """Characters <-> ids; `alphabet[i]` has id `i + 2`.

    >>> CharTokenizer("+12=").encode("1+1=2")
    [3, 2, 3, 5, 4]
    """

    alphabet: str

    @classmethod
    def train(cls, texts: Iterable[str]) -> "CharTokenizer":
        """Collect every character that occurs, in code-point order."""
        alphabet: set[str] = set()
        for text in texts:
            alphabet.update(text)
        return cls("".join(sorted(alphabet)))

    @property
    def vocab_size(self) -> int:
        return len(SPECIALS) + len(self.alphabet)

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
            raise UserError(
                f"the character {missing.args[0]!r} in {text[:60]!r} is not in the model's alphabet "
                f"{self.alphabet!r}; train on text that contains it, or leave it out"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; special tokens have none."""
        return "".join(self.alphabet[i - len(SPECIALS)] for i in ids if i >= len(SPECIALS))

    def to_json(self) -> str:
        return json.dumps({"kind": "char", "alphabet": self.alphabet}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "CharTokenizer":
        data = json.loads(text)
        if data.get("kind") != "char":
            raise UserError(f"tokenizer kind {data.get('kind')!r} is unknown; this version reads 'char'")
        return cls(data["alphabet"])
