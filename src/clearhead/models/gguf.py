"""What llama.cpp calls the parts of a decoder: the metadata of a GGUF file <-> DecoderConfig, its tensors <-> ours.

Names come from llama.cpp's gguf-py/gguf/constants.py, and what its converter does to weights is undone: queries and
keys of the architecture "llama" have their rotary pairs side by side, Gemma's norm weights have 1 added.
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
from clearhead.errors import UserError, warn
from clearhead.models import huggingface
from clearhead.models.decoder import Decoder, DecoderConfig, global_frequencies
from clearhead.models.weight_map import MappedTensor, ReadTensor, Shape, check_shapes, copy_in, cut_out

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
# What llama.cpp knows of Gemma where a file does not say it.
GEMMA2_EVERY, GEMMA3_EVERY, GEMMA3_LOCAL_THETA, GEMMA2_WINDOW = 2, 6, 10_000.0, 4096
GEMMA_LARGEST = {"gemma2": 46, "gemma3_text": 62}  # layers
LLAMA3_ORIGINAL = 8192  # tokens of context that Llama 3 was first trained with
WINDOW, PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"
SAME_IN_WINDOWS = ("attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa")
HARMLESS = {"vocab_size", "rope.scaling.finetuned", "rope.scaling.original_context_length", "tensor_data_layout"}
NEUTRAL: dict[str, tuple[Any, ...]] = {  # values with which a key that is not honored changes nothing
    "rope.scaling.attn_factor": (1.0,), "logit_scale": (1.0,), "residual_scale": (1.0,),
    "embedding_scale": (1.0,),
}  # fmt: skip
ORIGINAL = "rope.scaling.original_context_length"
ROPE_FREQS = "rope_freqs.weight"


def as_tensor(array: np.ndarray) -> Tensor:
    """The same memory, which may be a file's and must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def config_from(metadata: Mapping[str, Any], shapes: Mapping[str, Shape], read: ReadTensor) -> DecoderConfig:
    """The decoder that a file describes. UserError names the first thing in it that we do not have.

    What the file leaves out is as llama.cpp's load_hparams has it, and so is what depends on the number of layers.
    """
    arch = metadata.get("general.architecture")
    if arch not in ARCHITECTURES:
        raise UserError(f"its architecture {str(arch)[:40]!r} is not read here{nearest(str(arch), ARCHITECTURES)}")
    if metadata.get("general.type", "model") != "model":
        raise UserError(f"general.type = {metadata['general.type']!r:.40}; only the file of a whole model can be read")
    if isinstance(parts := metadata.get("split.count", 1), int) and parts > 1:
        raise UserError(f"it is one of the {parts} parts of a split model; join them: llama-gguf-split --merge")
    family = ARCHITECTURES[arch]
    keys = _Keys(metadata, arch)
    if experts := keys.whole("expert_count", 0):
        raise UserError(f"it is a mixture of {experts} experts, and only models without experts can be read")
    if not keys.get("attention.causal", True):
        raise UserError(
            f"{arch}.attention.causal = False cannot be honored; a decoder here sees what came before alone"
        )
    heads, vocab = keys.whole("attention.head_count"), shapes.get("token_embd.weight", (0,))[0]
    sizes: dict[str, Any] = {
        "vocab": vocab, "d_model": keys.whole("embedding_length"), "n_layers": keys.whole("block_count"),
        "n_heads": heads, "n_kv_heads": keys.whole("attention.head_count_kv", heads),
        "d_ff": keys.whole("feed_forward_length"), "max_positions": keys.whole("context_length"),
        "tied": "output.weight" not in shapes,
    }  # fmt: skip
    gpt = family == "gpt2"
    sizes["norm_eps"] = keys.number("attention.layer_norm_epsilon" if gpt else "attention.layer_norm_rms_epsilon")
    if not gpt:
        head_dim = keys.whole("attention.key_length", sizes["d_model"] // max(heads, 1))
        for key in ("attention.value_length", "rope.dimension_count", *SAME_IN_WINDOWS):
            if keys.whole(key, head_dim) != head_dim:
                raise UserError(f"{arch}.{key} = {keys.whole(key)} cannot be honored; only {head_dim} can, as for keys")
        sizes["head_dim"] = 0 if head_dim * heads == sizes["d_model"] else head_dim
        sizes |= _rotary(keys)
    if family in ("gemma2", "gemma3_text"):
        sizes |= _gemma(keys, family, sizes, head_dim)
    keys.check_rest()
    fixed = {**huggingface.FAMILIES[family], "norm_weight": "plain"}
    config = DecoderConfig(**{**fixed, **sizes})
    if ROPE_FREQS not in shapes:
        return config
    return with_factors(config, read(ROPE_FREQS), keys.whole(ORIGINAL, LLAMA3_ORIGINAL))


class _Keys:
    """The metadata of an architecture, and which of it was asked for."""

    def __init__(self, metadata: Mapping[str, Any], arch: str) -> None:
        self.arch, self.asked = arch, {ORIGINAL}
        self.given = {k.removeprefix(f"{arch}."): v for k, v in metadata.items() if k.startswith(f"{arch}.")}

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        value = self.given.get(key, default)
        if value is None:
            raise UserError(f"its metadata lacks {self.arch}.{key}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.get(key, default)
        if isinstance(value, list):
            if len(set(value)) != 1:
                raise UserError(f"{self.arch}.{key} differs from layer to layer, which cannot be honored")
            value = value[0]
        if isinstance(value, bool | str) or not math.isfinite(value):
            raise UserError(f"{self.arch}.{key} = {value!r:.40} must be a number")
        return float(str(np.float32(value))) if isinstance(value, float) else value  # 1e-6 again, not 9.99999997e-07

    def whole(self, key: str, default: int | None = None) -> int:
        return int(self.number(key, default))

    def check_rest(self) -> None:
        """UserError for a key that nothing here has asked for and that does not say that it changes nothing."""
        for key, value in self.given.items():
            neutral = value in NEUTRAL.get(key, ()) or value in (0, False, "", [])
            if key == WINDOW and not neutral and key not in self.asked:
                warn(f"{self.arch}.{key} = {value!r:.40}: no {self.arch} model is windowed in llama.cpp; ignored")
            elif key not in self.asked and key not in HARMLESS and not neutral:
                raise UserError(f"{self.arch}.{key} = {value!r:.60} cannot be honored; nothing here does as it says")


def _rotary(keys: _Keys) -> dict[str, Any]:
    """Base and scaling. A factor without a type is linear, and there is an old key for it."""
    found: dict[str, Any] = {"rope_theta": keys.number("rope.freq_base", 10_000.0)}
    kind = keys.get("rope.scaling.type", "linear")
    factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 0.0)) or 1.0
    if kind not in ("none", "linear"):
        raise UserError(f"{keys.arch}.rope.scaling.type = {kind!r:.40} cannot be honored; none and linear can")
    return found if kind == "none" or factor == 1 else found | {"rope_scaling": "linear", "rope_factor": factor}


def _gemma(keys: _Keys, family: str, sizes: Mapping[str, Any], head_dim: int) -> dict[str, Any]:
    """Windows, soft caps and scales of Gemma 2 and 3."""
    second = family == "gemma2"
    layers = sizes["n_layers"]
    found: dict[str, Any] = {
        "attention_scale": gemma_scale(family, layers, sizes["d_model"], sizes["n_heads"], head_dim)
    }
    found["logit_softcap"] = keys.number("final_logit_softcapping", 30.0 if second else 0.0)
    if second:
        found["attention_softcap"] = keys.number("attn_logit_softcapping", 50.0)
    window = keys.whole(WINDOW, GEMMA2_WINDOW if second else 0)
    local = keys.number("rope.freq_base_swa", sizes["rope_theta"] if second else GEMMA3_LOCAL_THETA)
    every = keys.get(PATTERN, GEMMA2_EVERY if second else GEMMA3_EVERY)
    if isinstance(every, list):
        full = [i + 1 for i, windowed in enumerate(every[:layers]) if not windowed]
        every = full[0] if full else 0
        if (
            len(full) != (layers // every if every else 0)
            or full != list(range(every, layers + 1, every or 1))[: len(full)]
        ):
            raise UserError(f"{keys.arch}.{PATTERN} follows no rhythm, which cannot be honored")
    if not window or every == 1:
        return found
    found |= {"window": window, "global_every": int(every)}
    if second and keys.get("rope.scaling.type", "linear") == "none" and keys.number("rope.scaling.factor", 0.0) > 1:
        raise UserError(
            f"{keys.arch}.rope.scaling.factor beside the type none cannot be honored; leave out one of them"
        )
    if second and local == sizes["rope_theta"]:
        return found
    if second and "rope_scaling" in sizes:
        raise UserError(f"{keys.arch}.rope.freq_base_swa beside a scaling cannot be honored; leave out one of them")
    return found | {"rope_local_theta": local}


def gemma_scale(family: str, layers: int, width: int, heads: int, head_dim: int) -> float:
    """What q · k is multiplied by: llama.cpp knows the largest models, which differ, by their number of layers."""
    return (width // heads if layers == GEMMA_LARGEST[family] else head_dim) ** -0.5


def with_factors(config: DecoderConfig, factors: Tensor, original: int) -> DecoderConfig:
    """The configuration whose frequencies are divided by these factors, if it is one of Llama 3's.

    The slowest frequency is divided by the whole factor. `original` is the context before it was stretched.
    """
    if factors.shape == (config.dim_per_head // 2,) and factors.isfinite().all() and factors.max() >= 1:
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
    family = huggingface.family_of(config := _unhidden(config))
    known = {theirs: arch for arch, theirs in ARCHITECTURES.items()}
    if family not in known:
        raise UserError(f"GGUF files have no architecture for a {family} model; write a Hugging Face folder")
    if config.mlp != huggingface.FAMILIES[family]["mlp"]:
        usual = huggingface.FAMILIES[family]["mlp"]
        raise UserError(
            f"mlp = {config.mlp!r} has no form in GGUF; write a Hugging Face folder, or train with mlp = {usual!r}"
        )
    if family in GEMMA_LARGEST:
        scale = gemma_scale(family, config.n_layers, config.d_model, config.n_heads, config.dim_per_head)
        if abs((config.attention_scale or config.dim_per_head**-0.5) / scale - 1) > 1e-6:
            raise UserError(f"attention_scale = {config.attention_scale:.4g} has no word in GGUF; only {scale:.4g} has")
    if config.window and family not in GEMMA_LARGEST:
        raise UserError(f"window = {config.window} has no word in the GGUF file of a {family} model")
    if family == "gemma2" and not config.attention_softcap:
        raise UserError("attention_softcap = 0 has no word in the GGUF file of a gemma2 model, which always has one")
    if config.rope_local_factor != 1:
        raise UserError(
            f"rope_local_factor = {config.rope_local_factor} has no word in GGUF; write a Hugging Face folder"
        )
    if config.rope_scaling == "llama3":
        try:
            with_factors(config, rope_factors(config), config.rope_original)
        except UserError:
            raise UserError(
                f"rope_scaling = llama3 with rope_low = {config.rope_low}, rope_high = {config.rope_high} and "
                f"rope_original = {config.rope_original} has no word in GGUF that could be read again"
            ) from None
    return known[family]


def _unhidden(config: DecoderConfig) -> DecoderConfig:
    """Without a window as long as the context, which hides nothing, and for which few architectures have a word."""
    if config.rope_local_theta or config.window < config.max_positions:
        return config
    return replace(config, window=0, global_every=0)


def metadata_of(config: DecoderConfig) -> dict[str, Any]:
    """What the file says of the decoder, architecture first."""
    arch = architecture_of(config := _unhidden(config))
    gpt = arch == "gpt2"
    found: dict[str, Any] = {
        "context_length": config.max_positions, "embedding_length": config.d_model, "block_count": config.n_layers,
        "feed_forward_length": config.d_ff, "attention.head_count": config.n_heads,
        "attention.head_count_kv": config.n_kv_heads, "vocab_size": config.vocab,
        f"attention.layer_norm_{'' if gpt else 'rms_'}epsilon": config.norm_eps,
    }  # fmt: skip
    if not gpt:
        found |= {
            "rope.freq_base": config.rope_theta, "rope.dimension_count": config.dim_per_head,
            "attention.key_length": config.dim_per_head, "attention.value_length": config.dim_per_head,
        }  # fmt: skip
    if config.rope_scaling == "linear":
        found |= {"rope.scaling.type": "linear", "rope.scaling.factor": config.rope_factor}
    if config.rope_scaling == "llama3":
        found[ORIGINAL] = config.rope_original
    if config.window:
        found[WINDOW] = config.window
    if arch in ("gemma2", "gemma3"):
        found[PATTERN] = config.global_every if config.window else 1
    if config.rope_local_theta:
        found["rope.freq_base_swa"] = config.rope_local_theta
    for key, value in (("attn", config.attention_softcap), ("final", config.logit_softcap)):
        if value or arch == "gemma2":  # which has one where its file says nothing
            found[f"{key}_logit_softcapping"] = value
    return {"general.architecture": arch} | {f"{arch}.{key}": value for key, value in found.items()}


def weight_map(config: DecoderConfig, arch: str) -> dict[str, MappedTensor]:
    """For each tensor of a decoder, where a GGUF file keeps it."""
    table = NAMES | (SANDWICH if config.block == "sandwich" else {})
    found = {}
    for ours, source in huggingface.weight_map(config, ARCHITECTURES[arch]).items():
        interleaved = (config.n_heads, config.n_kv_heads, 0) if arch == "llama" and "qkv" in ours else ()
        found[ours] = MappedTensor(tuple(_name(name, table) for name in source.names), source.rows, False, interleaved)
    return found


def _name(theirs: str, table: Mapping[str, str]) -> str:
    stem, _, kind = theirs.rpartition(".")
    for before in ("model.layers.", "transformer.h."):
        if stem.startswith(before):
            layer, _, part = stem.removeprefix(before).partition(".")
            return f"blk.{layer}.{table[part]}.{kind}"
    return f"{table[stem]}.{kind}"


def fill(decoder: Decoder, arch: str, shapes: Mapping[str, Shape], read: ReadTensor, where: str) -> None:
    """Copy a file's tensors into our decoder; UserError as `copy_in`."""
    copy_in(decoder, weight_map(decoder.config, arch), _weights(shapes), read, where)


def check(decoder: Decoder, arch: str, shapes: Mapping[str, Shape], where: str) -> None:
    """UserError unless a file's tensors would fill our decoder, which may be without memory."""
    check_shapes(decoder, weight_map(decoder.config, arch), _weights(shapes), where)


def _weights(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    return {name: shape for name, shape in shapes.items() if name != ROPE_FREQS}


def tensors_to(decoder: Decoder, arch: str) -> dict[str, Tensor]:
    """A file's tensors, cut from ours."""
    found = cut_out(decoder, weight_map(decoder.config, arch), "plain")
    if decoder.config.rope_scaling == "llama3":
        found[ROPE_FREQS] = rope_factors(decoder.config)
    return found
