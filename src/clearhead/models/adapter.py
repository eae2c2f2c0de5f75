"""LoRA updates in files as PEFT has them: adapter_model.safetensors and adapter_config.json.

Theirs names a module of a Hugging Face model, ours a part of a fused matrix. Where their matrix is the fused one, as in
GPT-2, the updates of our n parts are one of rank n r: their A's one below the other, their B's along the diagonal.
Deliberately not here: other kinds of adapters; a file that asks for one is refused.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from clearhead.errors import UserError
from clearhead.formats.safetensors import pickled
from clearhead.models.decoder import Decoder, DecoderConfig
from clearhead.models.huggingface import family_of, weight_map
from clearhead.nn.lora import LoraConfig, LoraLinear, merged, target_modules

TENSORS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."
FACTORS = re.compile(re.escape(PREFIX) + r"(.+)\.lora_([AB])\.weight")
PICKLE = "adapter_model.bin"
# Ways to begin that leave the base as it is; all others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) change its weights.
BEGINNINGS = (True, False, None, "true", "false", "gaussian", "orthogonal", "eva", "mica")
USED = {
    "peft_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "rank_pattern", "alpha_pattern",
    "use_rslora", "init_lora_weights", "bias",
}  # fmt: skip
MOST_LOOPS = 6  # in an expression for names of modules
HARMLESS = {  # of training, of the file, or what the tensors' own names say
    "task_type", "auto_mapping", "peft_version", "inference_mode", "target_modules", "exclude_modules", "lora_dropout",
    "fan_in_fan_out", "layers_to_transform", "layers_pattern", "megatron_core", "eva_config", "corda_config",
    "lora_ga_config", "loftq_config", "runtime_config", "qalora_group_size", "ensure_weight_tying",
}  # fmt: skip


class Theirs(NamedTuple):
    """One matrix in Hugging Face's naming: the rows of ours that it is."""

    name: str
    rows: slice


def family_or_llama(config: DecoderConfig) -> str:
    """The family whose names to use; a decoder that belongs to none is named as a Llama, for ourselves to read."""
    try:
        return family_of(config)
    except UserError:
        return "llama"


def their_parts(config: DecoderConfig, family: str, ours: str) -> Iterator[Theirs]:
    """The matrices that our matrix `ours`, such as blocks.0.attention.qkv, is made of."""
    source = weight_map(config, family)[f"{ours}.weight"]
    names, sizes = source.names, source.rows
    if not config.gated and len(names) == 2:  # a Llama's gate, which this decoder does without
        names, sizes = names[1:], sizes[1:]
    start = 0
    for name, size in zip(names, sizes, strict=True):
        yield Theirs(name.removesuffix(".weight"), slice(start, start + size))
        start += size


def tensors_of(decoder: Decoder) -> dict[str, Tensor]:
    """All updates under PEFT's names."""
    family = family_or_llama(decoder.config)
    found: dict[str, Tensor] = {}
    for target in target_modules(decoder):
        layer = getattr(target.module, target.attribute)
        if not isinstance(layer, LoraLinear):
            continue
        for theirs in their_parts(decoder.config, family, target.name):
            names = [n for n in layer.a if theirs.rows.start <= layer.rows[n].start < theirs.rows.stop]
            if names:
                b = _placed([(layer.b[n].detach(), layer.rows[n]) for n in names], theirs.rows)
                found[f"{PREFIX}{theirs.name}.lora_A.weight"] = torch.cat([layer.a[n].detach() for n in names])
                found[f"{PREFIX}{theirs.name}.lora_B.weight"] = b
    return {name: tensor.float().cpu().contiguous() for name, tensor in found.items()}


def _placed(parts: list[tuple[Tensor, slice]], rows: slice) -> Tensor:
    """Each B in its own rows and its own columns; nothing where they meet others'."""
    rank = sum(b.shape[1] for b, _ in parts)
    whole = parts[0][0].new_zeros(rows.stop - rows.start, rank)
    column = 0
    for b, own in parts:
        whole[own.start - rows.start : own.stop - rows.start, column : column + b.shape[1]] = b
        column += b.shape[1]
    return whole


def config_of(decoder: Decoder, lora: LoraConfig, base: str) -> dict[str, Any]:
    """adapter_config.json for these updates of the model that `base` names."""
    family = family_or_llama(decoder.config)
    ranks: dict[str, int] = {}
    for name, tensor in tensors_of(decoder).items():
        if name.endswith("lora_A.weight"):
            module = ".".join(name.removesuffix(".lora_A.weight").split(".")[-2:])  # such as self_attn.q_proj
            ranks[module] = tensor.shape[0]
    unusual = {module: rank for module, rank in ranks.items() if rank != lora.rank}
    return {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": lora.rank,
        "lora_alpha": lora.alpha, "lora_dropout": lora.dropout, "target_modules": sorted(ranks), "bias": "none",
        "rank_pattern": unusual, "alpha_pattern": {module: lora.scale * rank for module, rank in unusual.items()},
        "fan_in_fan_out": family in ("gpt2", "openai-gpt"), "inference_mode": True, "init_lora_weights": True,
        "use_dora": False, "use_rslora": False, "modules_to_save": None,
    }  # fmt: skip


def apply_adapter(decoder: Decoder, folder: Path) -> None:
    """Merge the updates of a PEFT folder into the decoder. UserError, and nothing changed, if they do not fit."""
    config = read_config(folder)
    updates = _read_updates(folder)
    weights, family = dict(decoder.named_parameters()), family_or_llama(decoder.config)
    new: list[tuple[Tensor, Tensor]] = []
    for target in target_modules(decoder):
        for theirs in their_parts(decoder.config, family, target.name):
            if theirs.name not in updates:
                continue
            if not _asked_for(config, theirs.name):
                raise UserError(
                    f"{folder}: it holds an update of {theirs.name}, which its {CONFIG} does not ask for "
                    "(target_modules, exclude_modules, layers_to_transform); get the adapter again"
                )
            a, b = updates.pop(theirs.name)
            rows = weights[f"{target.name}.weight"].detach()[theirs.rows]
            if a.ndim != 2 or b.shape != (rows.shape[0], a.shape[0]) or a.shape[1] != rows.shape[1]:
                raise UserError(
                    f"{folder}: the update of {theirs.name} is {tuple(b.shape)} x {tuple(a.shape)}, but the matrix is "
                    f"{tuple(rows.shape)}; it was made for another model"
                )
            new.append((rows, merged(rows, a.to(rows.device), b.to(rows.device), _scale(config, theirs.name, len(a)))))
    if updates:
        raise UserError(
            f"{folder}: the model has no matrix {min(updates)} that could be updated; take the model it names"
        )
    for rows, value in new:
        rows.copy_(value)


def read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json; UserError for what is no LoRA, or LoRA with something that is not read here."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}; get it again") from None
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise UserError(f"{path}: peft_type = {kind!r:.40} cannot be honored; only LORA can")
    wrong = [
        key for key, value in config.items() if key not in USED | HARMLESS and value not in (None, False, 0, "", [], {})
    ]
    if config.get("bias", "none") != "none":
        wrong.append("bias")
    if config.get("init_lora_weights", True) not in BEGINNINGS:
        wrong.append("init_lora_weights")
    if wrong:
        key = wrong[0]
        why = "it changed the weights that it was trained on" if key == "init_lora_weights" else "it is more than LoRA"
        raise UserError(
            f"{path}: {key} = {config[key]!r:.60} cannot be honored, since {why}; merge the adapter where it was made"
        )
    return config


def _read_updates(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    path = folder / TENSORS
    if not path.is_file() and (folder / PICKLE).is_file():
        raise UserError(pickled(folder / PICKLE))
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}; get it again") from None
    factors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        told = FACTORS.fullmatch(name)
        if told is None:
            raise UserError(f"{path}: the tensor {name} belongs to no LoRA update of a matrix; it cannot be read here")
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise UserError(f"{path}: {name} holds {kind} numbers, which are no weights; get it in floats")
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{path}: {name} holds numbers that are not finite; get the file again")
        factors.setdefault(told[1], {})[told[2]] = tensor
    halves = [name for name, both in factors.items() if len(both) != 2]
    if halves or not factors:
        raise UserError(
            f"{path} holds {f'only half of the update of {halves[0]}' if halves else 'nothing'}; get it again"
        )
    return {name: (both["A"], both["B"]) for name, both in factors.items()}


def _asked_for(config: Mapping[str, Any], name: str) -> bool:
    """Whether the configuration lets this module have an update, as far as it says so in simple words."""
    targets, layers = config.get("target_modules"), config.get("layers_to_transform")
    left_out, layer = config.get("exclude_modules"), re.search(r"\.(\d+)\.", name)
    if isinstance(targets, str):
        targeted = targets == "all-linear" or not _is_simple(targets) or re.fullmatch(targets, name) is not None
    else:
        targeted = not targets or _is_among(name, targets)
    if layers is not None and layer is not None:
        targeted &= int(layer[1]) in (layers if isinstance(layers, list) else [layers])
    return targeted and not (isinstance(left_out, list) and _is_among(name, left_out))


def _is_among(name: str, modules: Iterable[Any]) -> bool:
    return any(name == module or name.endswith(f".{module}") for module in modules)


def _is_simple(pattern: str) -> bool:
    """Whether a stranger's expression is one, and takes no long time on the name of a module."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return (
        len(pattern) <= 1000 and len(re.findall(r"[*+{]", pattern)) <= MOST_LOOPS and not re.search(r"\)[*+{]", pattern)
    )


def _of_module(config: Mapping[str, Any], key: str, patterns: str, usual: int, name: str) -> Any:
    """A value, or what the first pattern that fits a module's name sets for it."""
    given = config.get(patterns) or {}
    if wrong := [pattern for pattern in given if not _is_simple(pattern)]:
        raise UserError(f"{CONFIG}: {patterns} has {wrong[0]!r:.60}, which is no simple expression; name modules in it")
    fits = next((pattern for pattern in given if re.match(rf"(.*\.)?({pattern})$", name)), None)
    return config.get(key, usual) if fits is None else given[fits]


def _scale(config: Mapping[str, Any], name: str, rank: int) -> float:
    """alpha / rank, or alpha / √rank for rank-stabilized updates (Kalajdzievski 2023); a pattern may set a module's."""
    alpha, r = (
        _of_module(config, *keys, name) for keys in (("lora_alpha", "alpha_pattern", 8), ("r", "rank_pattern", 8))
    )
    if r != rank:
        raise UserError(f"{CONFIG}: r = {r!r:.40}, but the update of {name} has rank {rank}; get the adapter again")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not abs(alpha) < 1e30:
        raise UserError(f"{CONFIG}: lora_alpha = {alpha!r:.40} is no number; get the file again")
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank
