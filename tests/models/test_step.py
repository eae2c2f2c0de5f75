"""All blocks in one call against the decoder's modules, and a token's bits against its company."""

from typing import Any

import numpy as np
import pytest
import torch
from rounding import rms

from clearhead.generation.contiguous import ContiguousBackend
from clearhead.generation.trie_backend import TrieBackend
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.quantize import from_floats, quantize_linears
from clearhead.models.step import blocks_of

SIZES = {"vocab": 32, "d_model": 48, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "d_ff": 80}
FORMS: list[dict[str, Any]] = [
    {}, {"qk_norm": False, "norm_weight": "plain", "bias": "qkv"}, {"bias": "all", "tied": True},
    {"norm_weight": "one_plus", "n_kv_heads": 4, "attention_scale": 0.3},
    {"window": 5, "global_every": 2, "rope_local_theta": 50.0, "rope_scaling": "linear", "rope_factor": 4.0},
    {"positions": "learned", "n_kv_heads": 1, "head_dim": 96},
]  # fmt: skip
TEXT = torch.randint(0, 32, (23,), generator=torch.Generator().manual_seed(1)).tolist()


def decoder_of(kind: str | None = "int8", **changes: Any) -> Decoder:
    decoder = Decoder(DecoderConfig(**{**SIZES, **changes})).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=generator)
    if kind is not None:
        quantize_linears(decoder, from_floats(kind))
    return decoder


@torch.inference_mode()
def read(decoder: Decoder, *parts: list[int]) -> torch.Tensor:
    """The hidden states of a text that is read in these parts."""
    backend = ContiguousBackend(decoder)
    assert backend._blocks is not None
    backend.open(TEXT, 1, 1)
    return torch.cat([backend._read(part) for part in parts])


@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("changes", FORMS)
def test_one_call_is_the_modules(kind: str, changes: dict[str, Any]) -> None:
    """But for numbers on the edge between two whole ones, which may fall to either side and part what comes after."""
    decoder = decoder_of(kind, **changes)
    with torch.inference_mode():
        want = decoder(torch.tensor([TEXT]))[0]
    got = read(decoder, TEXT)
    exact = decoder_of(None, **changes).double()(torch.tensor([TEXT]))[0]
    assert rms(got - want) < 0.2 * rms(want - exact)
    assert float(((got - want).norm(dim=-1) / want.norm(dim=-1)).min()) < 1e-5


@pytest.mark.parametrize("changes", FORMS[:1] + FORMS[4:])
def test_a_token_is_the_same_bits_in_any_company(changes: dict[str, Any]) -> None:
    decoder = decoder_of(**changes)
    whole = read(decoder, TEXT)
    assert torch.equal(read(decoder, *([token] for token in TEXT)), whole)
    assert torch.equal(read(decoder, TEXT[:7], TEXT[7:8], TEXT[8:]), whole)
    trie = TrieBackend(decoder, torch.float32)
    ends = [trie.open(TEXT[:n], 1, 1) for n in (23, 4, 11)]
    trie.open([*TEXT[:5], 1, 2], 1, 1)
    hidden = trie.cache.hidden(np.array(ends))
    assert torch.equal(hidden, whole[[22, 3, 10]])


@pytest.mark.parametrize(
    "changes",
    [
        {"block": "post"}, {"norm": "layer"}, {"mlp": "gelu"}, {"attention_softcap": 5.0}, {"d_ff": 72},
        {"head_dim": 8},
    ],
)  # fmt: skip
def test_other_decoders_are_left_to_their_modules(changes: dict[str, Any]) -> None:
    decoder = decoder_of(**changes)
    assert blocks_of(decoder) is None
    backend = ContiguousBackend(decoder)
    backend.open(TEXT, 1, 1)
    with torch.inference_mode():
        want = decoder(torch.tensor([TEXT]))[0]
        assert rms(backend._read(TEXT) - want) < 0.05 * rms(want)


def test_floats_are_left_to_their_modules() -> None:
    assert blocks_of(decoder_of(None)) is None and blocks_of(decoder_of()) is not None
