"""The fast path against no cache at all and against the engine, token by token."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from decoding import logits_after

from clearhead.errors import UserError
from clearhead.generation import contiguous
from clearhead.generation.contiguous import ContiguousBackend, common
from clearhead.generation.engine import Engine
from clearhead.generation.language_model import GREEDY, SamplingParams
from clearhead.generation.local import LocalEngine
from clearhead.generation.request import Request
from clearhead.generation.sampling import Token
from clearhead.models.decoder import Decoder
from clearhead.text.tokenizer import END, CharTokenizer

MakeDecoder = Callable[..., Decoder]
FullForward = Callable[[Decoder, list[int]], torch.Tensor]
CHANGES = [
    {}, {"n_heads": 4, "n_kv_heads": 4}, {"n_heads": 4, "n_kv_heads": 2, "qk_norm": False, "mlp": "swiglu"},
    {"positions": "learned", "tied": True, "norm": "layer"}, {"positions": "sinusoidal"},
    {"window": 4}, {"window": 3, "global_every": 2, "rope_local_theta": 10.0, "attention_softcap": 2.0},
    {"norm_weight": "plain", "bias": "all", "norm": "layer", "mlp": "gelu", "positions": "learned", "block": "post"},
    {"norm_weight": "one_plus", "block": "sandwich", "embed_scale": True, "logit_softcap": 3.0, "attention_scale": 0.2},
    {"head_dim": 4, "bias": "qkv", "rope_scaling": "llama3", "rope_factor": 8.0, "rope_original": 16},
]  # fmt: skip


class Numbers:
    """Ids and no text; nothing ends."""

    vocab_size, end_id, end_ids, pad_id = 12, None, frozenset(), None

    def decode(self, ids: list[int]) -> str:
        return ""


def tokens_after(backend: ContiguousBackend, request: Request, tokenizer: object = None) -> list[Token]:
    """What the engine writes with this backend."""
    engine, tokens = Engine(backend, tokenizer or Numbers()), []
    engine.add(request)
    while engine.unfinished:
        tokens += [event.token for event in engine.step()]
    return tokens


def written(backend: ContiguousBackend, prompt: list[int], sampling: SamplingParams) -> list[int]:
    return [token.id for token in tokens_after(backend, Request(prompt, sampling))]


@pytest.mark.parametrize("changes", CHANGES)
def test_logits_are_those_of_no_cache(make_decoder: MakeDecoder, full_forward: FullForward, changes: dict) -> None:
    decoder, text = make_decoder(**changes).double(), [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]
    want = decoder.logits(full_forward(decoder, text))
    backend = ContiguousBackend(decoder)
    for n in (1, 2, 7, 8, 11):  # one token, several, and none left out
        torch.testing.assert_close(logits_after(backend, text[:n]), want[n - 1], rtol=1e-12, atol=1e-12)
    assert backend.tokens == text


@pytest.mark.parametrize("changes", CHANGES)
def test_greedy_is_greedy_without_a_cache(
    make_decoder: MakeDecoder, full_forward: FullForward, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contiguous, "FIRST_ROOM", 1)
    monkeypatch.setattr(contiguous, "READ_AT_ONCE", 3)
    decoder, text = make_decoder(**changes), [3, 5, 2, 7]
    got = written(ContiguousBackend(decoder), text, replace(GREEDY, max_tokens=14))
    for _ in range(14):
        text.append(int(decoder.logits(full_forward(decoder, text)[-1]).argmax()))
    assert got == text[4:]


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY, SamplingParams(), SamplingParams(0.7, top_k=5, top_p=0.9, min_p=0.02),
        SamplingParams(repetition_penalty=1.5),
        replace(GREEDY, repetition_penalty=2.0),
    ],
)  # fmt: skip
def test_a_sample_is_the_engines(make_decoder: MakeDecoder, tokenizer: CharTokenizer, sampling: SamplingParams) -> None:
    decoder, prompt, sampling = make_decoder(), tokenizer.encode("0+1"), replace(sampling, max_tokens=20)
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    for seed in (7, 8, 9):
        ((want,),) = engine.extend(engine.open_tokens([prompt]), 1, sampling, [seed], stop=None)
        tokens = tokens_after(ContiguousBackend(decoder), Request(prompt, sampling, seed), tokenizer)
        assert [*prompt, *(token.id for token in tokens)] == engine.tokens(want.node)
        assert sum(token.logprob for token in tokens) == pytest.approx(want.logprob, abs=1e-4)
        assert (tokens[-1].id == END) == want.done


def test_only_what_differs_is_computed(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder = make_decoder()
    backend, total = ContiguousBackend(decoder), 0
    for text, computed in (([3, 4, 5], 3), ([3, 4, 5, 6, 7], 5), ([3, 4, 8], 6), ([3, 4, 8], 7), ([3, 4], 8)):
        want = decoder.logits(full_forward(decoder, text)[-1])
        seq = backend.open(text, 1, 0)
        total += len(backend.compute(np.array([seq])).by)
        torch.testing.assert_close(backend.logits(np.array([seq]))[0], want, rtol=1e-4, atol=1e-4)
        backend.release([seq])
        assert (backend.tokens, total) == (text, computed)


def test_an_interrupted_step_leaves_the_text_as_it_was(
    make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = ContiguousBackend(make_decoder())
    want = logits_after(backend, [3, 4, 5, 6])
    logits_after(backend, [3, 4, 5])
    with monkeypatch.context() as patch:
        patch.setattr(backend.decoder.blocks[1], "forward", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            logits_after(backend, [3, 4, 5, 9, 9, 9])
    assert backend.tokens == [3, 4, 5]
    torch.testing.assert_close(logits_after(backend, [3, 4, 5, 6]), want)


def test_weights_are_shared_unless_their_type_changes(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder()
    shared = ContiguousBackend(decoder)
    assert shared.decoder.embed.weight.data_ptr() == decoder.embed.weight.data_ptr()
    assert type(decoder.blocks[0].mlp.up) is torch.nn.Linear  # the given one is left alone
    other = ContiguousBackend(decoder, torch.bfloat16)
    assert other.dtype == torch.bfloat16
    assert decoder.embed.weight.dtype == torch.float32
    got, want = logits_after(other, [3, 4, 5]), logits_after(shared, [3, 4, 5])
    assert got.dtype == torch.float32
    assert (got - want).norm() < 0.1 * want.norm()


@pytest.mark.parametrize("seed", range(3))
def test_bfloat16_is_no_further_from_the_truth_than_plain_layers(
    make_decoder: MakeDecoder, full_forward: FullForward, seed: int
) -> None:
    decoder, text = make_decoder(seed), [3, 1, 4, 1, 5, 9, 2, 6]
    rounded = copy.deepcopy(decoder).bfloat16()
    truth = copy.deepcopy(rounded).double()
    want = truth.logits(full_forward(truth, text))
    plain = (rounded.logits(full_forward(rounded, text)) - want).norm()
    backend = ContiguousBackend(decoder, torch.bfloat16)
    got = torch.stack([logits_after(backend, text[: n + 1]) for n in range(len(text))])
    assert (got - want).norm() <= 2 * plain


def test_probabilities_of_a_token_and_of_the_likeliest(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder = make_decoder()
    request = Request([3, 4], replace(GREEDY, max_tokens=1), top_logprobs=3)
    (token,) = tokens_after(ContiguousBackend(decoder), request)
    log_p = decoder.logits(full_forward(decoder, [3, 4])[-1]).log_softmax(-1)
    assert [i for i, _ in token.likeliest] == log_p.topk(3).indices.tolist()
    assert [p for _, p in token.likeliest] == pytest.approx(log_p.topk(3).values.tolist(), abs=1e-5)
    assert (token.id, token.logprob) == token.likeliest[0]


def test_the_context_ends_the_text(make_decoder: MakeDecoder) -> None:
    backend = ContiguousBackend(make_decoder(max_positions=8))
    assert len(written(backend, [3, 4, 5], replace(GREEDY, max_tokens=100))) == 5
    for length in (8, 9):
        with pytest.raises(UserError, match=rf"{length} tokens.*context is 8"):
            written(backend, [3] * length, GREEDY)
    with pytest.raises(UserError, match="empty prompt"):
        written(backend, [], GREEDY)


def test_one_text_at_a_time(make_decoder: MakeDecoder) -> None:
    backend = ContiguousBackend(make_decoder())
    assert backend.open([3], 1, 5) == 0
    assert backend.open([4], 1, 5) is None
    backend.release([0])
    assert backend.open([4], 1, 5) == 0


def test_the_block_grows_and_keeps_what_it_has(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder = make_decoder()
    backend, text = ContiguousBackend(decoder), [3, 4, 5, 6]
    contiguous_room = []
    for length in (2, 4, 40, 60):
        text = (text * 20)[:length]
        want = decoder.logits(full_forward(decoder, text)[-1])
        torch.testing.assert_close(logits_after(backend, text), want, rtol=1e-4, atol=1e-4)
        contiguous_room.append(backend._keys[0].shape[1])
    assert contiguous_room[-1] <= 64


def test_broken_weights_are_told(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder()
    with torch.no_grad():
        decoder.embed.weight[3] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        written(ContiguousBackend(decoder), [3], GREEDY)


def test_common() -> None:
    assert common([1, 2, 3], [1, 2, 3]) == 3
    assert common([9], [1, 2]) == 0
