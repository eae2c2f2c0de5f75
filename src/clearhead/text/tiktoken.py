"""tiktoken rank files: one token a line, its bytes in base64 and its rank.

A pair of neighbors whose bytes together are a token may be merged, the lowest rank first. The library wants the pairs
themselves, so every way of cutting a token into two tokens becomes one merge. A rank file names neither the expression
that cuts text into pieces nor the special tokens. Both are known by the number of ranks, or the caller names the first.
"""

import binascii
from collections.abc import Mapping
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models

from clearhead.errors import UserError
from clearhead.text.patterns import pattern
from clearhead.text.subword import SubwordTokenizer, to_byte_level
from clearhead.text.training import BYTES, cut_to_bytes

MAX_TOKEN_BYTES = 1024  # bytes of a token; 128 is the longest in use
EMPTY = {b"=": b""}  # Whisper's file ends with a token of no bytes, spelled like this: it only takes a rank
END = "<|endoftext|>"
# Number of ranks: the way to cut, and the special tokens with their ids (tiktoken_ext/openai_public.py; Llama 3's
# tokenizer.py for 128000).
KNOWN: dict[int, tuple[str, dict[str, int]]] = {
    50256: ("gpt2", {END: 50256}),
    50257: ("gpt2", {END: 50257}),  # Whisper's, in many languages
    50280: ("gpt2", {END: 50256}),  # p50k leaves that id free
    100256: ("cl100k", {END: 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260,
                        "<|endofprompt|>": 100276}),
    128000: ("llama3", {"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|start_header_id|>": 128006,
                        "<|end_header_id|>": 128007, "<|eot_id|>": 128009}),
    199998: ("o200k", {END: 199999, "<|endofprompt|>": 200018}),
}  # fmt: skip
ENDS = (END, "<|end_of_text|>")


def read_ranks(data: bytes, where: Path) -> dict[bytes, int]:
    """The tokens and their ranks."""
    ranks: dict[bytes, int] = {}
    seen: set[int] = set()
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            spelled, rank_text = line.split()
            token, rank = binascii.a2b_base64(EMPTY.get(spelled, spelled), strict_mode=True), int(rank_text)
        except (ValueError, binascii.Error):
            raise _wrong(where, number, f"{line[:40]!r} is no token in base64 and its rank") from None
        if len(token) > MAX_TOKEN_BYTES:
            raise _wrong(where, number, f"a token of {len(token)} bytes; {MAX_TOKEN_BYTES} are possible")
        if not 0 <= rank < 1 << 24:
            raise _wrong(where, number, f"the rank {rank} is out of range; ranks are 0 to {(1 << 24) - 1}")
        if token in ranks or rank in seen:
            raise _wrong(where, number, f"the token or the rank {rank} is there already; keep one of the two")
        ranks[token] = rank
        seen.add(rank)
    missing = [byte for byte in range(BYTES) if bytes([byte]) not in ranks]
    if missing:
        raise UserError(f"{where} is no whole rank file: it has no token for the byte {missing[0]}; fetch it again")
    return ranks


def _wrong(where: Path, line: int, what: str) -> UserError:
    return UserError(f"{where}, line {line}: {what}; this is no tiktoken rank file, or it is broken")


def merges(spelled: Mapping[bytes, str]) -> list[tuple[str, str]]:
    """Every pair of tokens that together are a token, in their spelling, in the order of the whole.

    >>> merges({b"a": "A", b"b": "B", b"ab": "AB", b"aba": "ABA", b"ba": "BA"})
    [('A', 'B'), ('A', 'BA'), ('AB', 'A'), ('B', 'A')]
    """
    return [
        (left, right)
        for token in spelled
        for i in range(1, len(token))
        if (right := spelled.get(token[i:])) is not None and (left := spelled.get(token[:i])) is not None
    ]


def from_ranks(ranks: dict[bytes, int], cut: str | None, where: Path) -> SubwordTokenizer:
    """The tokenizer of a rank file; `cut` names its expression where the number of ranks does not tell it."""
    known, specials = KNOWN.get(len(ranks), (None, {}))
    name = cut or known
    if name is None:
        raise UserError(
            f"{where} has {len(ranks)} ranks, which is no encoding known here: it is cut off, or you name its pattern, "
            "such as gpt2 or cl100k"
        )
    spelled = {token: to_byte_level(token) for token in sorted(ranks, key=ranks.__getitem__) if token}
    vocabulary = {spelling: ranks[token] for token, spelling in spelled.items()}
    # ignore_merges: a piece that is a token as a whole is that token, as in tiktoken
    backend = Tokenizer(models.BPE(vocab=vocabulary | specials, merges=merges(spelled), ignore_merges=True))
    backend.pre_tokenizer = cut_to_bytes(pattern(name))
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    ends = [specials[token] for token in ENDS if token in specials]
    return SubwordTokenizer(backend, ends[0] if ends else None)
