"""Pieces as tiktoken's own expressions cut them, in an engine of regular expressions that is not ours."""

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import TEXTS, encoding
from tokenizers import pre_tokenizers

from clearhead.errors import UserError
from clearhead.text.patterns import ALIASES, PATTERNS, pattern
from clearhead.text.subword import to_byte_level
from clearhead.text.training import cut_to_bytes

BYTES = {bytes([byte]): byte for byte in range(256)}
# from the tokenizer.json of Qwen2, quoted in llama.cpp's src/llama-vocab.cpp
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PEERS = {name: encoding(theirs, BYTES)._pat_str for name, theirs in
         {"gpt2": "gpt2", "cl100k": "cl100k_base", "o200k": "o200k_base"}.items()}  # fmt: skip
PEERS["qwen2"] = QWEN2
PEERS["llama3"] = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")  # as in Llama 3's tokenizer.py
# What the alternatives differ on, put together at random.
JOINTS = st.lists(
    st.sampled_from([*"aAzZ09 \t\n\r/!.'_", "'s", "'T", "'Re", "'vE", "'M", "'LL", "'d", "\r\n", "  ", "é",
                     "E\u0301", "ǅ",
                     "ʰ", "中", "١", "½", "\xa0", "\u3000", "👋", "\x00"]),
    max_size=16,
).map("".join)  # fmt: skip


def pieces(name: str, text: str) -> list[str]:
    return [piece for piece, _ in cut_to_bytes(pattern(name)).pre_tokenize_str(text)]


@pytest.mark.parametrize("name", PEERS)
def test_pieces_are_those_of_the_source(name: str) -> None:
    peer = regex.compile(PEERS[name])

    @given(st.one_of(TEXTS, JOINTS))
    @settings(deadline=None, max_examples=150)
    def agree(text: str) -> None:
        text = "".join(char for char in text if unicodedata.category(char) != "Cn")  # engines know other Unicodes
        assert pieces(name, text) == [to_byte_level(piece.encode()) for piece in peer.findall(text)]

    agree()


@given(st.one_of(TEXTS, JOINTS))
@settings(deadline=None, max_examples=150)
def test_smollm_is_the_librarys_digits_and_then_gpt2(text: str) -> None:
    """As in the tokenizer.json of SmolLM2."""
    peer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert pieces("smollm", text) == [piece for piece, _ in peer.pre_tokenize_str(text)]


def test_white_space_at_the_end_of_a_text() -> None:
    """What tiktoken changed, and the models that were trained before it keep."""
    assert pieces("cl100k", "a  \n  ") == ["a", "ĠĠĊĠĠ"]
    assert pieces("llama3", "a  \n  ") == ["a", "ĠĠĊ", "ĠĠ"]
    assert pieces("cl100k", "a  \n  b") == pieces("llama3", "a  \n  b") == ["a", "ĠĠĊ", "Ġ", "Ġb"]


def test_aliases_mean_something() -> None:
    assert set(ALIASES.values()) <= set(PATTERNS) and not set(ALIASES) & set(PATTERNS)
    assert pattern("gpt-2") == pattern("gpt2") and pattern("llama-bpe") == pattern("llama3")
    with pytest.raises(UserError, match="'gpt5' to cut text into pieces is unknown"):
        pattern("gpt5")
