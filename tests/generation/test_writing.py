"""Texts piece by piece and several at once: the same words, the same reasons to end."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import tokenizers

from clearhead.errors import UserError
from clearhead.generation.decode import Writer
from clearhead.generation.language_model import GREEDY, SampleConfig
from clearhead.generation.writing import Text, Writing, by_beams, check_memory, several
from clearhead.models.decoder import Decoder
from clearhead.text.begin import prompt_tokens
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer

MakeDecoder = Callable[..., Decoder]


def same(a: Text, b: Text) -> None:
    assert (a.text, a.ended) == (b.text, b.ended)
    assert [token.id for token in a.tokens] == [token.id for token in b.tokens]
    assert a.logprob == pytest.approx(b.logprob, abs=1e-4)
    for one, other in zip(a.tokens, b.tokens, strict=True):
        assert [i for i, _ in one.likeliest] == [i for i, _ in other.likeliest]
        assert [p for _, p in one.likeliest] == pytest.approx([p for _, p in other.likeliest], abs=1e-4)


@pytest.mark.parametrize("stop", [(), ("3",), ("01", "+\n", "5")])
@pytest.mark.parametrize("seed", range(4))
def test_the_first_of_several_is_the_one_that_is_streamed(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer, stop: tuple[str, ...], seed: int
) -> None:
    decoder, sampling, ids = make_decoder(), SampleConfig(max_tokens=12, top_k=6), tokenizer.encode("0+")
    writing = Writing(Writer(decoder), tokenizer, ids, sampling, seed, stop, show=3)
    pieces = list(writing)
    assert "".join(pieces) == writing.text.text
    assert all(pieces)
    texts = several(decoder, tokenizer, ids, sampling, seed, 3, stop, show=3)
    same(texts[0], writing.text)
    assert len(texts) == 3
    for text in texts:
        assert not any(string in text.text for string in stop)


def test_why_a_text_ended(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder, ids = make_decoder(max_positions=16), tokenizer.encode("0+")
    seen = set()
    for seed in range(8):
        for stop, limit in (((), 30), (("4",), 30), ((), 3)):
            (text,) = several(decoder, tokenizer, ids, SampleConfig(max_tokens=limit), seed, 1, stop)
            writing = Writing(Writer(decoder), tokenizer, ids, SampleConfig(max_tokens=limit), seed, stop)
            list(writing)
            same(writing.text, text)
            seen.add(text.ended)
            if text.ended == "context":
                assert len(text.tokens) == 14
            if text.ended == "tokens":
                assert len(text.tokens) == 3
    assert seen == {"end", "stop", "tokens", "context"}


def test_a_text_stopped_half_way_is_its_part(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    writing = Writing(Writer(make_decoder()), tokenizer, [3, 4], replace(GREEDY, max_tokens=9), 0)
    pieces = [next(iter(writing)) for _ in range(1)]
    assert writing.text.text == "".join(pieces)
    assert len(writing.text.tokens) == 1


def test_a_prompt_that_fills_the_context_is_refused(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = make_decoder(max_positions=8)
    with pytest.raises(UserError, match=r"8 tokens long.*context is 8.*by 1 tokens"):
        Writing(Writer(decoder), tokenizer, [3] * 8, GREEDY, 0)
    with pytest.raises(UserError, match="9 tokens long"):
        several(decoder, tokenizer, [3] * 9, GREEDY, 0, 2)


def test_more_texts_than_memory_are_refused_before_anything_is_taken(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer
) -> None:
    decoder = make_decoder(max_positions=64)
    config = decoder.config
    one = 64 * 2 * config.n_layers * config.n_kv_heads * config.channels * 4 + 12 * config.vocab
    check_memory(10, 64, decoder, 10 * one)
    check_memory(10, 1000, decoder, 10 * one)  # the context ends them
    with pytest.raises(UserError, match=r"11 texts of 64 tokens, written together, need .* ask for fewer"):
        check_memory(11, 64, decoder, 10 * one)
    with pytest.raises(UserError, match="10,000,000,000 texts"):
        several(decoder, tokenizer, [3], GREEDY, 0, 10**10)
    with pytest.raises(UserError, match="10,000,000,000 texts"):
        by_beams(decoder, tokenizer, [3], 10**10, 9, 0.6, 1)


def words(**frame: str) -> SubwordTokenizer:
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "</s>": 1, "a": 2, "b": 3}, "a"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.add_special_tokens(["<s>", "</s>"])
    if frame:
        backend.post_processor = tokenizers.processors.TemplateProcessing(
            **frame, special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    return SubwordTokenizer(backend, end_id=1)


def test_prompts_begin_as_the_tokenizer_says() -> None:
    assert prompt_tokens(words(single="<s> $A"), "a b") == [0, 2, 3]
    assert prompt_tokens(words(single="<s> $A"), "") == [0]
    assert prompt_tokens(words(single="<s> $A </s>"), "a b") == [0, 2, 3]  # an ended text would not go on
    assert prompt_tokens(words(), "a b") == [2, 3]
    assert prompt_tokens(words(), "") == [1]
    assert prompt_tokens(CharTokenizer("ab"), "ab") == [2, 3]
    with pytest.raises(UserError, match="type a prompt"):
        prompt_tokens(CharTokenizer("ab"), "")
