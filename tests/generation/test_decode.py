"""The fast path against no cache at all and against the engine, token by token."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from clearhead.errors import UserError
from clearhead.generation import decode
from clearhead.generation.decode import Writer, common
from clearhead.generation.engine import LocalEngine, textless
from clearhead.generation.language_model import GREEDY, SampleConfig
from clearhead.models.decoder import Decoder
from clearhead.text.tokenizer import END, CharTokenizer

MakeDecoder = Callable[..., Decoder]
FullForward = Callable[[Decoder, list[int]], torch.Tensor]
ALLOWED = torch.zeros(12, dtype=torch.bool)
CHANGES = [
    {}, {"n_heads": 4, "n_kv_heads": 4}, {"n_heads": 4, "n_kv_heads": 2, "qk_norm": False, "mlp": "swiglu"},
    {"positions": "learned", "tied": True, "norm": "layer"}, {"positions": "sinusoidal"},
    {"window": 4}, {"window": 3, "global_every": 2, "rope_local_theta": 10.0, "attention_softcap": 2.0},
    {"gain": "plain", "bias": "all", "norm": "layer", "mlp": "gelu", "positions": "learned", "block": "post"},
    {"gain": "one_plus", "block": "sandwich", "embed_scale": True, "logit_softcap": 3.0, "attention_scale": 0.2},
    {"head_channels": 4, "bias": "qkv", "rope_scaling": "llama3", "rope_factor": 8.0, "rope_original": 16},
]  # fmt: skip


def written(writer: Writer, prompt: list[int], sampling: SampleConfig, seed: int = 0, sample: int = 0) -> list[int]:
    return [token.id for token in writer.write(prompt, sampling, seed, ALLOWED, frozenset(), sample)]


@pytest.mark.parametrize("changes", CHANGES)
def test_logits_are_those_of_no_cache(make_decoder: MakeDecoder, full_forward: FullForward, changes: dict) -> None:
    decoder, text = make_decoder(**changes).double(), [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]
    want = decoder.logits(full_forward(decoder, text))
    writer = Writer(decoder)
    for n in (1, 2, 7, 8, 11):  # one token, several, and none left out
        torch.testing.assert_close(writer.logits_after(text[:n]), want[n - 1], rtol=1e-12, atol=1e-12)
    assert writer.computed == 11


@pytest.mark.parametrize("changes", CHANGES)
def test_greedy_is_greedy_without_a_cache(
    make_decoder: MakeDecoder, full_forward: FullForward, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "FIRST_ROOM", 1)
    monkeypatch.setattr(decode, "READ_AT_ONCE", 3)
    decoder, text = make_decoder(**changes), [3, 5, 2, 7]
    got = written(Writer(decoder), text, replace(GREEDY, max_tokens=14))
    for _ in range(14):
        text.append(int(decoder.logits(full_forward(decoder, text)[-1]).argmax()))
    assert got == text[4:]


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY, SampleConfig(), SampleConfig(0.7, top_k=5, top_p=0.9, min_p=0.02), SampleConfig(repetition_penalty=1.5),
        replace(GREEDY, repetition_penalty=2.0),
    ],
)  # fmt: skip
def test_a_sample_is_the_engines(make_decoder: MakeDecoder, tokenizer: CharTokenizer, sampling: SampleConfig) -> None:
    decoder, prompt, sampling = make_decoder(), tokenizer.encode("0+1"), replace(sampling, max_tokens=20)
    engine = LocalEngine(decoder, tokenizer, dtype=torch.float32)
    drawn = engine.extend(engine.open_tokens([prompt]), 3, sampling, [7], stop=None)[0]
    writer, never = Writer(decoder), textless(tokenizer, 12)
    for sample, want in enumerate(drawn):
        tokens = list(writer.write(prompt, sampling, 7, never, frozenset((END,)), sample))
        assert [*prompt, *(token.id for token in tokens)] == engine.tokens(want.node)
        assert sum(token.logprob for token in tokens) == pytest.approx(want.logprob, abs=1e-4)
        assert (tokens[-1].id == END) == want.done


def test_only_what_differs_is_computed(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder = make_decoder()
    writer = Writer(decoder)
    for text, computed in (([3, 4, 5], 3), ([3, 4, 5, 6, 7], 5), ([3, 4, 8], 6), ([3, 4, 8], 7), ([3, 4], 8)):
        want = decoder.logits(full_forward(decoder, text)[-1])
        torch.testing.assert_close(writer.logits_after(text), want, rtol=1e-4, atol=1e-4)
        assert (writer.tokens, writer.computed) == (text, computed)


def test_an_interrupted_step_leaves_the_text_as_it_was(
    make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(make_decoder())
    want = writer.logits_after([3, 4, 5, 6])
    writer.logits_after([3, 4, 5])
    with monkeypatch.context() as patch:
        patch.setattr(writer.decoder.blocks[1], "forward", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            writer.logits_after([3, 4, 5, 9, 9, 9])
    assert writer.tokens == [3, 4, 5]
    torch.testing.assert_close(writer.logits_after([3, 4, 5, 6]), want)


def test_weights_are_shared_unless_their_type_changes(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder()
    shared = Writer(decoder)
    assert shared.decoder.embed.weight.data_ptr() == decoder.embed.weight.data_ptr()
    assert type(decoder.blocks[0].mlp.up) is torch.nn.Linear  # the given one is left alone
    other = Writer(decoder, torch.bfloat16)
    assert other.dtype == torch.bfloat16
    assert decoder.embed.weight.dtype == torch.float32
    got, want = other.logits_after([3, 4, 5]), shared.logits_after([3, 4, 5])
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
    writer = Writer(decoder, torch.bfloat16)
    got = torch.stack([writer.logits_after(text[: n + 1]) for n in range(len(text))])
    assert (got - want).norm() <= 2 * plain


def test_probabilities_of_a_token_and_of_the_likeliest(make_decoder: MakeDecoder, full_forward: FullForward) -> None:
    decoder = make_decoder()
    (token,) = Writer(decoder).write([3, 4], replace(GREEDY, max_tokens=1), 0, ALLOWED, frozenset(), show=3)
    log_p = decoder.logits(full_forward(decoder, [3, 4])[-1]).log_softmax(-1)
    assert [i for i, _ in token.likeliest] == log_p.topk(3).indices.tolist()
    assert [p for _, p in token.likeliest] == pytest.approx(log_p.topk(3).values.tolist(), abs=1e-5)
    assert (token.id, token.logprob) == token.likeliest[0]


def test_the_context_ends_the_text(make_decoder: MakeDecoder) -> None:
    writer = Writer(make_decoder(max_positions=8))
    assert len(written(writer, [3, 4, 5], replace(GREEDY, max_tokens=100))) == 5
    assert written(writer, [3] * 8, GREEDY) == []
    with pytest.raises(UserError, match=r"9 tokens.*context is 8"):
        writer.logits_after([3] * 9)
    with pytest.raises(UserError, match="empty prompt"):
        writer.logits_after([])


def test_broken_weights_are_told(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder()
    with torch.no_grad():
        decoder.embed.weight[3] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        written(Writer(decoder), [3], GREEDY)


def test_common() -> None:
    assert common([1, 2, 3], [1, 2, 3]) == 3
    assert common([9], [1, 2]) == 0
