"""T5, BART and Marian: config.json <-> EncoderDecoderConfig, their tensors <-> ours.

What a family fixes and every key with its default are in families.py. What neither side can express is refused.
Deliberately not here: files (formats) and tokenizers (text).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import UserError
from clearhead.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from clearhead.models.families import ARCHITECTURES, ENCODER_DECODERS, cannot, filled
from clearhead.models.weight_map import MappedTensor, ReadTensor, Shape, check_shapes, copy_in

BART_ACTIVATIONS: dict[str, Any] = {
    "gelu": "exact_gelu", "gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu", "silu": "silu",
    "swish": "silu",
}  # fmt: skip
T5_ACTIVATIONS: dict[str, Any] = {
    **BART_ACTIVATIONS, "gated-gelu": "geglu", "gated-gelu_new": "geglu", "gated-gelu_pytorch_tanh": "geglu",
    "gated-silu": "swiglu", "gated-swish": "swiglu", "gated-relu": "reglu",
}  # fmt: skip
OFFSET = 2  # rows of BART's table of positions before the first position's
HEAD = "lm_head.weight"
BIAS = "final_logits_bias"
POSITIONS = "embed_positions.weight"
BART_PARTS = {
    "self": "self_attn", "end": "_proj", "out": "out_proj", "self_norm": "self_attn_layer_norm",
    "cross": "encoder_attn", "cross_norm": "encoder_attn_layer_norm", "up": "fc1", "down": "fc2",
    "mlp_norm": "final_layer_norm",
}  # fmt: skip
DUPLICATES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")  # of the one table


def is_pair_family(plain: Mapping[str, Any]) -> bool:
    """Whether a config.json is of an encoder-decoder that is read here."""
    return str(plain.get("model_type")) in ENCODER_DECODERS


def config_from(plain: Mapping[str, Any]) -> EncoderDecoderConfig:
    """The configuration that a config.json stands for. UserError for what cannot be honored."""
    told = filled(plain, ENCODER_DECODERS)
    family = str(plain["model_type"])
    try:
        return _t5(told) if family == "t5" else _bart(told, family)
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"config.json: a setting has a value of another kind ({error}); get the file again") from None


def _t5(told: Mapping[str, Any]) -> EncoderDecoderConfig:
    act = told["feed_forward_proj"]
    if act not in T5_ACTIVATIONS:
        cannot("feed_forward_proj", act, ", ".join(T5_ACTIVATIONS))
    layers, later, scaled = int(told["num_layers"]), told["num_decoder_layers"], told["scale_decoder_outputs"]
    return EncoderDecoderConfig(
        int(told["vocab_size"]), int(told["d_model"]), layers, layers if later is None else int(later),
        int(told["num_heads"]), int(told["d_ff"]), mlp=T5_ACTIVATIONS[act],
        norm_eps=float(told["layer_norm_epsilon"]), tied=True, start=_start(told), head_dim=int(told["d_kv"]),
        relative_buckets=int(told["relative_attention_num_buckets"]),
        relative_distance=int(told["relative_attention_max_distance"]),
        head_scale=told["tie_word_embeddings"] is not False if scaled is None else bool(scaled),
        **ENCODER_DECODERS["t5"],
    )  # fmt: skip


def _bart(told: Mapping[str, Any], family: str) -> EncoderDecoderConfig:
    act = told["activation_function"]
    if act not in BART_ACTIVATIONS:
        cannot("activation_function", act, ", ".join(BART_ACTIVATIONS))
    for key in ("attention_heads", "ffn_dim"):
        if told[f"decoder_{key}"] != told[f"encoder_{key}"]:
            cannot(f"decoder_{key}", told[f"decoder_{key}"], f"{told[f'encoder_{key}']}, as the encoder has it,")
    if told.get("decoder_vocab_size") not in (None, told["vocab_size"]):
        cannot("decoder_vocab_size", told["decoder_vocab_size"], f"{told['vocab_size']}, one for both sides,")
    if told["tie_word_embeddings"] is False:
        cannot("tie_word_embeddings", False, "true")
    return EncoderDecoderConfig(
        int(told["vocab_size"]), int(told["d_model"]), int(told["encoder_layers"]), int(told["decoder_layers"]),
        int(told["encoder_attention_heads"]), int(told["encoder_ffn_dim"]), int(told["max_position_embeddings"]),
        mlp=BART_ACTIVATIONS[act], start=_start(told), embed_scale=bool(told["scale_embedding"]), head_bias=True,
        **ENCODER_DECODERS[family],
    )  # fmt: skip


def _start(told: Mapping[str, Any]) -> int:
    """What a target begins with; the padding, where that is not said."""
    start = told["decoder_start_token_id"]
    return int(told["pad_token_id"] if start is None else start)


def family_of(config: EncoderDecoderConfig) -> str:
    """The family that can hold this model; UserError says what none has."""
    told = []
    for family, fixed in ENCODER_DECODERS.items():
        gaps = [f"{key} = {getattr(config, key)!r}" for key, value in fixed.items() if getattr(config, key) != value]
        acts = T5_ACTIVATIONS if family == "t5" else BART_ACTIVATIONS
        if config.mlp not in acts.values():
            gaps.append(f"mlp = {config.mlp!r}")
        if family == "t5" and config.head_scale and not config.tied:
            gaps.append("tied = False")
        if family != "t5" and config.dim_per_head * config.n_heads != config.d_model:
            gaps.append(f"head_dim = {config.head_dim}")
        if not gaps:
            return family
        told.append((len(gaps), gaps))
    raise UserError(
        f"no Hugging Face family has an encoder-decoder with {' and '.join(min(told)[1])}; keep it as it is"
    )


def config_to(config: EncoderDecoderConfig) -> dict[str, Any]:
    """config.json, without what only the tokenizer knows."""
    family = family_of(config)
    acts = T5_ACTIVATIONS if family == "t5" else BART_ACTIVATIONS
    act = next(name for name, mlp in acts.items() if mlp == config.mlp)
    plain = {
        "model_type": family, "architectures": [ARCHITECTURES[family]], "is_encoder_decoder": True,
        "vocab_size": config.vocab, "d_model": config.d_model, "decoder_start_token_id": config.start,
    }  # fmt: skip
    if family == "t5":
        return plain | {
            "d_kv": config.dim_per_head, "d_ff": config.d_ff, "num_layers": config.encoder_layers,
            "num_decoder_layers": config.decoder_layers, "num_heads": config.n_heads,
            "relative_attention_num_buckets": config.relative_buckets,
            "relative_attention_max_distance": config.relative_distance, "layer_norm_epsilon": config.norm_eps,
            "feed_forward_proj": act, "tie_word_embeddings": config.head_scale, "dropout_rate": 0.0,
        }  # fmt: skip
    sizes = {
        f"{side}_{key}": value
        for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers))
        for key, value in (("layers", layers), ("attention_heads", config.n_heads), ("ffn_dim", config.d_ff))
    }
    return plain | sizes | {
        "activation_function": act, "scale_embedding": config.embed_scale,
        "max_position_embeddings": config.max_positions, "tie_word_embeddings": True, "dropout": 0.0,
    }  # fmt: skip


def weight_map(config: EncoderDecoderConfig, family: str) -> dict[str, MappedTensor]:
    """For each of our tensors, where Hugging Face keeps it."""
    found: dict[str, MappedTensor] = {}
    kinds = ("weight", "bias") if config.bias == "all" else ("weight",)
    D, F, HC = config.d_model, config.d_ff, config.n_heads * config.dim_per_head

    def put(ours: str, theirs: str | tuple[str, ...], rows: int, these: tuple[str, ...] = kinds) -> None:
        names = (theirs,) if isinstance(theirs, str) else theirs
        for kind in these:
            found[f"{ours}.{kind}"] = MappedTensor(tuple(f"{name}.{kind}" for name in names), (rows,) * len(names))

    t5 = family == "t5"
    prefix = "" if t5 else "model."
    put("embed", f"{prefix}shared", config.vocab, ("weight",))
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for i in range(layers):
            ours, theirs = f"{side}.{i}", f"{prefix}{side}.{'block' if t5 else 'layers'}.{i}"
            parts = _t5_parts(config, side) if t5 else BART_PARTS
            put(f"{ours}.attention.qkv", tuple(f"{theirs}.{parts['self']}.{x}{parts['end']}" for x in "qkv"), HC)
            put(f"{ours}.attention.out", f"{theirs}.{parts['self']}.{parts['out']}", D)
            for x in "qkv" if side == "decoder" else "":
                put(f"{ours}.cross.{x}", f"{theirs}.{parts['cross']}.{x}{parts['end']}", HC)
            if side == "decoder":
                put(f"{ours}.cross.out", f"{theirs}.{parts['cross']}.{parts['out']}", D)
                put(f"{ours}.cross_norm", f"{theirs}.{parts['cross_norm']}", D)
            put(f"{ours}.mlp.up", tuple(f"{theirs}.{name}" for name in parts["up"].split()), F)
            put(f"{ours}.mlp.down", f"{theirs}.{parts['down']}", D)
            put(f"{ours}.attention_norm", f"{theirs}.{parts['self_norm']}", D)
            put(f"{ours}.mlp_norm", f"{theirs}.{parts['mlp_norm']}", D)
        if t5:
            bias = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias"
            put(f"{side}_distance", bias, config.relative_buckets, ("weight",))
            put(f"{side}_norm", f"{side}.final_layer_norm", D)
        if config.positions == "learned":
            put(f"{side}_pos_embed", f"model.{side}.embed_positions", config.max_positions, ("weight",))
        if config.embed_norm:
            put(f"{side}_embed_norm", f"model.{side}.layernorm_embedding", D)
    if not config.tied:
        put("head", "lm_head", config.vocab, ("weight",))
    if config.head_bias:
        found["head_bias"] = MappedTensor((BIAS,), (config.vocab,))
    return found


def _t5_parts(config: EncoderDecoderConfig, side: str) -> dict[str, str]:
    last = 2 if side == "decoder" else 1
    mlp = f"layer.{last}.DenseReluDense"
    return {
        "self": "layer.0.SelfAttention",
        "end": "",
        "out": "o",
        "self_norm": "layer.0.layer_norm",
        "cross": "layer.1.EncDecAttention",
        "cross_norm": "layer.1.layer_norm",
        "up": f"{mlp}.wi_0 {mlp}.wi_1" if config.gated else f"{mlp}.wi",
        "down": f"{mlp}.wo",
        "mlp_norm": f"layer.{last}.layer_norm",
    }


def fitted(config: EncoderDecoderConfig, shapes: Mapping[str, Shape], read: ReadTensor) -> EncoderDecoderConfig:
    """The configuration with the head and its bias that the file has: what is in it is not dropped."""
    if config.head_bias and BIAS not in shapes:
        config = replace(config, head_bias=False)
    table = next((name for name in ("shared.weight", "model.shared.weight") if name in shapes), None)
    if table and HEAD in shapes and not (shapes[table] == shapes[HEAD] and torch.equal(read(table), read(HEAD))):
        config = replace(config, tied=False)
    return config


def check(model: EncoderDecoder, family: str, shapes: Mapping[str, Shape], where: str) -> None:
    """UserError unless their tensors would fill our model, which may be without memory."""
    mapping = weight_map(model.config, family)
    check_shapes(model, mapping, _needed(mapping, shapes, family), where)


def fill(model: EncoderDecoder, family: str, shapes: Mapping[str, Shape], read: ReadTensor, where: str) -> None:
    """Copy their tensors into our model; UserError as `copy_in`."""
    mapping = weight_map(model.config, family)

    def as_ours(name: str) -> Tensor:
        tensor = read(name)
        if family == "bart" and name.endswith(POSITIONS):
            return tensor[OFFSET:]
        return tensor[0] if name == BIAS else tensor

    copy_in(model, mapping, _needed(mapping, shapes, family), as_ours, where)


def _needed(mapping: Mapping[str, MappedTensor], shapes: Mapping[str, Shape], family: str) -> dict[str, Shape]:
    """The shapes that matter, as they are once they are ours; none of second names of the table and Marian's sines."""
    wanted = {name for source in mapping.values() for name in source.names}
    needless = {name for name in shapes if name.removeprefix("model.") in DUPLICATES or name == HEAD}
    needless |= {name for name in shapes if family == "marian" and name.endswith(POSITIONS)}
    found = {name: shape for name, shape in shapes.items() if name in wanted or name not in needless}
    for name, shape in found.items():
        if family == "bart" and name.endswith(POSITIONS):
            found[name] = (shape[0] - OFFSET, *shape[1:])
        elif name == BIAS:
            found[name] = tuple(shape[1:])
    return found


def tensors_to(model: EncoderDecoder, family: str) -> dict[str, Tensor]:
    """Their tensors, cut from ours."""
    state = {name: weight.detach() for name, weight in model.named_parameters()}
    found: dict[str, Tensor] = {}
    for ours, source in weight_map(model.config, family).items():
        for name, part in zip(source.names, state[ours].split(source.rows, 0), strict=True):
            tensor = part
            if family == "bart" and name.endswith(POSITIONS):
                tensor = torch.cat([part.new_zeros(OFFSET, part.shape[1]), part])
            found[name] = (tensor[None] if name == BIAS else tensor).contiguous()
    return found
