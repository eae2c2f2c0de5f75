"""What a text costs under different tokenizers: tokens, bytes a token, and the words that cannot be spelled."""

from collections.abc import Mapping
from dataclasses import dataclass

from clearhead.text.subword import SubwordTokenizer


@dataclass(frozen=True)
class Cost:
    """One text under one tokenizer. Words are what white space separates; one is unknown if part of it is."""

    tokens: int
    bytes: int
    characters: int
    words: int
    unknown: int

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / self.tokens if self.tokens else 0.0

    @property
    def tokens_per_word(self) -> float:
        return self.tokens / self.words if self.words else 0.0

    @property
    def unknown_share(self) -> float:
        return self.unknown / self.words if self.words else 0.0


def cost(tokenizer: SubwordTokenizer, text: str) -> Cost:
    """
    >>> from clearhead.text.training import train_tokenizer
    >>> cost(train_tokenizer("word", ["one two"]), "two, two three")
    Cost(tokens=4, bytes=14, characters=14, words=3, unknown=2)
    """
    words = text.split()
    distinct = sorted(set(words))
    unknown = {
        word for word, ids in zip(distinct, tokenizer.encode_many(distinct), strict=True) if _lost(tokenizer, ids)
    }
    return Cost(
        tokens=len(tokenizer.encode(text)),
        bytes=len(text.encode("utf-8", "surrogatepass")),
        characters=len(text),
        words=len(words),
        unknown=sum(word in unknown for word in words),
    )


def _lost(tokenizer: SubwordTokenizer, ids: list[int]) -> bool:
    return tokenizer.unk_id is not None and tokenizer.unk_id in ids


def costs(tokenizers: Mapping[str, SubwordTokenizer], texts: Mapping[str, str]) -> dict[str, dict[str, Cost]]:
    """Of every text, under every tokenizer: costs[text][tokenizer]."""
    return {
        label: {name: cost(tokenizer, text) for name, tokenizer in tokenizers.items()} for label, text in texts.items()
    }
