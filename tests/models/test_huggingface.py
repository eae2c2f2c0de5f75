"""Against the transformers library: its tiny random models of every family give the same logits from our decoder."""

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from rounding import rms
from torch import Tensor

from clearhead.errors import UserError
from clearhead.kernels.attention import causal_attend
from clearhead.models.decoder import PRESETS, Decoder, DecoderConfig
from clearhead.models.huggingface import FAMILIES, config_from, config_to, family_of, fill, tensors_to

SIZES = {
    "vocab_size": 61, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 96, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT = {
    "vocab_size": 61,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 96,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
GEMMA = {**SIZES, "head_dim": 16}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt-2": ("GPT2", GPT),
    "gpt-1, post-norm": ("OpenAIGPT", GPT),
    "llama, all heads": ("Llama", {**SIZES, "num_key_value_heads": 4}),
    "llama 3": ("Llama", {**SIZES, "rope_parameters": LLAMA3}),
    "llama, linear scaling": (
        "Llama", {**SIZES, "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "smollm2, tied": ("Llama", {**SIZES, "tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
    "mistral, window": ("Mistral", {**SIZES, "sliding_window": 7, "head_dim": 16}),
    "qwen 2.5": ("Qwen2", {**SIZES, "num_key_value_heads": 1}),
    "qwen 2.5, windows": (
        "Qwen2", {**SIZES, "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 0},
    ),
    "qwen 3": ("Qwen3", {**SIZES, "head_dim": 16}),
    "gemma": ("Gemma", GEMMA),
    "gemma 2": ("Gemma2", {**GEMMA, "sliding_window": 7, "query_pre_attn_scalar": 24}),
    "gemma 2, everything seen": ("Gemma2", {**GEMMA, "layer_types": ["full_attention"] * GEMMA["num_hidden_layers"]}),
    "gemma 3, windows only": ("Gemma3Text", {**GEMMA, "sliding_window": 7}),
    "gemma 3, both kinds of layers scaled": (
        "Gemma3Text", {**GEMMA, "num_hidden_layers": 7, "sliding_window": 7, "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4},
        }},
    ),
    "gemma 3": ("Gemma3Text", {**GEMMA, "num_hidden_layers": 7, "sliding_window": 7, "query_pre_attn_scalar": 24}),
}  # fmt: skip


@cache
def peer(name: str) -> Any:
    """A model of the library whose every tensor matters, norm weights and biases too."""
    import transformers

    kind, sizes = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**sizes)
    config._attn_implementation = "eager"
    causal = {"GPT2": "GPT2LMHeadModel", "OpenAIGPT": "OpenAIGPTLMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}
    model = getattr(transformers, causal.get(kind, f"{kind}ForCausalLM"))(config).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * (0.1 if weight.ndim == 1 else 0.08))
    return model


def ours(name: str) -> Decoder:
    model = peer(name)
    plain = model.config.to_dict()
    decoder = Decoder(config_from(plain))
    state = {
        k: v
        for k, v in model.state_dict().items()
        if not k.endswith(("inv_freq", "lm_head.weight")) or not decoder.config.tied
    }
    fill(decoder, plain["model_type"], {k: tuple(v.shape) for k, v in state.items()}, state.__getitem__, "the model")
    return decoder.requires_grad_(False)


def logits(decoder: Decoder, tokens: Tensor) -> Tensor:
    positions = torch.arange(tokens.shape[1]).expand_as(tokens)
    return decoder.logits(decoder(tokens, positions, causal_attend()))


@pytest.mark.parametrize("name", MODELS)
def test_logits_err_at_most_twice_as_much_as_the_library(name: str) -> None:
    """Both in float32, measured against the library in float64."""
    tokens = torch.randint(3, 61, (2, 40), generator=torch.Generator().manual_seed(1))
    model = peer(name)
    with torch.no_grad():
        theirs = model(tokens).logits.double()
        exact = model.double()(tokens).logits
        model.float()
    error, limit = rms(logits(ours(name), tokens).double() - exact), rms(theirs - exact)
    assert 0 < error <= 2 * limit, (error, limit)
    assert exact.std() > 0.3, "the weights hardly matter"


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back_is_the_same_bits(name: str) -> None:
    model, decoder = peer(name), ours(name)
    family = family_of(decoder.config)
    assert family == model.config.model_type
    tensors, expected = tensors_to(decoder, family), model.state_dict()
    for key, tensor in tensors.items():
        assert torch.equal(tensor, expected[key]), key
    left = {key for key in expected if key not in tensors and key != "lm_head.weight"}
    assert not left
    assert config_from(config_to(decoder.config)) == decoder.config
    again = type(model.config)(**{k: v for k, v in config_to(decoder.config).items() if k != "architectures"})
    assert config_from(again.to_dict()) == decoder.config


@pytest.mark.parametrize("name", MODELS)
def test_greedy_text_is_the_library_s(name: str) -> None:
    model, decoder = peer(name), ours(name)
    tokens = torch.tensor([[1, 7, 9]])
    with torch.no_grad():
        theirs = model.generate(tokens, max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0)
    mine = tokens
    for _ in range(64):
        mine = torch.cat((mine, logits(decoder, mine)[:, -1:].argmax(-1)), 1)
    assert mine.tolist() == theirs.tolist()


def test_old_and_new_keys_of_the_rotation_mean_the_same() -> None:
    new = peer("llama 3").config.to_dict()
    scaling = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    old = {**new, "rope_parameters": None, "rope_theta": 500000.0, "rope_scaling": scaling}
    assert config_from(old) == config_from(new)
    assert config_from(old).rope_scaling == "llama3"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_qwen_3(preset: str) -> None:
    assert family_of(DecoderConfig(vocab=9, **PRESETS[preset])) == "qwen3"  # type: ignore[arg-type]


def test_what_no_family_has_is_named() -> None:
    with pytest.raises(UserError, match="no Hugging Face family has a decoder with positions = 'sinusoidal'; keep"):
        family_of(replace(DecoderConfig(vocab=9), positions="sinusoidal"))


@pytest.mark.parametrize("mlp", ["swiglu", "geglu", "reglu", "relu2"])
def test_neutral_gains_and_a_doubled_gate_say_the_same(mlp: Any) -> None:
    """Decoders of ours without norm weights, and without a gate, are Qwen 3 to the library, and the same read back."""
    import transformers

    config = DecoderConfig(vocab=61, **PRESETS["tiny"], mlp=mlp)  # type: ignore[arg-type]
    decoder, again = Decoder(config), Decoder(config_from(config_to(config)))
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(std=0.3)
    decoder.requires_grad_(False)
    assert family_of(config) == "qwen3"
    tensors = tensors_to(decoder, "qwen3")
    fill(again, "qwen3", {k: tuple(v.shape) for k, v in tensors.items()}, tensors.__getitem__, "it")
    peer = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**config_to(config)))
    peer.load_state_dict(tensors)
    tokens = torch.randint(61, (2, 40), generator=torch.Generator().manual_seed(0))
    exact = logits(copy.deepcopy(decoder).double(), tokens)
    with torch.no_grad():
        budget = 2 * rms(peer(tokens).logits.double() - exact)
    for model in (decoder, again.requires_grad_(False)):
        assert 0 < rms(logits(model, tokens).double() - exact) <= budget
    back = tensors_to(again, "qwen3")
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_type": "lama"}, "'lama' is not a family read here; did you mean 'llama'"),
        ({"hidden_act": "mish"}, "hidden_act = 'mish' cannot be honored; only silu and relu and gelu_pytorch_tanh"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
            "^config.json: rope_type = 'yarn' cannot",
        ),
        ({"quantization_config": {"quant_method": "fp8"}}, "'fp8'} cannot be honored"),
        ({"vocab_size": 2**31}, "^config.json: vocab = 2147483648 is too large"),
        ({"attention_bias": True}, "attention_bias = True"),
        ({"hidden_size": None}, "wrong kind"),
        ({"num_attention_heads": 5}, "not a multiple of n_heads = 5"),
    ],
)
def test_what_cannot_be_honored_is_refused(change: dict[str, Any], told: str) -> None:
    plain = config_to(DecoderConfig(**{**FAMILIES["llama"], "vocab": 9, "d_model": 32, "n_heads": 2, "n_kv_heads": 1}))
    config_from(plain)
    plain.pop("head_dim")
    with pytest.raises(UserError, match=told):
        config_from({**plain, **change})


def test_a_missing_key_has_the_family_s_default() -> None:
    config = config_from({"model_type": "gemma2", "vocab_size": 5})
    assert (config.d_model, config.window, config.attention_softcap, config.logit_softcap) == (2304, 4096, 50.0, 30.0)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.pop("model.norm.weight"), "lacks the tensor model.norm.weight"),
        (lambda t: t.update({"model.extra": torch.zeros(1)}), "holds 1 tensors .* model.extra first"),
        (lambda t: t.update({"model.norm.weight": torch.zeros(3)}), "model.norm.weight is 3, but .* asks for 32"),
        (lambda t: t["model.norm.weight"].fill_(float("nan")), "not finite"),
    ],
)
def test_wrong_tensors_are_told(spoil: Any, told: str) -> None:
    decoder = Decoder(replace(DecoderConfig(vocab=9, **PRESETS["tiny"]), **{**FAMILIES["llama"]}))  # type: ignore
    tensors = {name: tensor.clone() for name, tensor in tensors_to(decoder, "llama").items()}
    spoil(tensors)
    with pytest.raises(UserError, match=told):
        fill(decoder, "llama", {k: tuple(v.shape) for k, v in tensors.items()}, tensors.__getitem__, "it")


@pytest.mark.parametrize("name", ["gpt-2", "smollm2, tied"])
def test_files_of_the_model_without_its_head(name: str) -> None:
    """Names lack their prefix there, and the tied head is the embedding."""
    model = peer(name)
    base = getattr(model, model.base_model_prefix).state_dict()
    decoder = Decoder(config_from(model.config.to_dict()))
    fill(decoder, model.config.model_type, {k: tuple(v.shape) for k, v in base.items()}, base.__getitem__, "it")
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(logits(decoder, tokens), logits(ours(name), tokens))
