"""The decoder: sizes that agree with the weights, options honored or refused, and what a token may depend on."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig

CONFIG = DecoderConfig(vocab=11, **PRESETS["tiny"])  # type: ignore[arg-type]
OPTIONS = [
    replace(CONFIG, norm=norm, positions=positions, mlp=mlp, tied=tied, qk_norm=not tied)  # type: ignore[arg-type]
    for norm, positions, (mlp, tied) in product(
        ("rms", "layer"), ("rotary", "learned", "sinusoidal"), (("gelu", True), ("swiglu", False), ("relu2", False))
    )
]


OPTIONS += [
    replace(CONFIG, norm_weight="plain", bias="qkv", head_dim=10, rope_scaling="llama3", rope_factor=4.0),
    replace(CONFIG, norm="layer", norm_weight="plain", bias="all", block="post", positions="learned"),
    replace(
        CONFIG, norm_weight="one_plus", block="sandwich", mlp="geglu", embed_scale=True, n_layers=3, window=4,
        global_every=2, rope_local_theta=50.0, attention_scale=0.4, attention_softcap=3.0, logit_softcap=2.0,
    ),
]  # fmt: skip


def lively(config: DecoderConfig) -> Decoder:
    """A float64 model whose every weight matters; a new one is the identity."""
    model = Decoder(config).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.2)
    return model


def run(model: Decoder, rows: list[list[int]], segments: list[list[int]] | None = None) -> Tensor:
    tokens = torch.tensor(rows)
    seg = torch.ones_like(tokens) if segments is None else torch.tensor(segments)
    starts = torch.cat((torch.ones_like(seg[:, :1]), (seg[:, 1:] != seg[:, :-1]).long()), 1)
    pos_embed = torch.arange(tokens.shape[1]).expand_as(tokens)
    positions = pos_embed - torch.where(starts.bool(), pos_embed, 0).cummax(1).values
    with torch.no_grad():
        return model.logits(model(tokens, positions, causal_attend(seg)))


@pytest.mark.parametrize("config", [*OPTIONS, *(DecoderConfig(vocab=30, **p) for p in PRESETS.values())], ids=str)  # type: ignore
def test_parameters_are_counted(config: DecoderConfig) -> None:
    with torch.device("meta"):
        model = Decoder(replace(config))
    assert config.parameters == sum(p.numel() for p in model.parameters())


def test_flops_by_hand() -> None:
    config = DecoderConfig(vocab=5, d_model=4, n_layers=2, n_heads=2, n_kv_heads=1, d_ff=6, mlp="swiglu")
    layer = 4 * (4 + 2 + 2) + 4 * 4 + 3 * 4 * 6  # qkv, out, gate, up and down
    assert config.matrix_parameters == 2 * layer + 5 * 4
    assert config.flops_per_token(keys=7) == 2 * (2 * layer + 5 * 4) + 2 * (2 * 4 * 7 + 2 * 4 * 7)  # qkᵀ and its use


@pytest.mark.parametrize("config", OPTIONS, ids=lambda c: f"{c.norm}-{c.positions}-{c.mlp}")
def test_a_token_depends_on_its_own_document_so_far(config: DecoderConfig) -> None:
    model = lively(config)
    alone = run(model, [[1, 2, 3, 4, 5]])
    changed = run(model, [[1, 2, 3, 9, 5]])
    differs = (alone - changed).abs().amax(-1)[0] > 1e-9
    assert differs.tolist() == [False, False, False, True, True]
    packed = run(model, [[7, 8, 1, 2, 3, 4, 5, 0]], [[1, 1, 2, 2, 2, 2, 2, 0]])
    torch.testing.assert_close(packed[:, 2:7], alone, rtol=0, atol=1e-12)
    moved = run(model, [[7, 8, 1, 2, 3, 4, 5, 0]], [[1, 1, 1, 1, 1, 1, 1, 0]])
    assert (moved[:, 2:7] - alone).abs().max() > 1e-3
    batch = run(model, [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    torch.testing.assert_close(batch[:1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("positions", ["rotary", "learned", "sinusoidal"])
def test_order_matters(positions) -> None:
    model = lively(replace(CONFIG, positions=positions))
    assert (run(model, [[1, 2, 3]])[0, -1] - run(model, [[2, 1, 3]])[0, -1]).abs().max() > 1e-3


def test_a_window_hides_what_is_too_far_back() -> None:
    """Two layers with a window of 2 reach two tokens back; every second layer global, everything."""
    texts = [[1, 2, 3, 4, 5, 6], [9, 2, 3, 4, 5, 6]]
    narrow, mixed = replace(CONFIG, window=2), replace(CONFIG, window=2, global_every=2)
    for config, reached in ((narrow, [1, 1, 1, 0, 0, 0]), (mixed, [1] * 6)):
        first, second = run(lively(config), texts)
        assert ((first - second).abs().amax(-1) > 1e-9).int().tolist() == reached


def test_linear_scaling_is_slower_turning() -> None:
    """With a factor of 2, position 6 turns as far as position 3 without."""
    plain, half = Decoder(CONFIG), Decoder(replace(CONFIG, rope_scaling="linear", rope_factor=2.0))
    (faster, _), (slower, _) = (m.rotations(torch.tensor([3, 6]), torch.float32) for m in (plain, half))
    assert faster is not None and slower is not None
    assert torch.equal(slower[0][1], faster[0][0])


def test_a_new_model_is_undecided_and_seeded() -> None:
    model = Decoder(CONFIG, seed=1)
    assert run(model, [[1, 2, 3]]).abs().max() == 0
    same, other = Decoder(CONFIG, seed=1).state_dict(), Decoder(CONFIG, seed=2).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in model.state_dict().items())
    assert not torch.equal(model.embed.weight, other["embed.weight"])


def test_a_tied_head_is_the_embedding() -> None:
    model = Decoder(replace(CONFIG, tied=True))
    hidden = torch.randn(3, CONFIG.d_model)
    torch.testing.assert_close(model.logits(hidden), hidden @ model.embed.weight.T)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_inference_in_either_type(dtype: torch.dtype) -> None:
    """Two layers lose a few bits (ten units in the last place at most, over many seeds), and two types differ by 16."""
    exact = lively(CONFIG)
    expected = run(exact, [[1, 2, 3, 4]])
    logits = run(exact.to(dtype), [[1, 2, 3, 4]])
    assert logits.dtype == dtype
    assert 0 < (logits.double() - expected).abs().max() < 32 * torch.finfo(dtype).eps * expected.abs().max()


def test_dropout_acts_in_training_alone() -> None:
    plain, thinned = Decoder(CONFIG, seed=3), Decoder(replace(CONFIG, dropout=0.3), seed=3)
    tokens = torch.arange(8)[None]
    run = [model(tokens, torch.arange(8)[None], causal_attend(torch.ones_like(tokens))) for model in (plain, thinned)]
    assert not torch.equal(*run)
    assert (run[1] == 0).any()  # a new model is the identity, so that only the embedding's dropout shows
    thinned.eval()
    assert torch.equal(run[0], thinned(tokens, torch.arange(8)[None], causal_attend(torch.ones_like(tokens))))


def test_positions_end_at_the_limit() -> None:
    model = Decoder(replace(CONFIG, max_positions=4, positions="learned"))
    run(model, [[1, 2, 3, 4]])
    with pytest.raises(IndexError):
        run(model, [[1, 2, 3, 4, 5]])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"n_heads": 5}, "d_model = 32"),
        ({"n_heads": 4, "n_kv_heads": 3}, "n_kv_heads = 3"),
        ({"d_model": 6, "n_heads": 2}, "/ n_heads = 3 is odd"),
        ({"d_model": 3, "n_heads": 1, "positions": "sinusoidal"}, "even d_model, not 3"),
        ({"vocab": 0}, "vocab = 0"),
        ({"n_layers": 0}, "n_layers = 0"),
        ({"window": -1}, "window = -1"),
        ({"global_every": 2}, "global_every = 2 needs a window"),
        ({"positions": "learned", "rope_local_theta": 9.0, "window": 4}, "need rotary positions"),
        ({"rope_local_theta": 9.0}, "set window"),
        ({"rope_factor": 0.5}, "rope_factor = 0.5"),
    ],
)
def test_what_cannot_be_honored_is_refused(wrong: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(CONFIG, **wrong)
