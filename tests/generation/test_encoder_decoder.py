"""Encoder-decoders on the engine: against the whole forward pass, the reference's beam search, and rows alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.beam import length_penalty
from clearhead.generation.encoder_decoder import EncoderDecoderBackend
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import generate
from clearhead.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from clearhead.models.seq2seq import Seq2Seq, Seq2SeqConfig
from clearhead.reference.decoding import beam_search
from clearhead.text.tokenizer import END, CharTokenizer

Model = Seq2Seq | EncoderDecoder
ABC = CharTokenizer("abcdefgh")  # with padding and end: a vocabulary of 10
SOURCES = [[2, 3, 4], [5] * 17, [9], [3, 3, 7, 8]]
KINDS = ["none", "bahdanau", "luong-concat", "transformer", "relative"]


def model_of(kind: str, vocab: int = 10) -> Model:
    if kind in ("transformer", "relative"):
        positions = "relative" if kind == "relative" else "sinusoidal"
        model: Model = EncoderDecoder(
            EncoderDecoderConfig(vocab, 16, n_heads=2, d_ff=24, max_positions=40, positions=positions)
        )
    else:
        model = Seq2Seq(Seq2SeqConfig(vocab, kind, 12))
    generator = torch.Generator().manual_seed(5)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5, generator=generator)
    with torch.no_grad():
        model.head.weight[END] = model.head.weight[3] * 0.6
    return model.eval().requires_grad_(False)


def engine_of(model: Model, limit: int | None = None) -> Engine:
    return Engine(EncoderDecoderBackend(model, limit), ABC)


def log_p_of(model: Model, source: list[int]) -> Callable[[tuple[int, ...]], np.ndarray]:
    """log p of what follows a target, from one pass over all of it, and what it looked at."""
    row = torch.tensor([source])
    mask = torch.ones_like(row, dtype=torch.bool)
    memory, state = model.encode(row, mask)

    def next_log_p(tokens: tuple[int, ...]) -> np.ndarray:
        reading = model.read(torch.tensor([[END, *tokens]]), state, memory, mask)
        log_p = model.logits(reading.hidden[0, -1]).double().log_softmax(-1).numpy()
        log_p[0] = -np.inf  # padding
        return log_p

    return next_log_p


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_is_the_argmax_of_the_whole(kind: str) -> None:
    model = model_of(kind)
    for source in SOURCES:
        (text,) = generate(engine_of(model), Request(source, SamplingParams(temperature=0, max_tokens=9)))
        ids = [token.id for token in text.tokens]
        next_log_p = log_p_of(model, source)
        for t, token in enumerate(text.tokens):
            log_p = next_log_p(tuple(ids[:t]))
            assert token.id == log_p.argmax()
            assert token.logprob == pytest.approx(log_p[token.id], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_does_not_depend_on_its_company(kind: str) -> None:
    model, sampling = model_of(kind), SamplingParams(temperature=1.0, max_tokens=9)
    together = engine_of(model)
    ids = [together.add(Request(source, sampling, seed=i, n=2)) for i, source in enumerate(SOURCES)]
    found: dict[tuple[int, int], list[object]] = {}
    while together.unfinished:
        for event in together.step():
            found.setdefault((event.request, event.sample), []).append(event.token)
    for i, source in enumerate(SOURCES):
        alone = generate(engine_of(model), Request(source, sampling, seed=i, n=2))
        for sample, text in enumerate(alone):
            assert list(text.tokens) == found[ids[i], sample]
    together.flush()
    assert not together.backend._texts
    prompts = sum(map(len, SOURCES))
    assert together.usage.total.computed >= prompts
    assert together.usage.total.reused >= 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("beams", "alpha"), [(1, 0.0), (3, 0.6), (4, 2.0)])
def test_beam_search_is_the_references(kind: str, beams: int, alpha: float) -> None:
    model = model_of(kind)
    engine = engine_of(model)
    request = Request(SOURCES[0], SamplingParams(max_tokens=6), n=beams, beams=beams, length_penalty=alpha)
    found = [tuple(token.id for token in text.tokens) for text in generate(engine, request)]
    wanted = beam_search(log_p_of(model, SOURCES[0]), END, beams, 6, alpha)
    assert found == [hypothesis.tokens for hypothesis in wanted]
    engine.flush()
    assert not engine.backend._texts


@pytest.mark.parametrize("kind", KINDS[1:])
def test_coverage_orders_the_texts_by_what_they_looked_at(kind: str) -> None:
    """Against the score of Wu et al. 2016, equation 14, from one pass over each text."""
    model, source, beta, alpha = model_of(kind), SOURCES[3], 0.7, 0.5
    row = torch.tensor([source])
    mask = torch.ones_like(row, dtype=torch.bool)
    memory, state = model.encode(row, mask)

    def score(ids: list[int]) -> float:
        reading = model.read(torch.tensor([[END, *ids[:-1]]]), state, memory, mask)
        log_p = model.logits(reading.hidden[0]).double().log_softmax(-1)
        covered = reading.weights[0].double().sum(0).clamp(max=1).log().sum()
        total = log_p[torch.arange(len(ids)), torch.tensor(ids)].sum()
        return float(total / length_penalty(len(ids), alpha) + beta * covered)

    def texts(coverage: float) -> list[list[int]]:
        request = Request(
            source, SamplingParams(max_tokens=5), n=6, beams=6, length_penalty=alpha, coverage_penalty=coverage
        )
        return [[token.id for token in text.tokens] for text in generate(engine_of(model), request)]

    found = texts(beta)
    scores = [score(ids) for ids in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] >= max(score(ids) for ids in texts(0.0)) - 1e-6


def test_what_cannot_be_is_told() -> None:
    sampling = SamplingParams(max_tokens=5)
    with pytest.raises(UserError, match=r"coverage penalty = 0.2 is for a decoder that looks"):
        engine_of(model_of("none")).add(Request([2], sampling, beams=2, coverage_penalty=0.2))
    with pytest.raises(UserError, match="needs beams"):
        Request([2], sampling, coverage_penalty=0.2)
    with pytest.raises(UserError, match=r"41 tokens long.*shorten the prompt by 1 tokens"):
        engine_of(model_of("transformer")).add(Request([2] * 41, sampling))
    with pytest.raises(UserError, match=r"at most 1.0 KiB"):
        engine_of(model_of("transformer"), 1024).add(Request([2] * 40, sampling))


def test_source_and_target_each_have_the_context() -> None:
    engine = engine_of(model_of("transformer"))
    engine.banned[END] = True  # so that nothing ends it
    (text,) = generate(engine, Request([2] * 40, SamplingParams(temperature=0, max_tokens=99)))
    assert (len(text.tokens), text.ended) == (40, "context")


def test_what_does_not_fit_waits() -> None:
    model, sampling = model_of("transformer"), SamplingParams(temperature=0, max_tokens=4)
    alone = [generate(engine_of(model), Request(source, sampling))[0].tokens for source in SOURCES]
    backend = EncoderDecoderBackend(model)
    needed = backend._bytes[0] * (17 + 16) + 2 * (backend._bytes[1] + 5 * backend._bytes[2])
    engine = engine_of(model, needed)
    ids = {engine.add(Request(source, sampling)): i for i, source in enumerate(SOURCES)}
    found: dict[int, list[object]] = {i: [] for i in ids.values()}
    most = 0
    while engine.unfinished:
        for event in engine.step():
            found[ids[event.request]].append(event.token)
        most = max(most, len(engine._running))
    assert [tuple(found[i]) for i in range(len(SOURCES))] == alone
    assert most < len(SOURCES)
