"""Rank files against tiktoken, with its own patterns."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import CORPUS, TEXTS, encoding, ranks_of

from clearhead.errors import UserError
from clearhead.text import tiktoken as module
from clearhead.text.tiktoken import from_ranks, merges, read_ranks
from clearhead.text.training import train_tokenizer

HERE = Path("x.tiktoken")
NAMES = {"gpt2": "gpt2", "cl100k": "cl100k_base", "o200k": "o200k_base"}
RANKS = ranks_of(train_tokenizer("bpe", CORPUS, 700, "cl100k"))


def as_file(ranks: dict[bytes, int]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_those_of_tiktoken(name: str) -> None:
    ours, peer = from_ranks(RANKS, name, HERE), encoding(NAMES[name], RANKS)

    @given(TEXTS)
    @settings(deadline=None, max_examples=100)
    def agree(text: str) -> None:
        assert ours.encode(text) == peer.encode_ordinary(text)

    @given(st.lists(st.integers(0, len(RANKS) - 1), max_size=30))
    @settings(deadline=None, max_examples=50)
    def decode_alike(ids: list[int]) -> None:
        assert ours.decode_bytes(ids) == peer.decode_bytes(ids)
        assert ours.decode(ids) == peer.decode(ids)

    @given(st.text(st.characters(), max_size=20))
    @settings(deadline=None, max_examples=50)
    def surrogates_alike(text: str) -> None:
        assert ours.encode(text) == peer.encode_ordinary(text)

    agree()
    decode_alike()
    surrogates_alike()


@given(st.lists(st.text("ab", min_size=2, max_size=6), max_size=12, unique=True), st.text("ab\n", max_size=24))
@settings(deadline=None, max_examples=100)
def test_any_ranks_merge_as_in_tiktoken(tokens: list[str], text: str) -> None:
    """Ranks in an order that no training would give, tokens that no merge can reach."""
    ranks = {bytes([byte]): byte for byte in range(256)} | {t.encode(): 256 + i for i, t in enumerate(tokens)}
    ours, peer = from_ranks(ranks, "gpt2", HERE), encoding("gpt2", ranks)
    for one in (text, "\n".join(tokens)):
        assert ours.encode(one) == peer.encode_ordinary(one)


def test_special_tokens_of_a_known_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.KNOWN, len(RANKS), ("cl100k", {"<|endoftext|>": len(RANKS)}))
    ours, peer = from_ranks(RANKS, None, HERE), encoding("cl100k_base", RANKS, ["<|endoftext|>"])
    text = "a cat<|endoftext|> sat"
    assert ours.encode(text, special=True) == peer.encode(text, allowed_special="all")
    assert ours.encode(text) == peer.encode_ordinary(text)
    assert ours.end_id == len(RANKS) and ours.vocab_size == peer.n_vocab
    assert ours.decode([len(RANKS)]) == "" and ours.decode([len(RANKS)], special=True) == "<|endoftext|>"


def test_a_file_comes_back() -> None:
    assert read_ranks(as_file(RANKS), HERE) == RANKS
    assert read_ranks(as_file(RANKS).replace(b"\n", b"\r\n") + b"\n", HERE) == RANKS
    with_empty = read_ranks(as_file(RANKS) + b"= %d\n" % len(RANKS), HERE)  # as in Whisper's
    assert with_empty[b""] == len(RANKS)
    assert from_ranks(with_empty, "gpt2", HERE).encode("the cat") == from_ranks(RANKS, "gpt2", HERE).encode("the cat")


def test_every_cut_of_a_token_is_a_merge() -> None:
    assert merges({b"a": "A", b"b": "B", b"abab": "C", b"ab": "D"}) == [("D", "D"), ("A", "B")]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (b"IQ== zero", "line 257: .* no token in base64"),
        (b"I*== 256", "line 257"),
        (b"IQ==", "line 257"),
        (b"IQ== 256 3", "line 257"),
        (b"YWE= -1", "rank -1 is out of range"),
        (b"YWE= 99999999999999999999", "out of range"),
        (b"YWE= 5", "rank 5 is there already"),
        (b"IQ== 256", "there already"),
        (base64.b64encode(b"a" * 2000) + b" 256", "2000 bytes"),
    ],
)
def test_a_broken_line_is_told(lines: bytes, told: str) -> None:
    whole = {bytes([byte]): byte for byte in range(256)}
    with pytest.raises(UserError, match=told):
        read_ranks(as_file(whole) + lines, HERE)


def test_half_a_file_is_told() -> None:
    with pytest.raises(UserError, match="no token for the byte"):
        read_ranks(as_file(dict(list(RANKS.items())[:100])), HERE)


def test_an_unknown_encoding_wants_a_pattern() -> None:
    with pytest.raises(UserError, match=f"{len(RANKS)} ranks.*you name its pattern"):
        from_ranks(RANKS, None, HERE)
    with pytest.raises(UserError, match="did you mean 'cl100k'"):
        from_ranks(RANKS, "cl100", HERE)
