"""Every key that transformers reads is used as it uses it, or told: its own models are the oracle."""

import dataclasses
import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.errors import Ignored, UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import Decoder
from clearhead.models.families import ARCHITECTURES, DEFAULTS
from clearhead.models.huggingface import config_from, fill

CLASSES = {
    "gpt2": "GPT2Config", "openai-gpt": "OpenAIGPTConfig", "llama": "LlamaConfig", "mistral": "MistralConfig",
    "qwen2": "Qwen2Config", "qwen3": "Qwen3Config", "gemma": "GemmaConfig", "gemma2": "Gemma2Config",
    "gemma3_text": "Gemma3TextConfig",
}  # fmt: skip
GPT = {"vocab_size": 61, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 96}
SIZES = {
    "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 96,
}  # fmt: skip
LEGACY = {  # read by the base class, by modules through getattr, or by the classes of earlier years
    "rope_theta", "rope_scaling", "rope_local_base_freq", "partial_rotary_factor", "sliding_window_pattern",
    "original_max_position_embeddings", "head_dim", "is_causal", "per_layer_config", "attention_chunk_size",
    "hidden_size", "num_hidden_layers", "max_position_embeddings", "num_attention_heads", "hidden_activation",
    "hidden_act", "layer_types", "sliding_window", "use_sliding_window", "is_decoder", "is_encoder_decoder",
    "attention_bias", "mlp_bias", "query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping",
}  # fmt: skip
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 300.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
VALUES: dict[str, list[Any]] = {
    "rope_parameters": [
        {"rope_theta": 300.0}, LINEAR, {**LLAMA3, "original_max_position_embeddings": 16}, LLAMA3,
        {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}, {"type": "linear", "factor": 2.0},
        {"full_attention": LINEAR, "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}},
        {"full_attention": {"rope_theta": 500.0}}, {"sliding_attention": LINEAR, "full_attention": {}},
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24},
        {"rope_type": "dynamic", "factor": 4.0}, {},
    ],
    "rope_scaling": [
        {"type": "linear", "factor": 4.0}, {**LLAMA3, "original_max_position_embeddings": 16},
        {"rope_type": "dynamic", "factor": 4.0}, {"type": "linear", "factor": 4.0, "rope_theta": 300.0},
    ],
    "rope_theta": [300.0, 1e6], "rope_local_base_freq": [50.0], "partial_rotary_factor": [0.5],
    "sliding_window_pattern": [2, 3], "original_max_position_embeddings": [16], "head_dim": [8, 32, None],
    "per_layer_config": [{0: {"intermediate_size": 24}}], "attention_chunk_size": [4],
    "layer_types": [
        ["full_attention"] * 4, ["sliding_attention"] * 4, ["sliding_attention", "full_attention"] * 2,
        ["full_attention", "sliding_attention"] * 2, ["attention"] * 4,
    ],
    "hidden_act": ["silu", "swish", "relu", "gelu", "gelu_new", "gelu_pytorch_tanh"], "sliding_window": [5, None],
    "hidden_activation": ["silu", "relu", "gelu", "gelu_new", "gelu_pytorch_tanh"], "n_inner": [48],
    "activation_function": ["gelu_new", "gelu", "relu", "silu", "gelu_pytorch_tanh"], "afn": ["gelu", "relu", "silu"],
    "num_key_value_heads": [1, 4, None], "query_pre_attn_scalar": [24], "max_window_layers": [0, 2],
    "attn_logit_softcapping": [None, 2.0, 0.0], "final_logit_softcapping": [None, 2.0, 0.0],
}  # fmt: skip


def fields(family: str) -> set[str]:
    import transformers

    return {field.name for field in dataclasses.fields(getattr(transformers, CLASSES[family]))}


def values(key: str, usual: Any) -> list[Any]:
    """Others than the usual one."""
    if key in VALUES:
        return VALUES[key]
    if usual is None or isinstance(usual, bool):
        return [not usual, None] if usual else [not usual]
    return [usual * 2] if isinstance(usual, int | float) else []


def changes(family: str) -> Iterator[dict[str, Any]]:
    """One key at a time, and a few that mean something together only."""
    for key in sorted(fields(family) | LEGACY):
        for value in values(key, DEFAULTS[family].get(key, plain_of(family).get(key))):
            yield {key: value}
    yield {"use_sliding_window": True, "max_window_layers": 0, "sliding_window": 5}
    yield {"use_sliding_window": True, "max_window_layers": 2, "sliding_window": 5}
    yield {"rope_parameters": LINEAR, "rope_scaling": {"type": "linear", "factor": 2.0}}
    yield {"rope_theta": 300.0, "rope_scaling": {"type": "linear", "factor": 2.0}}
    yield {"layer_types": ["full_attention"] * 4, "sliding_window": None}
    yield {"layer_types": ["sliding_attention"] * 4, "sliding_window": None}


def plain_of(family: str) -> dict[str, Any]:
    """A small model of the family, as its config.json."""
    plain: dict[str, Any] = {**(GPT if "gpt" in family else SIZES), "model_type": family}
    if family in ("gemma2", "gemma3_text", "mistral"):
        plain["sliding_window"] = 7
    return plain


def theirs(plain: dict[str, Any]) -> Any:
    """The library's model of such a config.json, all of whose tensors matter; None for one that it refuses."""
    import transformers

    try:
        config = getattr(transformers, CLASSES[plain["model_type"]]).from_dict(deepcopy(plain))  # which it writes into
        config._attn_implementation = "eager"
        model = getattr(transformers, ARCHITECTURES[plain["model_type"]])(config).eval()
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.25)
            model(tokens())
    except Exception:  # whatever it raises for what it cannot build or run
        return None
    return model


def tokens() -> Tensor:
    return torch.randint(3, 61, (1, 40), generator=torch.Generator().manual_seed(1))


def ours(plain: dict[str, Any], model: Any) -> Tensor:
    decoder = Decoder(config_from(plain))
    state = {k: v for k, v in model.state_dict().items() if not (decoder.config.tied and k == "lm_head.weight")}
    fill(decoder, plain["model_type"], {k: tuple(v.shape) for k, v in state.items()}, state.__getitem__, "it")
    with torch.no_grad():
        return decoder.logits(decoder(tokens(), torch.arange(40)[None], causal_attend()))


@pytest.mark.parametrize("family", CLASSES)
def test_a_key_that_is_left_out_has_the_family_s_value(family: str) -> None:
    import transformers

    config = getattr(transformers, CLASSES[family])()
    rotary = getattr(config, "rope_parameters", None) or {}
    known = {
        "rope_theta": rotary.get("full_attention", rotary).get("rope_theta"), "rope_parameters": None,
        "rope_scaling": None, "per_layer_config": None,
        "rope_local_base_freq": rotary.get("sliding_attention", {}).get("rope_theta"), "sliding_window_pattern": 6,
    }  # fmt: skip
    computed = {"layer_types", "num_key_value_heads", "head_dim"}  # by the class, from others; compared by their effect
    if family.startswith("qwen"):  # null without use_sliding_window
        computed.add("sliding_window")
    for key, value in DEFAULTS[family].items():
        if key not in computed or value is not None:
            expected = 4096 if key == "sliding_window" else known[key] if key in known else getattr(config, key, value)
            assert value == expected, key


def wrong(plain: dict[str, Any]) -> str | None:
    """What is wrong with how this config.json is read."""
    model = theirs(plain)
    if model is None:
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            got = ours(plain, model)
        except UserError:
            return None
    with torch.no_grad():
        want = model(tokens()).logits
    assert want.std() > 0.1, "the weights hardly matter"
    told = [str(w.message) for w in caught if w.category is Ignored]
    if (got - want).abs().max() > 1e-3 * want.abs().max():
        return f"other numbers, and no error but {told}"
    return None


@pytest.mark.parametrize("family", CLASSES)
def test_every_key_is_used_as_the_library_uses_it_or_told(family: str) -> None:
    plain = plain_of(family)
    assert theirs(plain) is not None
    found = {str(change): wrong({**plain, **change}) for change in [{}, *changes(family)]}
    assert not {change: told for change, told in found.items() if told}


@pytest.mark.parametrize("family", CLASSES)
def test_a_small_model_as_saved_needs_no_word(family: str) -> None:
    """What the library writes itself, every key of it."""
    model = theirs(plain_of(family))
    plain = {**model.config.to_dict(), "transformers_version": "5.0", "architectures": [ARCHITECTURES[family]]}
    assert torch.allclose(ours(plain, model), model(tokens()).logits.detach(), atol=1e-4)  # a warning would be an error


def test_a_key_that_no_class_reads_is_told() -> None:
    with pytest.warns(Ignored, match="config.json: no llama model reads 'logit_scale', 'no_rope_layers'; ignored"):
        config_from({**plain_of("llama"), "logit_scale": 0.5, "no_rope_layers": [1, 0], "use_that": False})
