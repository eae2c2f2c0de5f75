"""Streams against the decoder of the whole text, with every tokenizer that comes apart in its own way."""

from collections.abc import Iterator

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.generation.streaming import Detokenizer, StopStrings, stream
from clearhead.text.subword import SubwordTokenizer, to_byte_level
from clearhead.text.tokenizer import CharTokenizer

BYTES = SubwordTokenizer(
    tokenizers.Tokenizer(tokenizers.models.BPE({to_byte_level(bytes([i])): i for i in range(256)}, []))
)
BYTES.backend.decoder = tokenizers.decoders.ByteLevel()


def fallback_tokenizer() -> SubwordTokenizer:
    """As Llama 2 has it: words begin with ▁, and what has no word is spelled in bytes."""
    words = ["<unk>", *(f"<0x{i:02X}>" for i in range(256)), "▁a", "▁", "b", "▁été"]
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({w: i for i, w in enumerate(words)}, [], byte_fallback=True, unk_token="<unk>")
    )
    backend.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
            tokenizers.decoders.Strip(" ", 1, 0),
        ]
    )
    return SubwordTokenizer(backend)


FALLBACK = fallback_tokenizer()


def pieces(tokenizer: SubwordTokenizer | CharTokenizer, ids: list[int]) -> list[str]:
    words = Detokenizer(tokenizer)
    return [*(words.push(i) for i in ids), words.finish()]


@given(st.text())
def test_characters_come_whole(text: str) -> None:
    parts = pieces(BYTES, list(text.encode()))
    assert "".join(parts) == text
    assert all("\ufffd" not in part for part in parts) or "\ufffd" in text


def test_a_character_of_four_bytes_comes_with_its_last() -> None:
    assert pieces(BYTES, list("a👋b".encode())) == ["a", "", "", "", "👋", "b", ""]
    assert pieces(BYTES, list("a👋".encode())[:-1]) == ["a", "", "", "", "\ufffd"]  # what is lost is said at the end


@given(st.lists(st.integers(0, 255)))
def test_any_bytes_are_the_text_of_the_whole(ids: list[int]) -> None:
    assert "".join(pieces(BYTES, ids)) == BYTES.decode(ids)


@given(st.lists(st.sampled_from([*range(256, 261), *(1 + byte for byte in "é👋".encode())])))
def test_words_and_bytes_that_depend_on_their_neighbors(ids: list[int]) -> None:
    whole = FALLBACK.decode(ids)
    streamed = "".join(pieces(FALLBACK, ids))
    if "\ufffd" not in whole:
        assert streamed == whole


def test_a_space_that_only_a_first_word_loses() -> None:
    a, emoji = 257, [1 + byte for byte in "👋".encode()]
    assert FALLBACK.decode([a, a]) == "a a"
    assert pieces(FALLBACK, [a, a, *emoji, a]) == ["a", " a", "", "", "", "👋", " a", ""]


@given(st.text("ab\n"))
def test_characters(text: str) -> None:
    tokenizer = CharTokenizer("\nab")
    assert "".join(pieces(tokenizer, tokenizer.encode(text))) == text


@given(st.lists(st.text("ab", max_size=3)), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_a_stop_string_never_shows(parts: list[str], strings: list[str]) -> None:
    stops = StopStrings(strings)
    out = "".join([stops.push(part) for part in parts]) + stops.finish()
    soonest = next((i for i in range(len(parts) + 1) if any(s in "".join(parts[:i]) for s in strings)), len(parts))
    text = "".join(parts[:soonest])  # nothing is written after the first stop string is whole
    places = [text.find(string) for string in strings if string in text]
    assert out == text[: min(places, default=None)]
    assert (stops.found is not None) == bool(places)


def test_the_string_that_is_whole_first_ends_the_text() -> None:
    """A longer one that would have begun earlier never comes about."""
    stops = StopStrings(["a", "bab"])
    assert [stops.push(part) for part in "bab"] == ["", "b", ""]
    assert stops.found == "a"


def test_text_is_held_back_only_while_it_may_become_a_stop_string() -> None:
    stops = StopStrings(["\n\nUser:"])
    assert [stops.push(text) for text in ("hello", "\n", "\n", "you")] == ["hello", "", "", "\n\nyou"]
    assert [stops.push(text) for text in ("\n\nUs", "er: hi", "more")] == ["", "", ""]
    assert stops.found == "\n\nUser:"


def test_no_token_is_drawn_after_a_stop_string() -> None:
    tokenizer = CharTokenizer("abc")
    drawn = []

    def tokens() -> Iterator[int]:
        for token in tokenizer.encode("abcabc"):
            drawn.append(token)
            yield token

    assert "".join(stream(tokens(), tokenizer, StopStrings(["ca"]))) == "ab"
    assert len(drawn) == 4


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(UserError, match="empty stop string"):
        StopStrings(["x", ""])
