"""What a model, the engine and packing need of a tokenizer. Every tokenizer here answers to it."""

from collections.abc import Iterable, Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """Text <-> ids below `vocab_size`. Text that is spelled like a special token is ordinary text to `encode`."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def end_id(self) -> int | None:
        """The token that ends a text, None where the tokenizer has none."""

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens after which a model has nothing more to write, `end_id` among them."""

    @property
    def pad_id(self) -> int | None: ...

    def encode(self, text: str) -> list[int]: ...

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]: ...

    def encode_after(self, text: str) -> list[int]:
        """The ids of a text that goes on another: without what some tokenizers put before the first word."""

    def decode(self, ids: Iterable[int]) -> str: ...

    def to_json(self) -> str:
        """What tokenizer.json holds."""
