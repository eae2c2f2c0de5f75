"""Our decoders as llama.cpp's tensors and back, and what its converter does to queries, keys and gains."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.gguf import config_from, fill, metadata_of, tensors_to
from clearhead.models.huggingface import FAMILIES
from clearhead.models.weight_map import halves_from_pairs, pairs_from_halves

SIZES = {"vocab": 61, "d_model": 32, "n_layers": 3, "n_heads": 4, "n_kv_heads": 2, "d_ff": 48, "max_positions": 64}
SANDWICH = {"window": 7, "attention_softcap": 5.0, "logit_softcap": 3.0, "head_dim": 16, "attention_scale": 0.25}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**FAMILIES["llama"], "rope_scaling": "llama3", "rope_factor": 32.0, "rope_theta": 5e5},
    "llama of a short context": {
        **FAMILIES["llama"],
        "rope_scaling": "llama3",
        "rope_factor": 5.3,
        "rope_original": 100,
        "rope_theta": 5e5,
    },
    "llama, linear": {**FAMILIES["llama"], "tied": True, "rope_scaling": "linear", "rope_factor": 2.0},
    "qwen2": FAMILIES["qwen2"],
    "qwen3": {**FAMILIES["qwen3"], "head_dim": 16},
    "gemma": {**FAMILIES["gemma"], "tied": True},
    "gemma2": {**FAMILIES["gemma2"], **SANDWICH, "global_every": 2, "tied": True},
    "gemma3": {
        **FAMILIES["gemma3_text"],
        **SANDWICH,
        "global_every": 6,
        "rope_local_theta": 1e4,
        "tied": True,
        "attention_softcap": 0.0,
    },
    "gemma3, another rhythm and base": {
        **FAMILIES["gemma3_text"],
        **SANDWICH,
        "global_every": 2,
        "rope_local_theta": 50.0,
        "attention_softcap": 0.0,
    },
    "gemma2, everything seen": {**FAMILIES["gemma2"], **SANDWICH, "window": 0, "tied": True},
    "gemma2, no soft cap at the end": {
        **FAMILIES["gemma2"],
        **SANDWICH,
        "global_every": 2,
        "logit_softcap": 0.0,
    },
    "gemma3, everything seen": {**FAMILIES["gemma3_text"], **SANDWICH, "window": 0, "attention_softcap": 0.0},
    "gemma3, windows only": {
        **FAMILIES["gemma3_text"],
        **SANDWICH,
        "rope_local_theta": 1e4,
        "attention_softcap": 0.0,
    },
    "gpt2": {**FAMILIES["gpt2"], "n_kv_heads": 4, "tied": True},
}


def lively(config: DecoderConfig) -> Decoder:
    decoder = Decoder(config).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for weight in decoder.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return decoder


def logits(decoder: Decoder) -> Tensor:
    tokens = torch.arange(20)[None]
    return decoder.logits(decoder(tokens, tokens, causal_attend()))


def there_and_back(decoder: Decoder) -> tuple[Decoder, dict[str, Tensor]]:
    metadata = metadata_of(decoder.config)
    tensors = tensors_to(decoder, metadata["general.architecture"])
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    again = Decoder(config_from(metadata, shapes, tensors.__getitem__)).requires_grad_(False)
    fill(again, metadata["general.architecture"], shapes, tensors.__getitem__, "it")
    return again, tensors


@pytest.mark.parametrize("name", CONFIGS)
def test_there_and_back_is_the_same_bits(name: str) -> None:
    decoder = lively(DecoderConfig(**{**SIZES, **CONFIGS[name]}))
    again, _ = there_and_back(decoder)
    assert torch.equal(logits(again), logits(decoder))
    gemma = name.startswith("gemma")
    expected = replace(decoder.config, norm_weight="plain") if gemma else decoder.config  # the file holds 1 + weight
    assert again.config == expected
    for key, value in again.state_dict().items():
        same = decoder.state_dict()[key]
        assert torch.equal(value, 1 + same if gemma and key.endswith("norm.weight") else same), key


def test_what_stands_in_a_llama_file() -> None:
    decoder = lively(DecoderConfig(**{**SIZES, **CONFIGS["llama"]}))
    _, tensors = there_and_back(decoder)
    q = decoder.get_parameter("blocks.1.attention.qkv.weight")[:32]  # 4 heads of 8 channels
    there = tensors["blk.1.attn_q.weight"]
    assert torch.equal(there[0], q[0]) and torch.equal(there[1], q[4]) and torch.equal(there[2], q[1])
    assert torch.equal(there[8], q[8])  # the second head
    v = decoder.get_parameter("blocks.1.attention.qkv.weight")[48:]
    assert torch.equal(tensors["blk.1.attn_v.weight"], v)
    assert tensors["rope_freqs.weight"].tolist()[0] == 1 and tensors["rope_freqs.weight"].tolist()[-1] == 32


def test_pairs_and_halves() -> None:
    rows = torch.arange(12)[:, None]
    assert halves_from_pairs(rows, 2).flatten().tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]
    assert torch.equal(pairs_from_halves(halves_from_pairs(rows, 2), 2), rows)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({**FAMILIES["llama"], "rope_scaling": "llama3", "rope_factor": 4.0, "rope_high": 9999.0}, "rope_high = 9999"),
        ({**FAMILIES["mistral"], "window": 5}, "no architecture for a mistral"),
        ({**FAMILIES["qwen2"], "window": 5}, "window = 5 has no word in the GGUF file of a qwen2 model"),
        ({**FAMILIES["gemma2"], **SANDWICH, "attention_softcap": 0.0}, "attention_softcap = 0 has no word"),
        ({**FAMILIES["qwen3"], "mlp": "reglu"}, "mlp = 'reglu' has no form in GGUF"),
        ({**FAMILIES["qwen3"], "mlp": "relu2"}, "mlp = 'relu2' has no form in GGUF"),
        ({**FAMILIES["gemma2"], **SANDWICH, "global_every": 2, "attention_scale": 0.5}, "attention_scale = 0.5"),
        (
            {
                **FAMILIES["gemma3_text"],
                **SANDWICH,
                "global_every": 6,
                "rope_local_theta": 5.0,
                "attention_softcap": 0.0,
                "rope_local_factor": 2.0,
            },
            "rope_local_factor = 2.0 has no word",
        ),
    ],
)
def test_what_has_no_word_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        metadata_of(DecoderConfig(**{**SIZES, **config}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"general.architecture": "mamba"}, "'mamba' is not read here"),
        ({"llama.block_count": None}, "lacks llama.block_count"),
        ({"llama.attention.head_count_kv": [2, 2, 1]}, "differs from layer to layer"),
        ({"llama.rope.scaling.type": "yarn"}, "'yarn' cannot be honored"),
        ({"llama.rope.dimension_count": 4}, "only 8 can, as for keys"),
        ({"llama.attention.value_length": 4}, "only 8 can, as for keys"),
        ({"llama.embedding_length": "wide"}, "must be a number"),
    ],
)
def test_what_cannot_be_honored_is_refused(change: dict[str, Any], told: str) -> None:
    config = DecoderConfig(**{**SIZES, **FAMILIES["llama"]})
    metadata = {k: v for k, v in {**metadata_of(config), **change}.items() if v is not None}
    with pytest.raises(UserError, match=told):
        config_from(metadata, {"token_embd.weight": (61, 32)}, lambda name: torch.zeros(1))


def test_strange_frequencies_are_refused() -> None:
    config = DecoderConfig(**{**SIZES, **FAMILIES["llama"]})
    shapes = {"token_embd.weight": (61, 32), "rope_freqs.weight": (4,)}
    with pytest.raises(UserError, match="not Llama 3's"):
        config_from(metadata_of(config), shapes, lambda name: torch.tensor([1.0, 2.0, 3.0, 4.0]))
