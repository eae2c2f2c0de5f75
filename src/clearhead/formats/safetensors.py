"""Safetensors: one file, or a folder of shards with an index, checked before anything in it is believed.

A file is eight bytes of length, a JSON table of names, types, shapes and places, and the numbers one after the other.
The table must account for every byte. A tensor is read when it is asked for, into memory of its own: a mapping would
count as memory twice while it is copied, and a file cut short under one ends the process.
Format: huggingface/safetensors, README, "Format".
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from clearhead.errors import UserError, warn
from clearhead.files import whole, write_whole

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LONGEST_HEADER = 100_000_000  # bytes; the safetensors library's own limit
SHARD_BYTES = 5_000_000_000
DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "U16": torch.uint16,
    "I32": torch.int32, "U32": torch.uint32, "I64": torch.int64, "U64": torch.uint64, "F16": torch.float16,
    "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip


class TensorInfo(NamedTuple):
    """What a tensor is, and where it lies."""

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    file: Path
    start: int


class Safetensors:
    """An opened file or folder. Nothing of a tensor is read before `read`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: dict[str, str] = {}
        if path.is_dir():
            self.tensors = _folder(path)
        else:
            self.tensors, self.metadata = header(path)

    def read(self, name: str) -> Tensor:
        """The tensor, in memory of its own."""
        info = self.tensors[name]
        data = torch.empty(info.nbytes, dtype=torch.uint8)
        try:
            with open(info.file, "rb", buffering=0) as file:
                file.seek(info.start)
                view, got = data.numpy().data, 0
                while got < info.nbytes and (count := file.readinto(view[got:])):  # at most 2 GiB come at once
                    got += count
        except OSError as error:
            raise UserError(f"cannot read {info.file}: {error.strerror}; get it again") from None
        if got < info.nbytes:
            raise UserError(f"{info.file} became shorter while it was read; get it again")
        return data.view(DTYPES[info.dtype]).reshape(info.shape)


def header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """The tensors of one file, and the words that its writer added. UserError says what is wrong with it."""
    if path.suffix in PICKLE_SUFFIXES:
        raise UserError(pickled(path))
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise UserError(f"{path} is broken: it ends before its table does; get it again")
            if length > LONGEST_HEADER:
                raise UserError(f"{path} is broken: its table of {length:,} bytes is too long; get it again")
            data = file.read(length)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a .safetensors file") from None
    try:
        table = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
        if not isinstance(table, dict):
            raise ValueError("its table is no JSON object")
        words = table.pop("__metadata__", {})
        if not isinstance(words, dict) or not all(isinstance(word, str) for word in words.values()):
            raise ValueError("its __metadata__ is no table of words")
        return _places(table, path, 8 + length, size), words
    except (ValueError, RecursionError) as error:  # the text is no JSON, or what it says is impossible
        told = "its table is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UserError(f"{path} is broken: {told}; get it again") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r:.80} is there twice")
    return found


def _places(table: Mapping[str, Any], path: Path, base: int, size: int) -> dict[str, TensorInfo]:
    """Every tensor's place: as many bytes as its shape and type need, one after the other, up to the file's end."""
    found = {name: _place(name, told, path, base) for name, told in table.items()}
    end, before = base, "the table"
    for name, info in sorted(found.items(), key=lambda item: (item[1].start, item[1].nbytes)):
        if info.start != end:
            raise ValueError(f"{name!r:.80} {'overlaps' if info.start < end else 'leaves a gap after'} {before}")
        end, before = info.start + info.nbytes, f"{name!r:.80}"
        if end > size:
            raise ValueError(f"{name!r:.80} ends {end - size:,} bytes beyond the file, which is cut off")
    if end != size:
        raise ValueError(f"{size - end:,} bytes at its end belong to no tensor")
    return found


def _place(name: str, told: Any, path: Path, base: int) -> TensorInfo:
    if not name.isprintable():
        raise ValueError(f"{name!r:.80} is no name of a tensor")
    if not isinstance(told, dict) or told.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name!r:.80} is not told by dtype, shape and data_offsets")
    dtype, shape, offsets = told["dtype"], told["shape"], told["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name!r:.80} has the type {dtype!r:.20}; {', '.join(DTYPES)} can be read")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name!r:.80} has a shape or a place that is no list of whole numbers")
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != needed:
        raise ValueError(f"{name!r:.80} has {offsets[1] - offsets[0]:,} bytes where its shape and type need {needed:,}")
    return TensorInfo(tuple(shape), dtype, needed, path, base + offsets[0])


def _counts(told: Any) -> bool:
    """Whether this is a list of sizes that a file could have."""
    return isinstance(told, list) and len(told) < 64 and all(type(n) is int and 0 <= n < 1 << 63 for n in told)


def _folder(path: Path) -> dict[str, TensorInfo]:
    """All tensors of a folder, each where its index says."""
    if (path / WEIGHTS).is_file():  # as transformers: whatever an index beside it says
        if (path / INDEX).is_file():
            warn(f"{path} has {WEIGHTS} and {INDEX}; the single file is read, and the shards are ignored")
        return header(path / WEIGHTS)[0]
    if not (path / INDEX).is_file():
        if beside := [file for pattern in PICKLES for file in path.glob(pattern)]:
            raise UserError(pickled(beside[0]))
        raise UserError(f"{path} has no {WEIGHTS} and no {INDEX}; get the folder again")
    index = path / INDEX
    try:
        told = json.loads(index.read_bytes(), object_pairs_hook=_once)
        listed = told["weight_map"] if isinstance(told, dict) else None
    except (OSError, ValueError, RecursionError, KeyError) as error:
        raise UserError(f"{index} cannot be read: {error}; get it again") from None
    if not isinstance(listed, dict) or not listed or not all(isinstance(name, str) for name in listed.values()):
        raise UserError(f"{index} lists nothing; get it again")
    shards = sorted(set(listed.values()))
    if missing := [shard for shard in shards if Path(shard).name != shard or not (path / shard).is_file()]:
        raise UserError(f"{index} lists {missing[0]!r:.80}, which is not there; get the folder again")
    found: dict[str, TensorInfo] = {}
    for shard in shards:
        inside = header(path / shard)[0]
        for name in inside:
            if listed.get(name) != shard:
                raise UserError(
                    f"{path / shard} holds {name!r:.80}, which {INDEX} does not place there; get both again"
                )
        found |= inside
    if missing := sorted(listed.keys() - found.keys()):
        raise UserError(
            f"{index} places {missing[0]!r:.80} in {listed[missing[0]]}, where it is not; get the folder again"
        )
    return found


def pickled(path: Path) -> str:
    return (
        f"{path} is pickle, a format that can run any program when it is read; get safetensors or GGUF instead, "
        "or convert it where you trust it"
    )


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One file, there whole or not at all."""
    try:
        with whole(path) as part:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, {"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write {path}: {str(error).splitlines()[0]}; choose another place") from None


def write_folder(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int = SHARD_BYTES) -> None:
    """One file where all fits into it, else numbered shards, and the index that makes them a model last."""
    shards: list[dict[str, Tensor]] = [{}]
    room = shard_bytes
    for name, tensor in tensors.items():
        if tensor.nbytes > room and shards[-1]:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = tensor
        room -= tensor.nbytes
    if len(shards) == 1:
        write(folder / WEIGHTS, tensors)
        return
    placed: dict[str, str] = {}
    for i, shard in enumerate(shards, start=1):
        name = f"model-{i:05}-of-{len(shards):05}.safetensors"
        write(folder / name, shard)
        placed |= dict.fromkeys(shard, name)
    total = sum(tensor.nbytes for tensor in tensors.values())
    write_whole(folder / INDEX, json.dumps({"metadata": {"total_size": total}, "weight_map": placed}, indent=2))
