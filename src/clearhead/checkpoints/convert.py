"""A model in another form: a Hugging Face folder or a GGUF file, with its tokenizer and its chat template.

What the target has no words for is an error before a weight is read, and the target is there whole or not at all.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import torch

from clearhead.checkpoints import export
from clearhead.checkpoints.inspect import Inspection, inspect
from clearhead.checkpoints.load import LoadedModel, load_model
from clearhead.errors import UserError
from clearhead.formats.safetensors import PICKLE_SUFFIXES
from clearhead.models.decoder import DecoderConfig
from clearhead.models.gguf import architecture_of
from clearhead.models.huggingface import family_of

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
IN_GGUF = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0", "q4_1": "Q4_1"}
OURS = (
    "config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    *export.BESIDE,
)  # what a folder is replaced with
CPU = torch.device("cpu")
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Converted:
    """What was written."""

    path: Path
    form: str
    dtype: str
    parameters: int
    nbytes: int


def convert(source: str, target: Path, dtype: str | None, force: bool, progress: Progress) -> Converted:
    """Write the model `source` to `target`, a GGUF file if it is called so, else a folder.

    `dtype` None: the type that all tensors are stored in, float32 where they have several or are quantized, so that
    nothing is lost.
    """
    to_file = target.suffix == ".gguf"
    found = inspect(source)
    if found.refused:
        raise UserError(f"{source}: {found.refused}")
    if to_file and found.encoder_decoder:
        raise UserError(f"{source} is an encoder-decoder, which GGUF files of ours do not hold; name a folder")
    check_target(target, found.path, to_file, force)
    kind, place = dtype or kept_type(found), target.resolve()  # `.` means another folder once it is replaced
    if found.config is not None:
        check_words(found.config, to_file, kind)
    with progress("convert", 2) as advance:
        # Gains may change by 1 on their way into a file of llama.cpp, which half precision would round.
        loaded = load_model(source, CPU, torch.float32 if to_file else TYPES[kind])
        advance(1)
        if kind == "f16":
            check_range(loaded)
        if to_file:
            export.write_gguf(loaded, target, IN_GGUF[kind])
        else:
            replace_folder(loaded, target)
        advance(1)
    written = [target] if to_file else [file for file in place.iterdir() if file.suffix == ".safetensors"]
    parameters = loaded.model.config.parameters
    return Converted(
        target, "GGUF file" if to_file else "Hugging Face folder", kind, parameters,
        sum(file.stat().st_size for file in written),
    )  # fmt: skip


def kept_type(found: Inspection) -> str:
    """The type in which nothing is lost."""
    names = {"F16": "f16", "BF16": "bf16"}
    stored = list(found.dtypes)
    return names.get(stored[0], "f32") if len(stored) == 1 and found.form != "adapter" else "f32"


def check_target(target: Path, source: Path, to_file: bool, force: bool) -> None:
    """UserError unless the target is free, or may be replaced and is of the kind that is written."""
    if target.suffix == ".safetensors" or target.suffix in PICKLE_SUFFIXES:
        raise UserError(f"{target} is no name for what is written: a folder, or a file that ends in .gguf")
    if not target.parent.is_dir():
        raise UserError(f"{target.parent} is no folder; make it first, or choose another place")
    if not target.exists():
        return
    if target.resolve() == source.resolve() or target.resolve() in source.resolve().parents:
        raise UserError(f"{target} is what is read; choose another place")
    if not force:
        raise UserError(f"{target} already exists; add --force to replace it, or choose another place")
    if target.is_dir() == to_file:
        raise UserError(f"{target} is {'a folder' if to_file else 'a file'} already; choose another place")
    if not to_file:
        strange = [file.name for file in target.iterdir() if not any(fnmatch(file.name, name) for name in OURS)]
        if strange:
            raise UserError(f"{target} holds {strange[0]!r:.60}, which is no part of a model; choose another place")


def check_words(config: DecoderConfig, to_file: bool, kind: str) -> None:
    """UserError if the target has no words for such a decoder or for the type."""
    if to_file:
        architecture_of(config)
    else:
        family_of(config)
        if kind not in TYPES:
            raise UserError(f"--dtype {kind} is for GGUF files; a folder takes {', '.join(TYPES)}")


def check_range(loaded: LoadedModel) -> None:
    largest = torch.finfo(torch.float16).max
    for name, weight in loaded.model.named_parameters():
        if not bool(weight.isfinite().all()) or float(weight.abs().max()) > largest:
            raise UserError(f"{name} has numbers above {largest:,.0f}, which f16 cannot hold; use --dtype bf16 or f32")


def replace_folder(loaded: LoadedModel, target: Path) -> None:
    """Written beside the target, which it then takes the place of."""
    target = target.resolve()  # of a link, what it leads to
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        aside.mkdir()
        export.write_folder(loaded, aside)
        for file in aside.iterdir():  # what is written aside is for its owner alone, and a model is to be shared
            file.chmod(aside.stat().st_mode & 0o666)
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(aside, target)
        except BaseException:
            if old.exists():
                os.replace(old, target)
            raise
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}; choose another place") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
