"""Texts piece by piece and several at once: the same words, the same reasons to end."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import tokenizers
import torch

from clearhead.errors import UserError
from clearhead.generation.cache import slot_bytes
from clearhead.generation.engine import Engine, backend_for
from clearhead.generation.language_model import GREEDY, SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import Text, TextStream, generate
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
    decoder, sampling, ids = make_decoder(), SamplingParams(max_tokens=12, top_k=6), tokenizer.encode("0+")
    one = Request(ids, sampling, seed, stop, top_logprobs=3)
    stream = TextStream(Engine(backend_for(decoder), tokenizer), one)
    pieces = list(stream)
    assert "".join(pieces) == stream.text.text
    assert all(pieces)
    texts = generate(Engine(backend_for(decoder, 3), tokenizer), replace(one, n=3))
    same(texts[0], stream.text)
    assert len(texts) == 3
    for text in texts:
        assert not any(string in text.text for string in stop)


def test_why_a_text_ended(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder, ids = make_decoder(max_positions=16), tokenizer.encode("0+")
    seen = set()
    for seed in range(8):
        for stop, limit in (((), 30), (("4",), 30), ((), 3)):
            request = Request(ids, SamplingParams(max_tokens=limit), seed, stop)
            (text,) = generate(Engine(backend_for(decoder, 2), tokenizer), request)
            stream = TextStream(Engine(backend_for(decoder), tokenizer), request)
            list(stream)
            same(stream.text, text)
            seen.add(text.ended)
            if text.ended == "context":
                assert len(text.tokens) == 14
            if text.ended == "tokens":
                assert len(text.tokens) == 3
    assert seen == {"end", "stop", "tokens", "context"}


def test_a_text_stopped_half_way_is_its_part(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    engine = Engine(backend_for(make_decoder()), tokenizer)
    stream = TextStream(engine, Request([3, 4], replace(GREEDY, max_tokens=9)))
    pieces = [next(iter(stream)) for _ in range(1)]
    assert stream.text.text == "".join(pieces)
    assert (len(stream.text.tokens), stream.text.ended) == (1, None)
    assert engine.unfinished == 0  # the next text has the engine for itself


def test_a_prompt_that_fills_the_context_is_refused(make_decoder: MakeDecoder, tokenizer: CharTokenizer) -> None:
    decoder = make_decoder(max_positions=8)
    with pytest.raises(UserError, match=r"8 tokens long.*context is 8.*by 1 tokens"):
        TextStream(Engine(backend_for(decoder), tokenizer), Request([3] * 8, GREEDY))
    with pytest.raises(UserError, match="9 tokens long"):
        generate(Engine(backend_for(decoder, 2), tokenizer), Request([3] * 9, GREEDY, n=2))


def test_more_texts_than_memory_are_refused_before_anything_is_taken(
    make_decoder: MakeDecoder, tokenizer: CharTokenizer
) -> None:
    decoder = make_decoder(max_positions=64)
    limit = 10 * 63 * slot_bytes(decoder.config, torch.float32) + 2 * slot_bytes(decoder.config, torch.float32)
    for new, n in ((63, 10), (1000, 10), (63, 11)):  # the context ends longer ones
        engine = Engine(backend_for(decoder, 2, limit), tokenizer)
        request = Request([3], SamplingParams(max_tokens=new), n=n)
        if n == 10:
            assert len(generate(engine, request)) == 10
        else:
            with pytest.raises(UserError, match=r"11 texts of up to 64 tokens, written together, .* ask for fewer"):
                generate(engine, request)
            assert len(engine.backend.cache._hidden) <= 1024
    for many in (Request([3], GREEDY, n=10**10), Request([3], replace(GREEDY, max_tokens=9), beams=10**10)):
        with pytest.raises(UserError, match="10,000,000,000 texts"):
            generate(Engine(backend_for(decoder, 2), tokenizer), many)


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
