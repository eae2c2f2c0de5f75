"""One tokenizer of the `tokenizers` library behind the small protocol: byte-level BPE, WordPiece, words or characters.

Rank files, GGUF files and files called tokenizer.json all end up here, so what is written once holds for all of them.
Deliberately not here: the algorithms, which are the library's, and any knowledge of files.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import tokenizers

from clearhead.errors import UserError
from clearhead.text.guard import Encoded, Guarded
from clearhead.text.tokenizer_worker import without_added

PAD_TOKEN, END_TOKEN, UNKNOWN_TOKEN = "<pad>", "<end>", "<unk>"  # of the tokenizers trained here, with ids 0, 1, 2


def _byte_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte in a byte-level vocabulary: itself, or one from 256 upwards.

    Radford et al. 2019, encoder.py, bytes_to_unicode.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF = _byte_alphabet()
CHAR_OF = {byte: char for char, byte in BYTE_OF.items()}


def to_byte_level(data: bytes) -> str:
    """
    >>> to_byte_level(" é".encode())
    'ĠÃ©'
    """
    return data.decode("latin-1").translate(CHAR_OF)


def readable(text: str | bytes) -> str:
    """Text that every tokenizer takes: what is not UTF-8, or half of a surrogate pair, becomes U+FFFD.

    >>> readable(b"caf\\xc3 ok"), readable("a\\ud83d")
    ('caf\ufffd ok', 'a\ufffd')
    """
    if isinstance(text, str):
        text = text.encode("utf-16-le", "surrogatepass")
        return text.decode("utf-16-le", "replace")
    return text.decode("utf-8", "replace")


class TokenSpan(NamedTuple):
    """One token of a text: its id, what it is called in the vocabulary, and the characters of the text it covers."""

    id: int
    token: str
    start: int
    end: int

    def moved(self, by: int) -> "TokenSpan":
        return self._replace(start=self.start + by, end=self.end + by)


@contextmanager
def refused(what: str, hint: str) -> Iterator[None]:
    """What the library raises, as a UserError.

    It raises nothing narrower than Exception, and a panic of its Rust is not even that: an expression in a file that
    backtracks without end is one.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(f"{what}: {' '.join(str(error).split()):.300}; {hint}") from None


@dataclass(frozen=True)
class SubwordTokenizer:
    """The library's tokenizer, and which of its tokens fill and end; some models have `more_ends` than one.

    `embedded`: the model reads ids below this only, and a text with another is a UserError; None: all of them.
    `guarded`: it is made of a stranger's own parts, so texts go through it in a process with limits (guard).
    """

    backend: tokenizers.Tokenizer
    end_id: int | None = None
    pad_id: int | None = None
    more_ends: frozenset[int] = frozenset()
    embedded: int | None = None
    guarded: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """To copies and to other processes it goes as its text: a lock has no copy."""
        return _from_json, (self.to_json(), self.end_id, self.pad_id, self.more_ends, self.embedded, self.guarded)

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id that the model reads: a vocabulary may have holes, and more than that."""
        largest = max(self.backend.get_vocab(with_added_tokens=True).values(), default=-1)
        return largest + 1 if self.embedded is None else min(largest + 1, self.embedded)

    @cached_property
    def end_ids(self) -> frozenset[int]:
        return self.more_ends if self.end_id is None else self.more_ends | {self.end_id}

    @cached_property
    def unk_id(self) -> int | None:
        """The token for what the vocabulary cannot spell, None where there is nothing it cannot."""
        model = self.backend.model
        if isinstance(model, tokenizers.models.Unigram):
            return json.loads(self.to_json())["model"]["unk_id"]
        return None if model.unk_token is None else self.backend.token_to_id(model.unk_token)

    @cached_property
    def specials(self) -> dict[int, str]:
        """The tokens that stand for no text."""
        added = self.backend.get_added_tokens_decoder()
        return {i: token.content for i, token in added.items() if token.special}

    @cached_property
    def _guard(self) -> Guarded:
        return Guarded(self.to_json())

    @cached_property
    def is_byte_level(self) -> bool:
        return "ByteLevel" in repr(self.backend.decoder)

    def encode(self, text: str | bytes, special: bool = False, add_special_tokens: bool = False) -> list[int]:
        """The ids of a text.

        `special`: text that is spelled like a special token becomes that token, as in a rendered chat.
        `add_special_tokens`: with those that this tokenizer puts around every text, such as a beginning of text.
        """
        return self.encode_many([text], special, add_special_tokens)[0]

    def encode_many(
        self, texts: Sequence[str | bytes], special: bool = False, add_special_tokens: bool = False
    ) -> list[list[int]]:
        """The same for many texts, on all cores."""
        return [encoding.ids for encoding in self._encode(texts, special, add_special_tokens, whole=False)]

    def pieces(self, text: str | bytes, special: bool = False, add_special_tokens: bool = False) -> list[TokenSpan]:
        encoding = self._encode([text], special, add_special_tokens, whole=True)[0]
        rows = zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True)
        return [TokenSpan(i, token, start, end) for i, token, (start, end) in rows]

    def encode_spelled(self, text: str) -> list[int]:
        """The ids of a text in which nothing is an added token, special or not, however it is spelled."""
        with self._lock, refused("the tokenizer cannot read this text", "another tokenizer may"):
            return self._guard.spelled(text) if self.guarded else without_added(self.backend, readable(text))

    def _encode(
        self, texts: Sequence[str | bytes], special: bool, add_special_tokens: bool, whole: bool
    ) -> list[tokenizers.Encoding] | list[Encoded]:
        read = [readable(text) for text in texts]
        found: list[tokenizers.Encoding] | list[Encoded]
        with self._lock:  # the choice is a state of the library's object, and a process answers one at a time
            if self.guarded:
                found = self._guard.encode(read, special, add_special_tokens, whole)
            else:
                self.backend.encode_special_tokens = not special
                with refused("the tokenizer cannot read this text", "another tokenizer may"):
                    found = self.backend.encode_batch(read, add_special_tokens=add_special_tokens)
        if self.embedded is not None:
            beyond = next((i for encoding in found for i in encoding.ids if i >= self.embedded), None)
            if beyond is not None:
                raise UserError(
                    f"the text holds the token {self.backend.id_to_token(beyond)!r:.60}, which the tokenizer has and "
                    f"the model does not: its embedding ends at {self.embedded}; leave it out of the text"
                )
        return found

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """The text of the ids; special tokens have none unless asked for. Half a character becomes U+FFFD."""
        ids = list(ids)
        if self.is_byte_level:
            return self.decode_bytes(ids, special).decode("utf-8", "replace")
        if self.guarded:
            with self._lock:
                return self._guard.decode(ids, special)
        with refused("the tokenizer cannot write these tokens", "another tokenizer may"):
            text: str = self.backend.decode(ids, skip_special_tokens=not special)
        return text

    def decode_after(self, ids: Iterable[int], special: bool = False) -> str:
        """The text of ids that go on a text: without what a decoder does to the first word, whose space it drops."""
        if self.is_byte_level or self._anchor is None:
            return self.decode(ids, special)
        before = self.decode([self._anchor])
        return self.decode([self._anchor, *ids], special)[len(before) :]

    def cut(self, text: str) -> list[tuple[str, tuple[int, int]]] | None:
        """The pieces in which a text is encoded and where they are, None for a tokenizer that does not cut."""
        if self.guarded:
            with self._lock:
                return self._guard.cut(text)
        cutter = self.backend.pre_tokenizer
        return None if cutter is None else cutter.pre_tokenize_str(text)

    @cached_property
    def _anchor(self) -> int | None:
        """A token that begins a text, so that nothing behind it does."""
        return next((ids[-1] for char in ("a", "1", ".") if (ids := self.encode(char)) and self.decode(ids[-1:])), None)

    def encode_after(self, text: str | bytes, special: bool = False) -> list[int]:
        """The ids of a text that goes on another: without what an encoder puts before the first word."""
        if self.is_byte_level or self._anchor is None:
            return self.encode(text, special)
        for char in ("a", "1", ".", "\n"):  # one that does not merge with the text
            start, whole = self.encode(char, special), self.encode(char + readable(text), special)
            if whole[: len(start)] == start:
                return whole[len(start) :]
        return self.encode(text, special)

    def decode_bytes(self, ids: Iterable[int], special: bool = False) -> bytes:
        """The bytes of the ids, whole characters or not; only a byte-level tokenizer has them.

        Feed them to `codecs.getincrementaldecoder("utf-8")` and text can be shown while it is being written.
        """
        assert self.is_byte_level, "ask is_byte_level first"
        return b"".join(self._bytes_of.get(i, b"") for i in ids if special or i not in self.specials)

    @cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        added = self.backend.get_added_tokens_decoder()
        spelled = {i: token.content.encode() for i, token in added.items()}
        vocabulary = self.backend.get_vocab(with_added_tokens=False)
        return {i: _bytes(token) for token, i in vocabulary.items()} | spelled

    def to_json(self) -> str:
        """The text of a tokenizer.json, the format of the Hugging Face libraries."""
        return self.backend.to_str()


def _from_json(text: str, *rest: Any) -> SubwordTokenizer:
    return SubwordTokenizer(tokenizers.Tokenizer.from_str(text), *rest)


def _bytes(token: str) -> bytes:
    if all(char in BYTE_OF for char in token):
        return bytes(BYTE_OF[char] for char in token)
    return token.encode()
