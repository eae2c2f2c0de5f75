"""Hugging Face's names for what a decoder is made of: config.json <-> DecoderConfig, their tensors <-> ours.

A family says which of our options it fixes; everything else of its config.json is sizes. What neither side can express
is refused. Deliberately not here: files (formats), tokenizers (text), and GGUF (models.gguf).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import UserError, warn
from clearhead.models.decoder import MOST_LAYERS, Decoder, DecoderConfig
from clearhead.models.families import ARCHITECTURES, DEFAULTS, FAMILIES, TANH, cannot, filled
from clearhead.models.weight_map import MappedTensor, ReadTensor, Shape, check_shapes, copy_in, cut_out

GATES = {"silu": "swiglu", "relu": "reglu", "gelu_pytorch_tanh": "geglu"}  # hidden_act -> the gated MLP it makes
ROPE_KEYS = {
    "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings",
}  # fmt: skip
ROPE_FIXED = {"partial_rotary_factor": (1.0,)}
NEEDED = {"linear": ("factor",), "llama3": ("factor", "low_freq_factor", "high_freq_factor")}
PREFIXES = ("transformer.", "model.")
HEAD = "lm_head.weight"
# Tables that old files carry and that follow from the configuration.
SILENT = re.compile(r"rotary_emb\.inv_freq$|(^|\.)h\.\d+\.attn\.(masked_)?bias$")
FOREIGN = {  # a prefix of names, and who writes it
    "_orig_mod.": "it is a compiled module", "module.": "it is a module inside DataParallel",
    "language_model.": "it is the text part of a model that reads images",
    "model.language_model.": "it is the text part of a model that reads images",
    "base_model.model.": "it is a model with adapters in it",
}  # fmt: skip


def config_from(plain: Mapping[str, Any]) -> DecoderConfig:
    """The decoder that a config.json describes. UserError names the first thing in it that we do not have."""
    try:
        told = filled(plain)
        family = str(told["model_type"])
        layers = told.get("num_hidden_layers", told.get("n_layer"))
        if isinstance(layers, int | float) and not layers <= MOST_LAYERS:
            raise UserError(f"{layers} layers are too many; {MOST_LAYERS} are possible")
        sizes = _gpt_sizes(told) if family in ("gpt2", "openai-gpt") else _llama_sizes(told, family)
        if sizes.get("head_dim", 0) * sizes["n_heads"] == sizes["d_model"]:
            sizes["head_dim"] = 0  # as it would be without being said
        return DecoderConfig(**{**FAMILIES[family], **sizes})
    except UserError as wrong:  # what a setting cannot be, and what cannot be honored
        raise UserError(f"config.json: {wrong}") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError) as wrong:
        raise UserError(f"config.json has a value of the wrong kind: {wrong}") from None


def _gpt_sizes(told: Mapping[str, Any]) -> dict[str, Any]:
    if "afn" in told and told["afn"] != "gelu":  # which means the approximation there
        cannot("afn", told["afn"], "gelu")
    if "activation_function" in told and told["activation_function"] not in TANH:
        cannot("activation_function", told["activation_function"], "gelu_new")
    D, heads = int(told["n_embd"]), int(told["n_head"])
    return {
        "vocab": int(told["vocab_size"]), "d_model": D, "n_layers": int(told["n_layer"]), "n_heads": heads,
        "n_kv_heads": heads, "d_ff": int(told.get("n_inner") or 4 * D), "max_positions": int(told["n_positions"]),
        "norm_eps": float(told["layer_norm_epsilon"]), "tied": bool(told["tie_word_embeddings"]),
    }  # fmt: skip


def _llama_sizes(told: Mapping[str, Any], family: str) -> dict[str, Any]:
    key = "hidden_activation" if "hidden_activation" in DEFAULTS[family] else "hidden_act"
    act = told[key]
    if family == "gemma" and act == "gelu":  # old files say so and mean the approximation
        act = "gelu_pytorch_tanh"
    gate = GATES.get("gelu_pytorch_tanh" if act in TANH else act)
    if gate is None or (family.startswith("gemma") and gate != "geglu"):
        cannot(key, told[key], "gelu_pytorch_tanh" if family.startswith("gemma") else " and ".join(GATES))
    heads, layers = int(told["num_attention_heads"]), int(told["num_hidden_layers"])
    sizes: dict[str, Any] = {
        "vocab": int(told["vocab_size"]), "d_model": int(told["hidden_size"]), "n_layers": layers, "n_heads": heads,
        "n_kv_heads": int(told["num_key_value_heads"] or heads), "d_ff": int(told["intermediate_size"]),
        "max_positions": int(told["max_position_embeddings"]), "mlp": gate, "norm_eps": float(told["rms_norm_eps"]),
        "head_dim": int(told["head_dim"] or 0), "tied": bool(told["tie_word_embeddings"]),
    }  # fmt: skip
    if "query_pre_attn_scalar" in told and family in ("gemma2", "gemma3_text"):
        scalar = float(told["query_pre_attn_scalar"])
        if not scalar > 0:
            cannot("query_pre_attn_scalar", scalar, "a number above 0")
        if family == "gemma3_text" and told["attn_logit_softcapping"]:  # its class reads the key and does not use it
            cannot("attn_logit_softcapping", told["attn_logit_softcapping"], "null")
        sizes["attention_scale"] = scalar**-0.5
        sizes["attention_softcap"] = _softcap(told, "attn_logit_softcapping")
        sizes["logit_softcap"] = _softcap(told, "final_logit_softcapping")
    sizes |= _window(told, family, layers)
    return sizes | (_rotary_by_kind(told, sizes) if family == "gemma3_text" else _rotary(told))


def _softcap(told: Mapping[str, Any], key: str) -> float:
    """0 for none; a cap of 0 would leave nothing of what it caps."""
    if told[key] == 0 and told[key] is not None:
        cannot(key, told[key], "null, or a number above 0,")
    return float(told[key] or 0)


def _window(told: Mapping[str, Any], family: str, layers: int) -> dict[str, int]:
    """`window` and `global_every`; the layers' kinds must follow one rhythm."""
    window = told.get("sliding_window")
    if family in ("llama", "gemma") or (family.startswith("qwen") and not told["use_sliding_window"]):
        if "sliding_attention" in (told.get("layer_types") or ()) and family.startswith("qwen"):
            cannot("layer_types", "sliding_attention", "full_attention, since use_sliding_window is false,")
        return {}
    if family == "mistral":
        return {} if window is None else {"window": _whole_above(0, "sliding_window", window), "global_every": 0}
    kinds = told["layer_types"]
    if kinds is None and family.startswith("qwen"):  # the first layers see everything
        first = int(told["max_window_layers"]) if window is not None else layers
        kinds = ["full_attention" if i < first else "sliding_attention" for i in range(layers)]
    if kinds is None:
        every = 2  # Gemma 2's, which has no key for it
        if family == "gemma3_text":
            every = _whole_above(0, "sliding_window_pattern", told["sliding_window_pattern"])
        kinds = ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(layers)]
    if len(kinds) != layers or not set(kinds) <= {"full_attention", "sliding_attention"}:
        cannot("layer_types", kinds, f"full_attention and sliding_attention, {layers} of them,")
    full = [i + 1 for i, kind in enumerate(kinds) if kind == "full_attention"]
    if len(full) == layers:
        return {}
    every = full[0] if full else 0
    if full != (list(range(every, layers + 1, every)) if every else []):
        cannot("layer_types", "an irregular order", "full attention in every n-th layer")
    return {"window": _whole_above(0, "sliding_window", window), "global_every": every}


def _whole_above(least: int, key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= least:
        cannot(key, value, f"a whole number above {least}")
    return int(value)


def _rotary(told: Mapping[str, Any]) -> dict[str, Any]:
    """Base and scaling, from the old keys (rope_theta, rope_scaling) or the new one (rope_parameters)."""
    given = told["rope_scaling"] or told["rope_parameters"] or {}
    if nested := sorted({"full_attention", "sliding_attention"} & given.keys()):
        cannot("rope_parameters", nested[0], "one for all layers")
    return _scaling(given, told, told["rope_theta"])


def _rotary_by_kind(told: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Gemma 3's: one entry for each kind of layer. The windowed layers' counts only where there are some."""
    given = told["rope_parameters"] or {}
    if strange := sorted(given.keys() - {"full_attention", "sliding_attention"}):
        cannot(f"rope_parameters.{strange[0]}", given[strange[0]], "full_attention and sliding_attention in it")
    full = {**(given.get("full_attention") or {}), **(told["rope_scaling"] or {})}
    found = _scaling(full, told, told["rope_theta"])
    local = _scaling(given.get("sliding_attention") or {}, told, told["rope_local_base_freq"])
    if not sizes.get("window"):
        return found
    if local.get("rope_scaling", "linear") != "linear":
        if sizes["global_every"] == 0:  # nothing turns by the base of the layers that see everything
            return local
        cannot("rope_parameters.sliding_attention.rope_type", local["rope_scaling"], "default and linear")
    return found | {"rope_local_theta": local["rope_theta"], "rope_local_factor": local.get("rope_factor", 1.0)}


def _scaling(given: Mapping[str, Any], told: Mapping[str, Any], theta: Any) -> dict[str, Any]:
    """The fields of a DecoderConfig for one table of rotary parameters."""
    for key, values in ROPE_FIXED.items():
        if given.get(key) not in (None, *values):
            cannot(f"rope_parameters.{key}", given[key], str(values[0]))
    if strange := sorted(given.keys() - ROPE_KEYS - ROPE_FIXED.keys()):
        warn(f"config.json: no rotary embedding read here has {', '.join(map(repr, strange))}; ignored")
    found: dict[str, Any] = {"rope_theta": float(given.get("rope_theta", theta))}
    kind = given.get("rope_type", given.get("type", "default"))
    if kind == "default":
        return found
    if kind not in ("linear", "llama3"):
        cannot("rope_type", kind, "default, linear and llama3")
    if missing := [key for key in NEEDED[kind] if given.get(key) is None]:
        raise UserError(f"rope_type = {kind!r} needs {missing[0]}; add it to its parameters")
    found |= {"rope_scaling": kind, "rope_factor": float(given["factor"])}
    if kind == "linear":
        return found
    original = told["original_max_position_embeddings"] or given.get("original_max_position_embeddings")
    return found | {
        "rope_low": float(given["low_freq_factor"]), "rope_high": float(given["high_freq_factor"]),
        "rope_original": int(original or told["max_position_embeddings"]),
    }  # fmt: skip


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
    if key == "norm_weight":
        return value in ("plain", "one_plus") and (config.norm_weight == "none" or value == "one_plus")
    return key == "bias" and config.bias == "none"


def _unsaid(config: DecoderConfig, family: str) -> dict[str, Any]:
    """What the family's config.json has no word for, where it is not at its default."""
    may = {
        "gpt2": set(), "openai-gpt": set(), "llama": {"rope"}, "mistral": {"rope", "window"},
        "qwen2": {"rope", "window", "global_every"}, "qwen3": {"rope", "window", "global_every"}, "gemma": {"rope"},
        "gemma2": {"rope", "window", "global_every", "scale", "softcap"},
        "gemma3_text": {"rope", "window", "global_every", "scale", "softcap", "local"},
    }[family]  # fmt: skip
    gpt = family in ("gpt2", "openai-gpt")
    values: dict[str, tuple[str, Any]] = {
        "window": ("window", config.window), "global_every": ("global_every", config.global_every),
        "rope_local_theta": ("local", config.rope_local_theta),
        "rope_local_factor": ("local", config.rope_local_factor * (config.rope_local_factor != 1)),
        "attention_scale": ("scale", config.attention_scale),
        "attention_softcap": ("softcap", config.attention_softcap), "logit_softcap": ("softcap", config.logit_softcap),
        "rope_scaling": ("rope", "" if config.rope_scaling == "none" else config.rope_scaling),
        "head_dim": ("", config.head_dim * gpt * (config.head_dim * config.n_heads != config.d_model)),
        "n_kv_heads": ("", config.n_kv_heads * gpt * (config.n_kv_heads != config.n_heads)),
        "embed_scale": ("", config.embed_scale and not family.startswith("gemma")),
    }  # fmt: skip
    if family == "gemma3_text" and config.attention_softcap:  # its class does not use it
        values["attention_softcap"] = ("", config.attention_softcap)
    if family == "openai-gpt" and config.d_ff != 4 * config.d_model:
        values["d_ff"] = ("", config.d_ff)
    if family == "llama" and config.bias != "none":
        values["bias"] = ("", config.bias)
    if family == "gemma3_text" and config.window and not config.rope_local_theta:
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
            **({"activation_function": "gelu_new", "n_inner": config.d_ff} if family == "gpt2" else {"afn": "gelu"}),
            "vocab_size": config.vocab, "n_embd": config.d_model, "n_layer": config.n_layers,
            "n_head": config.n_heads, "n_positions": config.max_positions,
            "layer_norm_epsilon": config.norm_eps, "tie_word_embeddings": config.tied,
            "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
        }  # fmt: skip
    gemma = family.startswith("gemma")
    act = next(act for act, gated in GATES.items() if gated == _gated(config).mlp)
    plain |= {
        "vocab_size": config.vocab, "hidden_size": config.d_model, "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads, "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.dim_per_head,
        "intermediate_size": config.d_ff, "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps, "tie_word_embeddings": config.tied, "hidden_act": act,
        "rope_theta": config.rope_theta,
    }  # fmt: skip
    if gemma:
        plain["hidden_activation"] = act
    if family in ("gemma2", "gemma3_text"):
        plain |= {
            "query_pre_attn_scalar": _whole((config.attention_scale or config.dim_per_head**-0.5) ** -2),
            "attn_logit_softcapping": config.attention_softcap or None,
            "final_logit_softcapping": config.logit_softcap or None,
        }
    if config.rope_local_theta:
        plain["rope_local_base_freq"] = config.rope_local_theta
    if config.window:
        plain["sliding_window"] = config.window
        plain |= {"use_sliding_window": True, "max_window_layers": 0} if family.startswith("qwen") else {}
    if family in ("gemma2", "gemma3_text") or (config.window and family != "mistral"):
        kinds = ("sliding_attention", "full_attention")
        plain["layer_types"] = [kinds[config.is_global(i)] for i in range(config.n_layers)]
    elif not config.window and family in ("mistral", "qwen2", "qwen3"):
        plain["sliding_window"] = None
    if config.rope_local_factor != 1:
        plain["rope_parameters"] = {
            "full_attention": {"rope_type": "default", "rope_theta": config.rope_theta},
            "sliding_attention": {
                "rope_type": "linear", "factor": config.rope_local_factor, "rope_theta": config.rope_local_theta,
            },
        }  # fmt: skip
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


def weight_map(config: DecoderConfig, family: str) -> dict[str, MappedTensor]:
    """For each tensor of a decoder of this family, in the order of its state, where Hugging Face keeps it."""
    D, F = config.d_model, config.d_ff
    qkv = tuple(heads * config.dim_per_head for heads in (config.n_heads, config.n_kv_heads, config.n_kv_heads))
    gpt = family in ("gpt2", "openai-gpt")
    found: dict[str, MappedTensor] = {}

    def put(
        ours: str, theirs: str | tuple[str, ...], rows: int | tuple[int, ...], kinds: str, interleaved: bool
    ) -> None:
        for kind in kinds.split():
            names = (theirs,) if isinstance(theirs, str) else theirs
            sizes = (rows,) if isinstance(rows, int) else rows
            found[f"{ours}.{kind}"] = MappedTensor(
                tuple(f"{n}.{kind}" for n in names), sizes, interleaved and kind == "weight"
            )

    if gpt:
        words, places = ("wte", "wpe") if family == "gpt2" else ("tokens_embed", "positions_embed")
        put("embed", f"transformer.{words}", config.vocab, "weight", False)
        put("pos_embed", f"transformer.{places}", config.max_positions, "weight", False)
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
            put(f"{ours}.attention.q_norm", f"{theirs}.self_attn.q_norm", config.dim_per_head, "weight", False)
            put(f"{ours}.attention.k_norm", f"{theirs}.self_attn.k_norm", config.dim_per_head, "weight", False)
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


def with_own_head(config: DecoderConfig, family: str, shapes: Mapping[str, Shape], read: ReadTensor) -> DecoderConfig:
    """The configuration, untied if the file has a head that is not the embedding: what is in it is not dropped."""
    if not config.tied or HEAD not in shapes:
        return config
    (embed,) = weight_map(config, family)["embed.weight"].names
    embed = embed if embed in shapes else _bare(embed)
    if shapes.get(embed) == shapes[HEAD] and torch.equal(read(embed).float(), read(HEAD).float()):
        return config
    return replace(config, tied=False)


def fill(decoder: Decoder, family: str, shapes: Mapping[str, Shape], read: ReadTensor, where: str) -> None:
    """Copy their tensors into our decoder; UserError as `copy_in`."""
    copy_in(decoder, *_plan(decoder.config, family, shapes, where), read, where)


def check(decoder: Decoder, family: str, shapes: Mapping[str, Shape], where: str) -> None:
    """UserError unless their tensors would fill our decoder, which may be without memory."""
    check_shapes(decoder, *_plan(decoder.config, family, shapes, where), where)


def _plan(
    config: DecoderConfig, family: str, shapes: Mapping[str, Shape], where: str
) -> tuple[dict[str, MappedTensor], dict[str, Shape]]:
    """Which tensor goes where, and the shapes of those that matter. Files of a model without its head lack a prefix."""
    for prefix, why in FOREIGN.items():
        if foreign := next((name for name in shapes if name.startswith(prefix)), None):
            raise UserError(f"{where} calls a tensor {foreign}: {why}; take {prefix!r} off the names, or save it anew")
    mapping = weight_map(config, family)
    if not any(name.startswith(PREFIXES) for name in shapes):
        mapping = {ours: replace(source, names=tuple(map(_bare, source.names))) for ours, source in mapping.items()}
    needless = {name for name in shapes if SILENT.search(name)} | ({HEAD} & shapes.keys())  # the head is the embedding
    expected = {name for source in mapping.values() for name in source.names}
    return mapping, {k: v for k, v in shapes.items() if k in expected or k not in needless}


def _bare(name: str) -> str:
    return name.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1])


def tensors_to(decoder: Decoder, family: str) -> dict[str, Tensor]:
    """Their tensors, cut from ours; neutral norm weights and biases where our decoder has none."""
    return cut_out(as_gated(decoder), weight_map(decoder.config, family), FAMILIES[family]["norm_weight"])


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
