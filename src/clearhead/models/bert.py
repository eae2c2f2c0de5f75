"""Hugging Face's names for what an encoder is made of: config.json <-> EncoderConfig, their tensors <-> ours.

BERT, RoBERTa, XLM-RoBERTa and DistilBERT are one encoder with other names. Heads of other tasks are refused; the one
that predicts the next sentence, which only BERT's pretraining used, is told and left out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from clearhead.errors import UserError, warn
from clearhead.models.encoder import Activation, Encoder, EncoderConfig
from clearhead.models.families import ENCODERS, TANH, cannot, filled
from clearhead.models.weight_map import MappedTensor, ReadTensor, Shape, copy_in, cut_rows

ACTIVATIONS: dict[str, Activation] = {"gelu": "exact_gelu", "relu": "relu", **dict.fromkeys(TANH, "gelu")}
NEXT_SENTENCE = "cls.seq_relationship."
# Tables that follow from the configuration, and what is a name for another tensor.
SILENT = re.compile(r"position_ids$|^(cls\.predictions\.decoder|lm_head\.decoder)\.bias$")
OLD_NORM = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))


@dataclass(frozen=True)
class Names:
    """What a family calls its parts. `layer` is a pattern of the number; the rest lies below it or outside."""

    prefix: str
    layer: str
    qkv: tuple[str, str, str]
    out: str
    attention_norm: str
    up: str
    down: str
    mlp_norm: str
    head_dense: str
    head_norm: str
    head_bias: str
    head_out: str


_BERT_LAYER = {
    "layer": "encoder.layer.{}.", "out": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense", "down": "output.dense", "mlp_norm": "output.LayerNorm",
}  # fmt: skip
_BERT_QKV = ("attention.self.query", "attention.self.key", "attention.self.value")
_ROBERTA = Names(
    prefix="roberta.", qkv=_BERT_QKV, head_dense="lm_head.dense", head_norm="lm_head.layer_norm",
    head_bias="lm_head.bias", head_out="lm_head.decoder", **_BERT_LAYER,
)  # fmt: skip
NAMES = {
    "bert": Names(
        prefix="bert.", qkv=_BERT_QKV, head_dense="cls.predictions.transform.dense",
        head_norm="cls.predictions.transform.LayerNorm", head_bias="cls.predictions.bias",
        head_out="cls.predictions.decoder", **_BERT_LAYER,
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "distilbert": Names(
        prefix="distilbert.", layer="transformer.layer.{}.",
        qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"), out="attention.out_lin",
        attention_norm="sa_layer_norm", up="ffn.lin1", down="ffn.lin2", mlp_norm="output_layer_norm",
        head_dense="vocab_transform", head_norm="vocab_layer_norm", head_bias="vocab_projector.bias",
        head_out="vocab_projector",
    ),
}  # fmt: skip


def config_from(plain: Mapping[str, Any], tensors: Iterable[str]) -> EncoderConfig:
    """The encoder that a config.json describes, with the parts whose tensors are there. UserError: what we lack."""
    try:
        told = filled(plain, ENCODERS)
        sizes = _distilbert_sizes(told) if told["model_type"] == "distilbert" else _bert_sizes(told)
        return EncoderConfig(
            **sizes, **_parts(str(told["model_type"]), set(tensors), bool(told["tie_word_embeddings"]))
        )
    except UserError as wrong:
        raise UserError(f"config.json: {wrong}") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError) as wrong:
        raise UserError(f"config.json has a value of the wrong kind: {wrong}") from None


def _bert_sizes(told: Mapping[str, Any]) -> dict[str, Any]:
    mlp = _activation("hidden_act", told["hidden_act"])
    roberta = told["model_type"] != "bert"
    return {
        "vocab": int(told["vocab_size"]), "d_model": int(told["hidden_size"]),
        "n_layers": int(told["num_hidden_layers"]), "n_heads": int(told["num_attention_heads"]),
        "d_ff": int(told["intermediate_size"]), "max_positions": int(told["max_position_embeddings"]),
        "token_types": int(told["type_vocab_size"]), "norm_eps": float(told["layer_norm_eps"]), "mlp": mlp,
        "head_mlp": "exact_gelu" if roberta else mlp,  # whatever the layers have
        "first_position": int(told["pad_token_id"]) + 1 if roberta else 0,
    }  # fmt: skip


def _distilbert_sizes(told: Mapping[str, Any]) -> dict[str, Any]:
    mlp = _activation("activation", told["activation"])
    return {
        "vocab": int(told["vocab_size"]), "d_model": int(told["dim"]), "n_layers": int(told["n_layers"]),
        "n_heads": int(told["n_heads"]), "d_ff": int(told["hidden_dim"]),
        "max_positions": int(told["max_position_embeddings"]), "mlp": mlp, "head_mlp": mlp,
    }  # fmt: skip


def _activation(key: str, value: Any) -> Activation:
    if value not in ACTIVATIONS:
        cannot(key, value, " and ".join(ACTIVATIONS))
    return ACTIVATIONS[value]


def _parts(family: str, tensors: set[str], tied: bool) -> dict[str, Any]:
    names = NAMES[family]
    there = {name.removeprefix(names.prefix) for name in map(_renewed, tensors)}
    head = names.head_bias in there
    return {
        "pooler": "pooler.dense.weight" in there,
        "masked_head": head,
        "tied": tied or not head or f"{names.head_out}.weight" not in there,
    }


def config_to(config: EncoderConfig, pad_id: int = 0) -> dict[str, Any]:
    """config.json of a BERT, without what only the tokenizer knows. UserError for what only RoBERTa has."""
    if config.first_position or (config.masked_head and config.head_mlp != config.mlp):
        raise UserError("an encoder with RoBERTa's positions is written as it was read; keep its folder")
    act = next(name for name, ours in ACTIVATIONS.items() if ours == config.mlp)
    return {
        "model_type": "bert", "architectures": ["BertForMaskedLM" if config.masked_head else "BertModel"],
        "vocab_size": config.vocab, "hidden_size": config.d_model, "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads, "intermediate_size": config.d_ff, "hidden_act": act,
        "max_position_embeddings": config.max_positions, "type_vocab_size": max(1, config.token_types),
        "layer_norm_eps": config.norm_eps, "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0, "tie_word_embeddings": config.tied, "pad_token_id": pad_id,
    }  # fmt: skip


def weight_map(config: EncoderConfig, family: str) -> dict[str, MappedTensor]:
    """For each tensor of an encoder of this family, where Hugging Face keeps it."""
    D, names = config.d_model, NAMES[family]
    found: dict[str, MappedTensor] = {}

    def put(ours: str, theirs: str | tuple[str, ...], rows: int) -> None:
        for kind in ("weight", "bias"):
            several = (theirs,) if isinstance(theirs, str) else theirs
            found[f"{ours}.{kind}"] = MappedTensor(tuple(f"{name}.{kind}" for name in several), (rows,) * len(several))

    tables = {"embed": ("word", config.vocab), "pos_embed": ("position", config.max_positions)}
    tables |= {"type_embed": ("token_type", config.token_types)} if config.token_types else {}
    for ours, (theirs, rows) in tables.items():
        found[f"{ours}.weight"] = MappedTensor((f"{names.prefix}embeddings.{theirs}_embeddings.weight",), (rows,))
    put("embed_norm", f"{names.prefix}embeddings.LayerNorm", D)
    for i in range(config.n_layers):
        ours, theirs = f"blocks.{i}", names.prefix + names.layer.format(i)
        put(f"{ours}.attention.qkv", tuple(theirs + name for name in names.qkv), D)
        put(f"{ours}.attention.out", theirs + names.out, D)
        put(f"{ours}.attention_norm", theirs + names.attention_norm, D)
        put(f"{ours}.mlp.up", theirs + names.up, config.d_ff)
        put(f"{ours}.mlp.down", theirs + names.down, D)
        put(f"{ours}.mlp_norm", theirs + names.mlp_norm, D)
    if config.pooler:
        put("pooler", f"{names.prefix}pooler.dense", D)
    if config.masked_head:
        put("head.dense", names.head_dense, D)
        put("head.norm", names.head_norm, D)
        found["head.bias"] = MappedTensor((names.head_bias,), (config.vocab,))
        if not config.tied:
            found["head.out.weight"] = MappedTensor((f"{names.head_out}.weight",), (config.vocab,))
    return found


def fill(encoder: Encoder, family: str, shapes: Mapping[str, Shape], read: ReadTensor, where: str) -> None:
    """Copy their tensors into our encoder; UserError as `weight_map.copy_in`.

    A file of the encoder alone lacks the prefix of names that one with a head has; old files call norm weights gamma.
    """
    config, prefix = encoder.config, NAMES[family].prefix
    stored = {_renewed(name): name for name in shapes}
    bare = not any(name.startswith(prefix) for name in stored)
    mapping = weight_map(config, family)
    if bare:
        mapping = {ours: _bare(source, prefix) for ours, source in mapping.items()}
    own_bias = f"{NAMES[family].head_out}.bias"  # of a head that is not the embedding; else another name of the one
    if not config.tied and own_bias in stored:
        mapping["head.bias"] = MappedTensor((own_bias,), (config.vocab,))
    expected = {name for source in mapping.values() for name in source.names}
    if left := [name for name in stored if name.startswith(NEXT_SENTENCE)]:
        warn(f"{where}: {left[0]} predicts whether sentences follow each other, which nothing here asks; left out")
    needless = {name for name in stored if SILENT.search(name)} | set(left)
    needless |= {f"{NAMES[family].head_out}.weight"} if config.tied else {NAMES[family].head_bias}
    known = {name: shapes[old] for name, old in stored.items() if name in expected or name not in needless}
    copy_in(encoder, mapping, known, lambda name: read(stored[name]), where)


def _bare(source: MappedTensor, prefix: str) -> MappedTensor:
    return MappedTensor(tuple(name.removeprefix(prefix) for name in source.names), source.rows)


def _renewed(name: str) -> str:
    for old, new in OLD_NORM:
        name = name.replace(old, new)
    return name


def tensors_to(encoder: Encoder, family: str = "bert") -> dict[str, Tensor]:
    """Their tensors, cut from ours; a table of one row of zeros where BERT needs token types and we have none."""
    state = dict(encoder.named_parameters())
    found: dict[str, Tensor] = {}
    for ours, source in weight_map(encoder.config, family).items():
        found |= cut_rows(state[ours].detach(), source)
    if not encoder.config.tied:
        found[f"{NAMES[family].head_out}.bias"] = found[NAMES[family].head_bias].clone()
    types = f"{NAMES[family].prefix}embeddings.token_type_embeddings.weight"
    if family == "bert" and types not in found:
        found[types] = encoder.embed.weight.new_zeros(1, encoder.config.d_model)
    return found
