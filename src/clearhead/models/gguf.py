"""What llama.cpp calls the parts of a decoder: the metadata of a GGUF file <-> DecoderConfig, its tensors <-> ours.

Names come from llama.cpp's gguf-py/gguf/constants.py, and what its converter does to weights is undone: queries and
keys of the architecture "llama" have their rotary pairs side by side, Gemma's gains have 1 added.
Deliberately not here: the file (formats.gguf) and the tokenizer in it (text.gguf_vocab).
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clearhead.config import nearest
from clearhead.errors import UserError
from clearhead.models import huggingface
from clearhead.models.decoder import Decoder, DecoderConfig, global_frequencies
from clearhead.models.sources import Read, Shape, Source, check_shapes, copy_in, cut_out

ARCHITECTURES = {
    "llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2",
    "gemma3": "gemma3_text", "gpt2": "gpt2",
}  # fmt: skip
NAMES = {  # Hugging Face's part of a name: llama.cpp's
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "ln_1": "attn_norm", "ln_2": "ffn_norm",
}  # fmt: skip
SANDWICH = {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip
GEMMA2_EVERY, GEMMA3_EVERY, GEMMA3_LOCAL_THETA = 2, 6, 10_000.0  # llama.cpp knows these and files do not say them
LLAMA3_ORIGINAL = 8192  # tokens of context that Llama 3 was first trained with
ORIGINAL = "rope.scaling.original_context_length"
ROPE_FREQS = "rope_freqs.weight"


def as_tensor(array: np.ndarray) -> Tensor:
    """The same memory, which may be a file's and must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def config_from(metadata: Mapping[str, Any], shapes: Mapping[str, Shape], read: Read) -> DecoderConfig:
    """The decoder that a file describes. UserError names the first thing in it that we do not have."""
    arch = metadata.get("general.architecture")
    if arch not in ARCHITECTURES:
        raise UserError(f"its architecture {str(arch)[:40]!r} is not read here{nearest(str(arch), ARCHITECTURES)}")
    family = ARCHITECTURES[arch]

    def get(key: str, default: Any = None) -> Any:
        value = metadata.get(f"{arch}.{key}", default)
        if value is None:
            raise UserError(f"its metadata lacks {arch}.{key}")
        if isinstance(value, list):
            if len(set(value)) != 1:
                raise UserError(f"{arch}.{key} differs from layer to layer, which cannot be honored")
            value = value[0]
        if isinstance(value, bool | str) or not math.isfinite(value):
            raise UserError(f"{arch}.{key} = {value!r:.40} must be a number")
        return float(str(np.float32(value))) if isinstance(value, float) else value  # 1e-6 again, not 9.99999997e-07

    heads, vocab = int(get("attention.head_count")), shapes.get("token_embd.weight", (0,))[0]
    sizes: dict[str, Any] = {
        "vocab": vocab, "d_model": int(get("embedding_length")), "n_layers": int(get("block_count")),
        "n_heads": heads, "n_kv_heads": int(get("attention.head_count_kv", heads)),
        "d_ff": int(get("feed_forward_length")), "max_positions": int(get("context_length")),
        "tied": "output.weight" not in shapes,
    }  # fmt: skip
    gpt = family == "gpt2"
    sizes["norm_eps"] = float(get("attention.layer_norm_epsilon" if gpt else "attention.layer_norm_rms_epsilon"))
    if not gpt:
        channels = int(get("attention.key_length", sizes["d_model"] // max(heads, 1)))
        if int(get("attention.value_length", channels)) != channels:
            raise UserError(f"{arch}: keys and values of different widths cannot be honored")
        if int(get("rope.dimension_count", channels)) != channels:
            raise UserError(f"{arch}.rope.dimension_count = {get('rope.dimension_count')}: all {channels} or none")
        sizes["head_channels"] = 0 if channels * heads == sizes["d_model"] else channels
        sizes["rope_theta"] = float(get("rope.freq_base", 10_000.0))
        kind = metadata.get(f"{arch}.rope.scaling.type", "none")
        if kind == "linear":
            sizes |= {"rope_scaling": "linear", "rope_factor": float(get("rope.scaling.factor"))}
        elif kind != "none":
            raise UserError(f"{arch}.rope.scaling.type = {kind!r:.40} cannot be honored; none and linear can")
    if family in ("gemma2", "gemma3_text"):
        sizes |= {
            "window": int(get("attention.sliding_window")),
            "global_every": GEMMA2_EVERY if family == "gemma2" else GEMMA3_EVERY,
            "attention_scale": channels**-0.5,
            "attention_softcap": float(get("attn_logit_softcapping", 0.0)),
            "logit_softcap": float(get("final_logit_softcapping", 0.0)),
        }
    if family == "gemma3_text":
        sizes["rope_local_theta"] = GEMMA3_LOCAL_THETA
    fixed = {**huggingface.FAMILIES[family], "gain": "plain"}
    config = DecoderConfig(**{**fixed, **sizes})
    if ROPE_FREQS not in shapes:
        return config
    return with_factors(config, read(ROPE_FREQS), int(get(ORIGINAL, LLAMA3_ORIGINAL)))


def with_factors(config: DecoderConfig, factors: Tensor, original: int) -> DecoderConfig:
    """The configuration whose frequencies are divided by these factors, if it is one of Llama 3's.

    The slowest frequency is divided by the whole factor. `original` is the context before it was stretched.
    """
    if factors.shape == (config.channels // 2,) and factors.isfinite().all() and factors.max() >= 1:
        factor = float(f"{factors.max():.6g}")
        scaled = replace(config, rope_scaling="llama3", rope_factor=factor, rope_original=original)
        if torch.allclose(rope_factors(scaled), factors.float(), 1e-4):
            return scaled
    raise UserError(f"the frequencies in {ROPE_FREQS} are not Llama 3's and cannot be honored")


def rope_factors(config: DecoderConfig) -> Tensor:
    """What each frequency is divided by."""
    return global_frequencies(replace(config, rope_scaling="none")) / global_frequencies(config)


def architecture_of(config: DecoderConfig) -> str:
    """The architecture that can hold this decoder; UserError says what a GGUF file has no word for."""
    family = huggingface.family_of(config)
    known = {theirs: arch for arch, theirs in ARCHITECTURES.items()}
    if family not in known:
        raise UserError(f"GGUF files have no architecture for a {family} model; write a Hugging Face folder")
    if config.mlp != huggingface.FAMILIES[family]["mlp"]:
        usual = huggingface.FAMILIES[family]["mlp"]
        raise UserError(
            f"mlp = {config.mlp!r} has no form in GGUF; write a Hugging Face folder, or train with mlp = {usual!r}"
        )
    plain_scale = not config.attention_scale or abs(config.attention_scale * config.channels**0.5 - 1) < 1e-6
    if family in ("gemma2", "gemma3_text") and not plain_scale:
        raise UserError(f"attention_scale = {config.attention_scale:.4g} has no word in GGUF; only 1/√C can be written")
    every = {"gemma2": GEMMA2_EVERY, "gemma3_text": GEMMA3_EVERY}.get(family, config.global_every)
    if config.global_every != every:
        raise UserError(f"global_every = {config.global_every} has no word in GGUF; only {every} can be written")
    if config.rope_scaling == "llama3":
        try:
            with_factors(config, rope_factors(config), config.rope_original)
        except UserError:
            raise UserError(
                f"rope_scaling = llama3 with rope_low = {config.rope_low}, rope_high = {config.rope_high} and "
                f"rope_original = {config.rope_original} has no word in GGUF that could be read again"
            ) from None
    if family == "gemma3_text" and config.rope_local_theta != GEMMA3_LOCAL_THETA:
        raise UserError(f"rope_local_theta = {config.rope_local_theta} has no word in GGUF; only 10,000 can be written")
    return known[family]


def metadata_of(config: DecoderConfig) -> dict[str, Any]:
    """What the file says of the decoder, architecture first."""
    arch = architecture_of(config)
    gpt = arch == "gpt2"
    found: dict[str, Any] = {
        "context_length": config.max_positions, "embedding_length": config.d_model, "block_count": config.n_layers,
        "feed_forward_length": config.d_ff, "attention.head_count": config.n_heads,
        "attention.head_count_kv": config.n_kv_heads, "vocab_size": config.vocab,
        f"attention.layer_norm_{'' if gpt else 'rms_'}epsilon": config.norm_eps,
    }  # fmt: skip
    if not gpt:
        found |= {
            "rope.freq_base": config.rope_theta, "rope.dimension_count": config.channels,
            "attention.key_length": config.channels, "attention.value_length": config.channels,
        }  # fmt: skip
    if config.rope_scaling == "linear":
        found |= {"rope.scaling.type": "linear", "rope.scaling.factor": config.rope_factor}
    if config.rope_scaling == "llama3":
        found[ORIGINAL] = config.rope_original
    if config.window:
        found["attention.sliding_window"] = config.window
    for key, value in (("attn", config.attention_softcap), ("final", config.logit_softcap)):
        if value:
            found[f"{key}_logit_softcapping"] = value
    return {"general.architecture": arch} | {f"{arch}.{key}": value for key, value in found.items()}


def sources(config: DecoderConfig, arch: str) -> dict[str, Source]:
    """For each tensor of a decoder, where a GGUF file keeps it."""
    table = NAMES | (SANDWICH if config.block == "sandwich" else {})
    found = {}
    for ours, source in huggingface.sources(config, ARCHITECTURES[arch]).items():
        turned = (config.n_heads, config.n_kv_heads, 0) if arch == "llama" and "qkv" in ours else ()
        found[ours] = Source(tuple(_name(name, table) for name in source.names), source.rows, False, turned)
    return found


def _name(theirs: str, table: Mapping[str, str]) -> str:
    stem, _, kind = theirs.rpartition(".")
    for before in ("model.layers.", "transformer.h."):
        if stem.startswith(before):
            layer, _, part = stem.removeprefix(before).partition(".")
            return f"blk.{layer}.{table[part]}.{kind}"
    return f"{table[stem]}.{kind}"


def fill(decoder: Decoder, arch: str, shapes: Mapping[str, Shape], read: Read, where: str) -> None:
    """Copy a file's tensors into our decoder; UserError as `copy_in`."""
    copy_in(decoder, sources(decoder.config, arch), _weights(shapes), read, where)


def check(decoder: Decoder, arch: str, shapes: Mapping[str, Shape], where: str) -> None:
    """UserError unless a file's tensors would fill our decoder, which may be without memory."""
    check_shapes(decoder, sources(decoder.config, arch), _weights(shapes), where)


def _weights(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    return {name: shape for name, shape in shapes.items() if name != ROPE_FREQS}


def tensors_to(decoder: Decoder, arch: str) -> dict[str, Tensor]:
    """A file's tensors, cut from ours."""
    found = cut_out(decoder, sources(decoder.config, arch), "plain")
    if decoder.config.rope_scaling == "llama3":
        found[ROPE_FREQS] = rope_factors(decoder.config)
    return found
