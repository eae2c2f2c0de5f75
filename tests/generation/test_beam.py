"""Beam search against the reference, against every text there is, and against transformers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation.beam import length_penalty
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import SamplingParams
from clearhead.generation.request import Request
from clearhead.generation.text_stream import Text, generate
from clearhead.generation.trie_backend import TrieBackend
from clearhead.models.decoder import Decoder
from clearhead.reference.decoding import beam_search as reference_search
from clearhead.reference.decoding import exhaustive_search
from clearhead.text.tokenizer import END, CharTokenizer

MakeDecoder = Callable[..., Decoder]
FullForward = Callable[[Decoder, list[int]], torch.Tensor]
AB = CharTokenizer("ab")  # with padding and end: a vocabulary of 4


def likely_to_end(make_decoder: MakeDecoder, seed: int) -> Decoder:
    decoder = make_decoder(seed=seed, vocab=4)
    with torch.no_grad():
        decoder.head.weight[END] = decoder.head.weight[3] * 0.7
    return decoder


def oracle(decoder: Decoder, full_forward: FullForward, prompt: list[int]) -> Callable[[tuple[int, ...]], np.ndarray]:
    def next_log_p(tokens: tuple[int, ...]) -> np.ndarray:
        log_p = decoder.logits(full_forward(decoder, [*prompt, *tokens])[-1]).detach().double().log_softmax(-1).numpy()
        log_p[0] = -np.inf  # padding
        return log_p

    return next_log_p


def search(
    decoder: Decoder, prompt: list[int], beams: int, limit: int, alpha: float = 0.0, stop: tuple[str, ...] = ()
) -> tuple[list[tuple[int, ...]], list[Text], TrieBackend]:
    backend = TrieBackend(decoder, torch.float32)
    sampling = SamplingParams(max_tokens=limit)
    request = Request(prompt, sampling, stop=stop, n=beams, beams=beams, length_penalty=alpha)
    found = generate(Engine(backend, AB), request)
    return [tuple(token.id for token in text.tokens) for text in found], found, backend


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("beams", "alpha"), [(1, 0.0), (2, 0.0), (3, 0.6), (5, 1.0), (4, 3.0)])
def test_it_is_the_references(
    make_decoder: MakeDecoder, full_forward: FullForward, seed: int, beams: int, alpha: float
) -> None:
    decoder, prompt = likely_to_end(make_decoder, seed), [2, 3]
    texts, found, backend = search(decoder, prompt, beams, 6, alpha)
    want = reference_search(oracle(decoder, full_forward, prompt), END, beams, 6, alpha)
    assert texts == [hypothesis.tokens for hypothesis in want]
    assert [text.logprob for text in found] == pytest.approx([h.log_p for h in want], abs=1e-4)
    scores = [text.logprob / length_penalty(len(text.tokens), alpha) for text in found]
    assert scores == pytest.approx([h.score for h in want], abs=1e-4)
    assert [text.ended for text in found] == ["end" if END in text else "tokens" for text in texts]
    assert backend.cache.computed == backend.cache.unique


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [0.0, 0.8])
def test_wide_enough_it_finds_the_best_of_all(
    make_decoder: MakeDecoder, full_forward: FullForward, seed: int, alpha: float
) -> None:
    decoder, prompt = likely_to_end(make_decoder, seed), [3]
    texts, _, _ = search(decoder, prompt, 3**4, 4, alpha)
    want = exhaustive_search(oracle(decoder, full_forward, prompt), END, 4, alpha)
    assert texts == [hypothesis.tokens for hypothesis in want]


def test_every_reference_is_given_back(make_decoder: MakeDecoder) -> None:
    _, _, backend = search(likely_to_end(make_decoder, 0), [2], 4, 8, 0.6)
    backend.forget()
    assert backend.trie.used == 1  # the root


def test_it_stops_when_nothing_better_can_come(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder = make_decoder(vocab=4)
    with torch.no_grad():
        decoder.head.weight.zero_()
        decoder.head.weight[END] = full_forward(decoder, [2])[-1]  # after "a" the end, almost surely
    texts, _, backend = search(decoder, [2], 1, 50)
    assert (len(texts[0]), backend.cache.computed) == (1, 1)
    texts, _, backend = search(decoder, [2], 2, 50)
    assert len(texts[0]) == 1
    assert backend.cache.computed < 50


def test_the_context_and_a_stop_string_end_it(make_decoder: MakeDecoder) -> None:
    decoder, prompt = make_decoder(vocab=4, max_positions=8), [2, 3, 2]
    texts, found, _ = search(decoder, prompt, 3, 100)
    assert max(map(len, texts)) <= 5
    assert {text.ended for text in found} <= {"end", "context"}
    texts, found, _ = search(decoder, prompt, 3, 100, stop=("b",))
    for ids, text in zip(texts, found, strict=True):
        whole = AB.decode(ids)
        assert text.ended == ("stop" if "b" in whole else "end" if ids[-1] == END else "context")
        assert "b" not in whole[:-1]
        assert "b" not in text.text


@pytest.mark.parametrize("values", [(-1, 5, 0.0), (2, 0, 0.0), (2, 5, -1.0), (2, 5, float("nan"))])
def test_wrong_sizes_are_refused(make_decoder: MakeDecoder, values: tuple[int, int, float]) -> None:
    with pytest.raises(UserError, match="must be at least 1"):
        search(make_decoder(vocab=4), [2], *values)


@pytest.mark.parametrize("beams", [2, 5])
def test_it_is_transformers(make_decoder: MakeDecoder, beams: int) -> None:
    """The same weights in a Llama; no text ends, so both search over texts of one length."""
    import transformers

    decoder = make_decoder(vocab=40, qk_norm=False, mlp="swiglu", tied=True, rope_theta=10_000.0, n_kv_heads=1)
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=10_000.0,
        tie_word_embeddings=True,
    )  # fmt: skip
    peer = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        peer.model.embed_tokens.weight.copy_(decoder.embed.weight)
        for ours, theirs in zip(decoder.blocks, peer.model.layers, strict=True):
            q, k, v = ours.attention.qkv.weight.split((16, 8, 8))
            gate, up = ours.mlp.up.weight.chunk(2)
            pairs = [
                (theirs.self_attn.q_proj, q), (theirs.self_attn.k_proj, k), (theirs.self_attn.v_proj, v),
                (theirs.self_attn.o_proj, ours.attention.out.weight), (theirs.mlp.gate_proj, gate),
                (theirs.mlp.up_proj, up), (theirs.mlp.down_proj, ours.mlp.down.weight),
            ]  # fmt: skip
            for layer, weight in pairs:
                layer.weight.copy_(weight)
    prompt = [5, 17, 9]
    ids = torch.tensor([prompt])
    want = peer.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=beams, num_return_sequences=beams, do_sample=False,
        max_new_tokens=8, min_new_tokens=8, length_penalty=0.0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip

    class Any40:
        vocab_size, end_id, end_ids, pad_id = 40, None, frozenset(), None

        def decode(self, ids: list[int]) -> str:
            return "".join(chr(65 + i) for i in ids)

    request = Request(prompt, SamplingParams(max_tokens=8), n=beams, beams=beams)
    found = generate(Engine(TrieBackend(decoder, torch.float32), Any40()), request)
    assert [[*prompt, *(token.id for token in text.tokens)] for text in found] == want.tolist()
