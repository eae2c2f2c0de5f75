"""What a model is, from its tables alone: no weight is read.

A model of a family that is not read here is described as far as its tensors tell, with the reason beside it.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from clearhead.checkpoints import own
from clearhead.checkpoints.load import hollow_decoder, json_object, locate
from clearhead.errors import UserError
from clearhead.formats.gguf import GGUF, is_gguf
from clearhead.formats.safetensors import PICKLE_SUFFIXES, Safetensors, header, pickled
from clearhead.models import gguf as llama_cpp
from clearhead.models import huggingface, pair_families
from clearhead.models.adapter import CONFIG as ADAPTER
from clearhead.models.adapter import TENSORS as ADAPTER_WEIGHTS
from clearhead.models.adapter import read_config
from clearhead.models.decoder import DecoderConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.text import load as text
from clearhead.text.chat import ChatTemplate
from clearhead.text.gguf_vocab import from_metadata
from clearhead.text.protocol import Tokenizer
from clearhead.text.subword import SubwordTokenizer
from clearhead.text.tokenizer import CharTokenizer
from clearhead.training import checkpoint


@dataclass(frozen=True)
class Stored:
    """A tensor in a file."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Inspection:
    """`form` is how it is stored, `architecture` the family's name; `config` is None where `refused` says why."""

    path: Path
    form: str
    architecture: str
    tensors: tuple[Stored, ...]
    config: DecoderConfig | None = None
    refused: str | None = None
    tokenizer: str | None = None
    vocabulary: int | None = None
    chat_template: bool = False
    weights: Path | None = None  # the file with the tensors, where it is not `path`
    encoder_decoder: bool = False

    @property
    def parameters(self) -> int:
        """A matrix that is both embedding and head counts once, whatever is stored."""
        return self.config.parameters if self.config else sum(tensor.numbers for tensor in self.tensors)

    @property
    def stored_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def dtypes(self) -> dict[str, tuple[int, int]]:
        """Of each type, the tensors and their bytes."""
        counts = Counter(tensor.dtype for tensor in self.tensors)
        return {
            dtype: (count, sum(tensor.nbytes for tensor in self.tensors if tensor.dtype == dtype))
            for dtype, count in counts.most_common()
        }


def cache_bytes(config: DecoderConfig, tokens: int, width: int) -> int:
    """Keys and values of a text of so many tokens, `width` bytes a number; a windowed layer needs its window alone."""
    held = (
        tokens if config.is_global(layer) or not config.window else min(tokens, config.window)
        for layer in range(config.n_layers)
    )
    return 2 * config.n_kv_heads * config.dim_per_head * width * sum(held)


def inspect(name: str) -> Inspection:
    """Everything that can be said of the model without reading it; UserError where there is none."""
    path = locate(name)
    if path.is_file():
        return _file(path)
    if own.is_own(path):
        return _run(path)
    if (path / "config.json").is_file():
        return _folder(path)
    if (path / ADAPTER).is_file():
        return _adapter(path)
    if len(files := sorted(path.glob("*.gguf"))) == 1:
        return _gguf(files[0])
    if any(path.glob("*.safetensors")):
        return Inspection(path, "safetensors", "unknown: no config.json beside it", _stored(Safetensors(path)))
    raise UserError(
        f"{name} is no model: neither a run's directory (config.toml), nor a folder with a config.json, nor a "
        ".safetensors or GGUF file; name one of these, or an id of the Hugging Face hub"
    )


def _file(path: Path) -> Inspection:
    if is_gguf(path):
        return _gguf(path)
    if path.suffix in PICKLE_SUFFIXES:
        raise UserError(pickled(path))
    if path.suffix != ".safetensors":
        raise UserError(f"{path} is neither a GGUF file nor a .safetensors file; name one, or a model's folder")
    return Inspection(path, "safetensors file", "unknown: name its folder to see", _stored(Safetensors(path)))


def _stored(file: Safetensors) -> tuple[Stored, ...]:
    return tuple(Stored(name, info.shape, info.dtype, info.nbytes) for name, info in file.tensors.items())


def _described(tokenizer: Tokenizer) -> tuple[str, int]:
    """Its kind in words, and its size."""
    if isinstance(tokenizer, CharTokenizer):
        return "characters", tokenizer.vocab_size
    assert isinstance(tokenizer, SubwordTokenizer)
    kind = type(tokenizer.backend.model).__name__
    return ("byte-level BPE" if kind == "BPE" and tokenizer.is_byte_level else kind), tokenizer.vocab_size


def _text(tokenizer: Callable[[], Tokenizer], template: Callable[[], ChatTemplate | None]) -> dict[str, Any]:
    """What tokenizer and chat template are, as far as they can be read."""
    found: dict[str, Any] = {}
    try:
        found["tokenizer"], found["vocabulary"] = _described(tokenizer())
    except UserError as error:
        found["tokenizer"] = f"none that can be read: {error}"
    try:
        found["chat_template"] = template() is not None
    except UserError:
        found["chat_template"] = False
    return found


def _run(path: Path) -> Inspection:
    files = own.found_in(path)
    if not files:
        raise UserError(f"{path} has no model yet; go on with `clearhead run --resume`")
    kind, file = next(iter(files.items()))
    config = own.decoder_config(file, checkpoint.describe(file)) if kind == "decoder" else None
    described, size = _described(own.load_tokenizer(path))
    return Inspection(
        path, "run", f"clearhead {kind}", _stored(Safetensors(file)), config,
        None if config else f"it has trained recurrent models alone ({', '.join(files)})", described, size,
        weights=file,
    )  # fmt: skip


def _folder(path: Path) -> Inspection:
    plain = json_object(path / "config.json")
    file, family = Safetensors(path), str(plain.get("model_type"))
    stored, config, refused = _stored(file), None, None
    try:
        shapes = {tensor.name: tensor.shape for tensor in stored}
        if pair_families.is_pair_family(plain):
            return _pair_folder(path, plain, stored, file)
        config = huggingface.with_own_head(huggingface.config_from(plain), family, shapes, file.read)
        huggingface.check(hollow_decoder(config, torch.float32), family, shapes, "it")
    except UserError as error:
        config, refused = None, str(error)
    words = _text(partial(text.load_tokenizer, path), partial(text.load_chat_template, path))
    return Inspection(
        path, "Hugging Face folder", str(plain.get("model_type", "unknown")), stored, config, refused, **words
    )


def _pair_folder(path: Path, plain: dict[str, Any], stored: tuple[Stored, ...], file: Safetensors) -> Inspection:
    """An encoder-decoder; UserError where it cannot be read."""
    shapes, family = {tensor.name: tensor.shape for tensor in stored}, str(plain["model_type"])
    config = pair_families.fitted(pair_families.config_from(plain), shapes, file.read)
    with torch.device("meta"):
        pair_families.check(EncoderDecoder(config), family, shapes, "it")
    words = _text(partial(text.load_tokenizer, path), partial(text.load_chat_template, path))
    told = f"{family}, an encoder of {config.encoder_layers} layers and a decoder of {config.decoder_layers}"
    return Inspection(path, "Hugging Face folder", told, stored, encoder_decoder=True, **words)


def _gguf(path: Path) -> Inspection:
    file = GGUF(path)
    stored = tuple(Stored(name, info.shape, info.dtype, info.nbytes) for name, info in file.tensors.items())
    shapes = {tensor.name: tensor.shape for tensor in stored}
    architecture = str(file.metadata.get("general.architecture", "unknown"))
    config, refused = None, None
    try:
        config = llama_cpp.config_from(file.metadata, shapes, lambda name: llama_cpp.as_tensor(file.read(name)))
        llama_cpp.check(hollow_decoder(config, torch.float32), architecture, shapes, "it")
    except UserError as error:
        config, refused = None, str(error)
    words = _text(partial(from_metadata, file.metadata), partial(text.chat_template_of, file.metadata))
    return Inspection(path, "GGUF file", architecture, stored, config, refused, **words)


def _adapter(path: Path) -> Inspection:
    told = read_config(path)
    tensors, _ = header(path / ADAPTER_WEIGHTS)
    stored = tuple(Stored(name, info.shape, info.dtype, info.nbytes) for name, info in tensors.items())
    base = told.get("base_model_name_or_path") or "an unnamed model"
    return Inspection(
        path, "adapter", f"LoRA of rank {told.get('r')} for {base}", stored, weights=path / ADAPTER_WEIGHTS
    )


def as_json(found: Inspection, tensors: bool) -> dict[str, Any]:
    """The same as plain values."""
    plain: dict[str, Any] = {
        "path": str(found.path), "form": found.form, "architecture": found.architecture, "refused": found.refused,
        "parameters": found.parameters, "tensors": len(found.tensors),
        "dtypes": {dtype: {"tensors": count, "bytes": nbytes} for dtype, (count, nbytes) in found.dtypes.items()},
        "bytes": {
            "stored": found.stored_bytes, "bfloat16": 2 * found.parameters, "float32": 4 * found.parameters,
        },
        "tokenizer": {"kind": found.tokenizer, "size": found.vocabulary}, "chat_template": found.chat_template,
    }  # fmt: skip
    if config := found.config:
        plain["shape"] = {
            "layers": config.n_layers, "width": config.d_model, "heads": config.n_heads,
            "kv_heads": config.n_kv_heads, "head_dim": config.dim_per_head, "mlp": config.d_ff,
            "vocabulary": config.vocab, "context": config.max_positions, "window": config.window, "tied": config.tied,
        }  # fmt: skip
        plain["kv_cache_bytes"] = {
            "per_token_bfloat16": cache_bytes(config, 1, 2), "per_token_float32": cache_bytes(config, 1, 4),
            "whole_context_bfloat16": cache_bytes(config, config.max_positions, 2),
        }  # fmt: skip
    if tensors:
        plain["list"] = [
            {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype, "bytes": tensor.nbytes}
            for tensor in found.tensors
        ]
    return plain


def lines(found: Inspection) -> Iterable[tuple[str, str]]:
    """What to show, each with its name."""
    config = found.config
    yield "stored as", found.form
    yield "architecture", found.architecture
    if found.refused:
        yield "not loaded", found.refused
    if config:
        groups = f", {config.n_kv_heads} for keys" if config.n_kv_heads != config.n_heads else ""
        yield "shape", f"{config.n_layers} layers of width {config.d_model}"
        yield "heads", f"{config.n_heads} of {config.dim_per_head} channels{groups}"
        yield "MLP", f"{config.d_ff} wide, {config.mlp}"
    yield "parameters", f"{found.parameters:,}"
    for dtype, (tensors, nbytes) in found.dtypes.items():
        yield dtype, f"{tensors} tensor{'s' * (tensors > 1)}, {size(nbytes)}"
    yield "on disk", size(found.stored_bytes)
    if config:
        yield "in memory", f"{size(2 * found.parameters)} as bfloat16, {size(4 * found.parameters)} as float32"
        once, whole = cache_bytes(config, 1, 2), cache_bytes(config, config.max_positions, 2)
        yield "KV cache", f"{size(once)} a token as bfloat16, {size(whole)} for the whole context"
        window = f", {config.window:,} in windowed layers" if config.window else ""
        yield "context", f"{config.max_positions:,} tokens{window}"
    if found.tokenizer:
        yield "tokenizer", found.tokenizer + (f", {found.vocabulary:,} tokens" if found.vocabulary else "")
        yield "chat template", "yes" if found.chat_template else "no"


def size(nbytes: int) -> str:
    """
    >>> size(512), size(46080), size(98 * 1024**2)
    ('512 B', '45.0 KiB', '98.0 MiB')
    """
    value, unit = float(nbytes), 0
    while value >= 1024 and unit < 4:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}" if unit else f"{nbytes} B"
