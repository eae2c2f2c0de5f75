"""Ids and text as the peers have them: transformers, and Python's own UTF-8."""

import codecs
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import AWKWARD, CORPUS, TEXTS
from tokenizers import AddedToken, Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from clearhead.text.subword import CHAR_OF, SubwordTokenizer, readable, to_byte_level
from clearhead.text.training import train_tokenizer

BPE = train_tokenizer("bpe", CORPUS, 500)
OTHERS = [train_tokenizer(kind, CORPUS, 300) for kind in ("char", "word", "wordpiece")]


def framed() -> SubwordTokenizer:
    """With a token that begins every text, and one that is found in text without being special."""
    backend = Tokenizer.from_str(BPE.to_json())
    backend.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    backend.post_processor = processors.TemplateProcessing(single="<end>:0 $A:0", special_tokens=[("<end>", 1)])
    return SubwordTokenizer(backend, 1, 0)


FRAMED = framed()


@given(TEXTS)
@settings(deadline=None)
def test_bytes_come_back_whole(text: str) -> None:
    assert BPE.decode(BPE.encode(text)) == text
    assert BPE.decode_bytes(BPE.encode(text)) == text.encode()


@pytest.mark.parametrize("tokenizer", [BPE, *OTHERS, FRAMED], ids=["bpe", "char", "word", "wordpiece", "framed"])
def test_ids_and_text_are_those_of_transformers(tokenizer: SubwordTokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    peer = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), clean_up_tokenization_spaces=False)

    @given(st.lists(st.one_of(TEXTS, st.sampled_from(["<end>", "<pad>", "<tool>"])), max_size=4).map("".join))
    @settings(deadline=None, max_examples=50)
    def agree(text: str) -> None:
        ids = peer.encode(text, add_special_tokens=False)
        assert tokenizer.encode(text, special=True) == ids
        assert tokenizer.encode(text, special=True, add_special_tokens=True) == peer.encode(text)
        assert tokenizer.decode(ids, special=True) == peer.decode(ids)
        assert tokenizer.decode(ids) == peer.decode(ids, skip_special_tokens=True)

    agree()


@given(TEXTS)
@settings(deadline=None, max_examples=50)
def test_text_spelled_like_a_special_token_is_text(text: str) -> None:
    ids = BPE.encode(f"{text}<end>")
    assert 1 not in ids and BPE.decode(ids) == f"{text}<end>"
    assert BPE.encode("a<end>", special=True)[-1] == 1


@given(st.lists(st.integers(0, BPE.vocab_size - 1), max_size=30))
@settings(deadline=None)
def test_any_ids_decode_as_the_library_does(ids: list[int]) -> None:
    """Tokens are parts of characters, so most lists of ids are no UTF-8."""
    assert BPE.decode(ids) == BPE.backend.decode(ids)
    assert BPE.decode(ids, special=True) == BPE.backend.decode(ids, skip_special_tokens=False)
    stream = codecs.getincrementaldecoder("utf-8")("replace")
    shown = "".join(stream.decode(BPE.decode_bytes([i])) for i in ids) + stream.decode(b"", final=True)
    assert shown == BPE.decode(ids)


@given(st.binary(max_size=40), st.text(st.characters(), max_size=20))
@settings(deadline=None)
def test_what_is_no_unicode_becomes_the_replacement_character(data: bytes, text: str) -> None:
    assert BPE.decode(BPE.encode(data)) == data.decode("utf-8", "replace")
    mended = BPE.decode(BPE.encode(text))  # st.characters() has lone surrogates too
    assert mended == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_a_pair_of_surrogates_is_its_character() -> None:
    assert readable("\ud83d\udc4b") == "👋"
    assert readable("\udc4b\ud83d") == "\ufffd\ufffd"


def test_bytes_have_the_characters_of_gpt2() -> None:
    assert len(set(CHAR_OF.values())) == 256
    assert to_byte_level(b" \n\x00\xad\xff~") == "ĠĊĀŃÿ~"  # as in GPT-2's vocab.json


def test_many_texts_are_each_alone() -> None:
    assert BPE.encode_many(AWKWARD) == [BPE.encode(text) for text in AWKWARD]
    assert FRAMED.encode_many(["a", "<end>"], special=True, add_special_tokens=True) == [
        [1, *FRAMED.encode("a")],
        [1, 1],
    ]


def test_pieces_cover_the_text() -> None:
    text = "the cat 👋 sat"
    pieces = BPE.pieces(text)
    assert [piece.id for piece in pieces] == BPE.encode(text)
    assert (pieces[0].start, pieces[-1].end) == (0, len(text))
    assert [piece.token for piece in OTHERS[1].pieces("the qqq")] == ["the", "<unk>"]


def test_numbers_of_tokens() -> None:
    assert BPE.vocab_size == 500
    assert FRAMED.vocab_size == 501  # the added token
    assert BPE.unk_id is None
    assert [tokenizer.unk_id for tokenizer in OTHERS] == [2, 2, 2]
    assert BPE.specials == {0: "<pad>", 1: "<end>"}
    assert [tokenizer.is_byte_level for tokenizer in (BPE, *OTHERS)] == [True, False, False, False]
