"""Hugging Face's names for what a decoder is made of: config.json <-> DecoderConfig, their tensors <-> ours.

A family says which of our options it fixes; everything else of its config.json is sizes. What neither side can express
is refused. Deliberately not here: files (formats), tokenizers (text), and GGUF (models.gguf).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.models.decoder import MOST_LAYERS, Decoder, DecoderConfig
from clearhead.models.sources import Read, Shape, Source, check_shapes, copy_in, cut_out

LLAMA = {"norm": "rms", "positions": "rotary", "mlp": "swiglu", "qk_norm": False, "block": "pre", "gain": "plain"}
GPT = {"norm": "layer", "positions": "learned", "mlp": "gelu", "qk_norm": False, "gain": "plain", "bias": "all"}
GEMMA = {**LLAMA, "mlp": "geglu", "gain": "one_plus", "bias": "none", "embed_scale": True}
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {**GPT, "block": "pre"},
    "openai-gpt": {**GPT, "block": "post"},
    "llama": LLAMA,
    "mistral": {**LLAMA, "bias": "none"},
    "qwen2": {**LLAMA, "bias": "qkv"},
    "qwen3": {**LLAMA, "bias": "none", "qk_norm": True},
    "gemma": GEMMA,
    "gemma2": {**GEMMA, "block": "sandwich"},
    "gemma3_text": {**GEMMA, "block": "sandwich", "qk_norm": True},
}
ARCHITECTURES = {
    "gpt2": "GPT2LMHeadModel", "openai-gpt": "OpenAIGPTLMHeadModel", "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
    "gemma": "GemmaForCausalLM", "gemma2": "Gemma2ForCausalLM", "gemma3_text": "Gemma3ForCausalLM",
}  # fmt: skip
GATES = {"silu": "swiglu", "relu": "reglu", "gelu_pytorch_tanh": "geglu"}  # hidden_act -> the gated MLP it makes
PREFIXES = ("transformer.", "model.")
SILENT = ("rotary_emb.inv_freq", "attn.bias", "attn.masked_bias")  # tables that old files carry and nobody needs


def config_from(plain: Mapping[str, Any]) -> DecoderConfig:
    """The decoder that a config.json describes. UserError names the first thing in it that we do not have."""
    family = str(plain.get("model_type"))
    if family not in FAMILIES:
        raise UserError(f"config.json: model_type = {family!r} is not a family read here{nearest(family, FAMILIES)}")
    if plain.get("quantization_config"):
        _no("quantization_config", plain["quantization_config"], "weights that are not quantised")
    layers = plain.get("num_hidden_layers", plain.get("n_layer"))
    if isinstance(layers, int | float) and not layers <= MOST_LAYERS:
        raise UserError(f"config.json: {layers} layers are too many; {MOST_LAYERS} are possible")
    try:
        sizes = _gpt_sizes(plain) if family in ("gpt2", "openai-gpt") else _llama_sizes(plain, family)
        if sizes.get("head_channels", 0) * sizes["n_heads"] == sizes["d_model"]:
            sizes["head_channels"] = 0  # as it would be without being said
        return DecoderConfig(**{**FAMILIES[family], **sizes})
    except KeyError as missing:
        raise UserError(f"config.json lacks {missing}, which a {family} model needs") from None
    except UserError as wrong:  # what a setting cannot be, and what cannot be honoured
        told = str(wrong).removeprefix("config.json: ")
        raise UserError(f"config.json: {told}") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError) as wrong:
        raise UserError(f"config.json has a value of the wrong kind: {wrong}") from None


def _gpt_sizes(plain: Mapping[str, Any]) -> dict[str, Any]:
    act = plain.get("activation_function", plain.get("afn", "gelu_new"))
    if act not in ("gelu_new", "gelu_pytorch_tanh") and not ("afn" in plain and act == "gelu"):
        _no("activation_function", act, "gelu_new")
    for key in ("scale_attn_by_inverse_layer_idx", "add_cross_attention"):
        if plain.get(key):
            _no(key, True, "false")
    if plain.get("scale_attn_weights", True) is False:
        _no("scale_attn_weights", False, "true")
    D, heads = int(plain["n_embd"]), int(plain["n_head"])
    return {
        "vocab": int(plain["vocab_size"]), "d_model": D, "n_layers": int(plain["n_layer"]), "n_heads": heads,
        "n_kv_heads": heads, "d_ff": int(plain.get("n_inner") or 4 * D), "max_positions": int(plain["n_positions"]),
        "norm_eps": float(plain.get("layer_norm_epsilon", 1e-5)), "tied": bool(plain.get("tie_word_embeddings", True)),
    }  # fmt: skip


def _llama_sizes(plain: Mapping[str, Any], family: str) -> dict[str, Any]:
    gemma = family.startswith("gemma")
    act = plain.get("hidden_activation") or plain.get("hidden_act", "gelu_pytorch_tanh" if gemma else "silu")
    if gemma and act == "gelu":  # old Gemma files say so and mean tanh
        act = "gelu_pytorch_tanh"
    acts = ("gelu_pytorch_tanh",) if gemma else tuple(GATES)
    if act not in acts:
        _no("hidden_act", act, " and ".join(acts))
    if plain.get("mlp_bias"):
        _no("mlp_bias", True, "false")
    if plain.get("attention_bias") and family != "qwen2":
        _no("attention_bias", True, "false")
    if plain.get("use_bidirectional_attention"):
        _no("use_bidirectional_attention", True, "false")
    heads, layers = int(plain["num_attention_heads"]), int(plain["num_hidden_layers"])
    sizes: dict[str, Any] = {
        "vocab": int(plain["vocab_size"]), "d_model": int(plain["hidden_size"]), "n_layers": layers, "n_heads": heads,
        "n_kv_heads": int(plain.get("num_key_value_heads") or heads), "d_ff": int(plain["intermediate_size"]),
        "max_positions": int(plain.get("max_position_embeddings", 2048)), "mlp": GATES[act],
        "norm_eps": float(plain.get("rms_norm_eps", 1e-6)), "head_channels": int(plain.get("head_dim") or 0),
        "tied": bool(plain.get("tie_word_embeddings", gemma)),
    }  # fmt: skip
    if gemma and family != "gemma":
        scalar = float(plain.get("query_pre_attn_scalar", 256))
        if not scalar > 0:
            _no("query_pre_attn_scalar", scalar, "a number above 0")
        sizes["attention_scale"] = scalar**-0.5
        sizes["attention_softcap"] = float(plain.get("attn_logit_softcapping") or 0)
        sizes["logit_softcap"] = float(plain.get("final_logit_softcapping") or 0)
    return sizes | _rotary(plain) | _window(plain, family, layers)


def _window(plain: Mapping[str, Any], family: str, layers: int) -> dict[str, int]:
    """`window` and `global_every`; the layers' kinds must follow one rhythm."""
    window = plain.get("sliding_window") or 0
    if not window or (family.startswith("qwen") and not plain.get("use_sliding_window")):
        return {}
    if family in ("llama", "gemma"):
        return {}
    kinds = plain.get("layer_types")
    if kinds is None and family.startswith("qwen"):  # the first layers see everything
        kinds = ["full_attention" if i < plain["max_window_layers"] else "sliding_attention" for i in range(layers)]
    every = {"mistral": 0, "gemma2": 2}.get(family, int(plain.get("sliding_window_pattern") or 6))
    if kinds is not None:
        full = [i + 1 for i, kind in enumerate(kinds) if kind == "full_attention"]
        if len(full) == layers:
            return {}
        every = full[0] if full else 0
        if full != (list(range(every, layers + 1, every)) if every else []):
            _no("layer_types", "an irregular order", "full attention in every n-th layer")
    return {"window": int(window), "global_every": every}


def _rotary(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Base and scaling, from the old keys (rope_theta, rope_scaling) or the new one (rope_parameters)."""
    found: dict[str, Any] = {}
    given = plain.get("rope_parameters") or {}
    if "full_attention" in given:  # Gemma 3: one entry for each kind of layer
        found["rope_local_theta"] = float(given["sliding_attention"]["rope_theta"])
        given = given["full_attention"]
    elif plain.get("rope_local_base_freq"):
        found["rope_local_theta"] = float(plain["rope_local_base_freq"])
    found["rope_theta"] = float(given.get("rope_theta") or plain.get("rope_theta") or 10_000.0)
    scaling = given if given.get("rope_type", "default") != "default" else plain.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "linear":
        return found | {"rope_scaling": "linear", "rope_factor": float(scaling["factor"])}
    if kind == "llama3":
        return found | {
            "rope_scaling": "llama3", "rope_factor": float(scaling["factor"]),
            "rope_low": float(scaling["low_freq_factor"]), "rope_high": float(scaling["high_freq_factor"]),
            "rope_original": int(scaling["original_max_position_embeddings"]),
        }  # fmt: skip
    if kind != "default":
        _no("rope_scaling.rope_type", kind, "default, linear or llama3")
    if given.get("partial_rotary_factor", plain.get("partial_rotary_factor", 1.0)) != 1.0:
        _no("partial_rotary_factor", plain.get("partial_rotary_factor"), "1")
    return found


def _no(key: str, value: Any, ours: str) -> None:
    raise UserError(f"config.json: {key} = {value!r:.80} cannot be honoured; only {ours} can")


def family_of(config: DecoderConfig) -> str:
    """The family that can hold this decoder. Gains and biases that it lacks are no obstacle: 1 and 0 say the same.

    Nor is the activation of a Llama's MLP, which config.json names, or one without a gate that `as_gated` can write.
    """
    told = []
    for family, fixed in FAMILIES.items():
        gaps = [
            f"{key} = {getattr(config, key)!r}"
            for key, value in fixed.items()
            if getattr(config, key) != value and not _fills(config, key, value)
        ]
        gaps += [f"{key} = {value!r}" for key, value in _unsaid(config, family).items()]
        if not gaps:
            return family
        told.append((len(gaps), gaps))
    raise UserError(
        f"no Hugging Face family has a decoder with {' and '.join(min(told)[1])}; "
        "keep the run as it is, or train one with the options of a family, such as the defaults"
    )


def _fills(config: DecoderConfig, key: str, value: Any) -> bool:
    """Whether neutral values stand for what our decoder does not have, or other values say the same."""
    if key == "mlp":
        return value == "swiglu" and config.mlp in (*GATES.values(), "relu2")
    if key == "gain":
        return value in ("plain", "one_plus") and (config.gain == "none" or value == "one_plus")
    return key == "bias" and config.bias == "none"


def _unsaid(config: DecoderConfig, family: str) -> dict[str, Any]:
    """What the family's config.json has no word for, where it is not at its default."""
    may = {
        "gpt2": set(), "openai-gpt": set(), "llama": {"rope"}, "mistral": {"rope", "window"}, "qwen2": {"rope"},
        "qwen3": {"rope"}, "gemma": {"rope"}, "gemma2": {"rope", "window", "global_every", "scale", "softcap"},
        "gemma3_text": {"rope", "window", "global_every", "scale", "softcap", "local"},
    }[family]  # fmt: skip
    gpt = family in ("gpt2", "openai-gpt")
    values: dict[str, tuple[str, Any]] = {
        "window": ("window", config.window), "global_every": ("global_every", config.global_every),
        "rope_local_theta": ("local", config.rope_local_theta), "attention_scale": ("scale", config.attention_scale),
        "attention_softcap": ("softcap", config.attention_softcap), "logit_softcap": ("softcap", config.logit_softcap),
        "rope_scaling": ("rope", "" if config.rope_scaling == "none" else config.rope_scaling),
        "head_channels": ("", config.head_channels * gpt * (config.head_channels * config.n_heads != config.d_model)),
        "n_kv_heads": ("", config.n_kv_heads * gpt * (config.n_kv_heads != config.n_heads)),
        "embed_scale": ("", config.embed_scale and not family.startswith("gemma")),
    }  # fmt: skip
    if family == "llama" and config.bias != "none":
        values["bias"] = ("", config.bias)
    if family in ("gemma2", "gemma3_text") and not config.window:
        values["window"] = ("", "none")
    if family == "gemma3_text" and not config.rope_local_theta:
        values["rope_local_theta"] = ("", "none")
    if family == "mistral" and not config.window:
        values["window"] = ("", "none")
    return {key: value for key, (need, value) in values.items() if value and need not in may}


def config_to(config: DecoderConfig) -> dict[str, Any]:
    """config.json, without what only the tokenizer knows."""
    family = family_of(config)
    plain: dict[str, Any] = {"model_type": family, "architectures": [ARCHITECTURES[family]]}
    if family in ("gpt2", "openai-gpt"):
        return plain | {
            **({"activation_function": "gelu_new"} if family == "gpt2" else {"afn": "gelu"}),
            "vocab_size": config.vocab, "n_embd": config.d_model, "n_layer": config.n_layers,
            "n_head": config.n_heads, "n_inner": config.d_ff, "n_positions": config.max_positions,
            "layer_norm_epsilon": config.norm_eps, "tie_word_embeddings": config.tied,
            "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
        }  # fmt: skip
    gemma = family.startswith("gemma")
    act = next(act for act, gated in GATES.items() if gated == _gated(config).mlp)
    plain |= {
        "vocab_size": config.vocab, "hidden_size": config.d_model, "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads, "num_key_value_heads": config.n_kv_heads, "head_dim": config.channels,
        "intermediate_size": config.d_ff, "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps, "tie_word_embeddings": config.tied, "hidden_act": act,
        "rope_theta": config.rope_theta,
    }  # fmt: skip
    if gemma:
        plain["hidden_activation"] = act
    if family in ("gemma2", "gemma3_text"):
        plain |= {
            "query_pre_attn_scalar": _whole((config.attention_scale or config.channels**-0.5) ** -2),
            "attn_logit_softcapping": config.attention_softcap or None,
            "final_logit_softcapping": config.logit_softcap or None,
        }
    if family == "gemma3_text":
        plain["rope_local_base_freq"] = config.rope_local_theta
    if config.window:
        plain["sliding_window"] = config.window
        if family != "mistral":
            kinds = ("sliding_attention", "full_attention")
            plain["layer_types"] = [kinds[config.is_global(i)] for i in range(config.n_layers)]
    elif family in ("mistral", "qwen2", "qwen3"):
        plain["sliding_window"] = None
    if config.rope_scaling == "linear":
        plain["rope_scaling"] = {"rope_type": "linear", "factor": config.rope_factor}
    if config.rope_scaling == "llama3":
        plain["rope_scaling"] = {
            "rope_type": "llama3", "factor": config.rope_factor, "low_freq_factor": config.rope_low,
            "high_freq_factor": config.rope_high, "original_max_position_embeddings": config.rope_original,
        }  # fmt: skip
    return plain


def _whole(x: float) -> int | float:
    """A whole number that rounding has missed, or x."""
    return round(x) if abs(x - round(x)) < 1e-6 * abs(x) else x


def sources(config: DecoderConfig, family: str) -> dict[str, Source]:
    """For each tensor of a decoder of this family, in the order of its state, where Hugging Face keeps it."""
    D, F = config.d_model, config.d_ff
    qkv = tuple(heads * config.channels for heads in (config.n_heads, config.n_kv_heads, config.n_kv_heads))
    gpt = family in ("gpt2", "openai-gpt")
    found: dict[str, Source] = {}

    def put(ours: str, theirs: str | tuple[str, ...], rows: int | tuple[int, ...], kinds: str, turned: bool) -> None:
        for kind in kinds.split():
            names = (theirs,) if isinstance(theirs, str) else theirs
            sizes = (rows,) if isinstance(rows, int) else rows
            found[f"{ours}.{kind}"] = Source(tuple(f"{n}.{kind}" for n in names), sizes, turned and kind == "weight")

    if gpt:
        words, places = ("wte", "wpe") if family == "gpt2" else ("tokens_embed", "positions_embed")
        put("embed", f"transformer.{words}", config.vocab, "weight", False)
        put("place", f"transformer.{places}", config.max_positions, "weight", False)
    else:
        put("embed", "model.embed_tokens", config.vocab, "weight", False)
    for i in range(config.n_layers):
        ours = f"blocks.{i}"
        if gpt:
            theirs, both = f"transformer.h.{i}", "weight bias"
            put(f"{ours}.attention.qkv", f"{theirs}.attn.c_attn", sum(qkv), both, True)
            put(f"{ours}.attention.out", f"{theirs}.attn.c_proj", D, both, True)
            put(f"{ours}.mlp.up", f"{theirs}.mlp.c_fc", F, both, True)
            put(f"{ours}.mlp.down", f"{theirs}.mlp.c_proj", D, both, True)
            put(f"{ours}.attention_norm", f"{theirs}.ln_1", D, both, False)
            put(f"{ours}.mlp_norm", f"{theirs}.ln_2", D, both, False)
            continue
        theirs = f"model.layers.{i}"
        if config.qk_norm:
            put(f"{ours}.attention.q_norm", f"{theirs}.self_attn.q_norm", config.channels, "weight", False)
            put(f"{ours}.attention.k_norm", f"{theirs}.self_attn.k_norm", config.channels, "weight", False)
        names = tuple(f"{theirs}.self_attn.{x}_proj" for x in "qkv")
        put(f"{ours}.attention.qkv", names, qkv, "weight bias" if family == "qwen2" else "weight", False)
        put(f"{ours}.attention.out", f"{theirs}.self_attn.o_proj", D, "weight", False)
        put(f"{ours}.mlp.up", (f"{theirs}.mlp.gate_proj", f"{theirs}.mlp.up_proj"), (F, F), "weight", False)
        put(f"{ours}.mlp.down", f"{theirs}.mlp.down_proj", D, "weight", False)
        put(f"{ours}.attention_norm", f"{theirs}.input_layernorm", D, "weight", False)
        if config.block == "sandwich":
            put(f"{ours}.mlp_norm", f"{theirs}.pre_feedforward_layernorm", D, "weight", False)
            put(f"{ours}.attention_out_norm", f"{theirs}.post_attention_layernorm", D, "weight", False)
            put(f"{ours}.mlp_out_norm", f"{theirs}.post_feedforward_layernorm", D, "weight", False)
        else:
            put(f"{ours}.mlp_norm", f"{theirs}.post_attention_layernorm", D, "weight", False)
    if gpt:
        if family == "gpt2":
            put("norm", "transformer.ln_f", D, "weight bias", False)
    else:
        put("norm", "model.norm", D, "weight", False)
    if not config.tied:
        put("head", "lm_head", config.vocab, "weight", False)
    return found


def fill(decoder: Decoder, family: str, shapes: Mapping[str, Shape], read: Read, where: str) -> None:
    """Copy their tensors into our decoder; UserError as `copy_in`."""
    copy_in(decoder, *_plan(decoder.config, family, shapes), read, where)


def check(decoder: Decoder, family: str, shapes: Mapping[str, Shape], where: str) -> None:
    """UserError unless their tensors would fill our decoder, which may be without memory."""
    check_shapes(decoder, *_plan(decoder.config, family, shapes), where)


def _plan(
    config: DecoderConfig, family: str, shapes: Mapping[str, Shape]
) -> tuple[dict[str, Source], dict[str, Shape]]:
    """Which tensor goes where, and the shapes of those that matter. Files of a model without its head lack a prefix."""
    mapping = sources(config, family)
    if not any(name.startswith(PREFIXES) for name in shapes):
        mapping = {ours: replace(source, names=tuple(map(_bare, source.names))) for ours, source in mapping.items()}
    needless = {name for name in shapes if name.endswith(SILENT)} | ({"lm_head.weight"} & shapes.keys())
    expected = {name for source in mapping.values() for name in source.names}
    return mapping, {k: v for k, v in shapes.items() if k in expected or k not in needless}


def _bare(name: str) -> str:
    return name.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1])


def tensors_to(decoder: Decoder, family: str) -> dict[str, Tensor]:
    """Their tensors, cut from ours; neutral gains and biases where our decoder has none."""
    return cut_out(as_gated(decoder), sources(decoder.config, family), FAMILIES[family]["gain"])


def _gated(config: DecoderConfig) -> DecoderConfig:
    """The configuration of `as_gated`."""
    return replace(config, mlp="reglu") if config.mlp == "relu2" else config


def as_gated(decoder: Decoder) -> Decoder:
    """The same function where relu2 has no form but a gate has: relu(Wx)² = relu(Wx) · Wx, gate and up both W."""
    if decoder.config.mlp != "relu2":
        return decoder
    with torch.device("meta"):
        gated = Decoder(_gated(decoder.config))
    state = {k: v.repeat(2, 1) if k.endswith("mlp.up.weight") else v for k, v in decoder.state_dict().items()}
    gated.load_state_dict(state, assign=True)
    return gated.requires_grad_(False)
