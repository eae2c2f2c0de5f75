import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import UserError
from clearhead.text.load import load_tokenizer
from clearhead.text.tokenizer import BYTES, CharTokenizer

ALPHABET = "\n 0123456789abcé⇒"
PLAIN, WITH_BYTES = CharTokenizer(ALPHABET), CharTokenizer(ALPHABET, byte_fallback=True)


@settings(deadline=None)
@given(st.text())
def test_any_text_comes_back_with_bytes(text: str) -> None:
    ids = WITH_BYTES.encode(text)
    assert WITH_BYTES.decode(ids) == text
    assert all(0 <= i < WITH_BYTES.vocab_size for i in ids)
    known = [char for char in text if char in ALPHABET]
    assert [WITH_BYTES.tokens[i] for i in ids if WITH_BYTES.tokens[i] not in BYTES] == known


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_character_is_spelled_the_same_wherever_it_stands(a: str, b: str) -> None:
    assert WITH_BYTES.encode(a + "\n" + b) == WITH_BYTES.encode(a) + WITH_BYTES.encode("\n") + WITH_BYTES.encode(b)


@settings(deadline=None)
@given(st.text(alphabet="0123456789٣²", min_size=1))
def test_digits_are_single(text: str) -> None:
    ids = WITH_BYTES.encode(text)
    assert sum(WITH_BYTES.tokens[i] in "0123456789" for i in ids) == sum(char in "0123456789" for char in text)


@settings(deadline=None)
@given(st.lists(st.integers(0, WITH_BYTES.vocab_size - 1)))
def test_any_ids_are_a_text(ids: list[int]) -> None:
    assert "\ud800" not in WITH_BYTES.decode(ids)
    WITH_BYTES.decode(ids).encode()


def test_bytes_that_are_no_character() -> None:
    first = WITH_BYTES.tokens.index("<0x00>")
    assert WITH_BYTES.decode([first + 0xC3, first + 0xA9]) == "é"
    assert WITH_BYTES.decode([first + 0xC3, WITH_BYTES.encode("a")[0]]) == "\ufffda"
    assert WITH_BYTES.encode("λ") == [first + 0xCE, first + 0xBB]


def test_ids_do_not_change_when_bytes_are_added() -> None:
    assert WITH_BYTES.encode(ALPHABET) == PLAIN.encode(ALPHABET) == list(range(2, 2 + len(ALPHABET)))
    assert WITH_BYTES.vocab_size == PLAIN.vocab_size + 256


def test_without_bytes_an_unknown_character_is_an_error() -> None:
    with pytest.raises(UserError, match=r"'λ' in 'aλ' is not in the model's alphabet"):
        PLAIN.encode("aλ")


@pytest.mark.parametrize("tokenizer", [PLAIN, WITH_BYTES])
def test_files(tokenizer: CharTokenizer, tmp_path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    assert load_tokenizer(tmp_path / "tokenizer.json") == tokenizer


def test_a_file_of_before_there_were_bytes(tmp_path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"kind": "char", "alphabet": "ab"}), encoding="utf-8")
    assert load_tokenizer(tmp_path / "tokenizer.json") == CharTokenizer("ab")


def test_rare_characters_are_left_to_bytes() -> None:
    texts = ["xé", "xé", "xλ\t"]
    assert CharTokenizer.train(texts).alphabet == "\txéλ"
    assert CharTokenizer.train(texts, byte_fallback=True, fewest=2).alphabet == "\txé"
