"""GGUF files: names and values, then the tensors, each read from the mapped file when it is asked for.

Every size in the file is checked against what the file still holds before it is believed. A list of text or numbers
is read at once: the vocabulary of a real model takes a moment, where the gguf package takes seconds. What quantized
blocks stand for is the package's business. Format: ggml/docs/gguf.md, versions 2 and 3, little-endian.
"""

import importlib
import math
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from clearhead.errors import UserError
from clearhead.files import whole

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
ALIGNMENT = 32  # of tensors, unless general.alignment says otherwise
MOST_DIMENSIONS = 4
LENGTH = struct.Struct("<Q")  # of a text
PLAIN: dict[int, tuple[str, np.dtype[Any]]] = {
    0: ("F32", np.dtype("<f4")),
    1: ("F16", np.dtype("<f2")),
    30: ("BF16", np.dtype("<u2")),
}
# type: (name, weights in a block, bytes of a block)
BLOCKS = {
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
}  # fmt: skip
PACKAGE = "gguf"
# And what general.file_type calls a file of them.
WRITTEN = {"F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q4_0": 2, "Q4_1": 3}
TABLES = ("token_embd.weight", "output.weight")  # which are written in 8 bits where the rest is in 4
AT_ONCE = 1 << 20  # weights of a tensor that are unpacked together: the package's steps each make a copy


class TensorInfo(NamedTuple):
    """Where a tensor lies and how; `shape` with the rows first, as NumPy and torch have it."""

    shape: tuple[int, ...]
    kind: int
    start: int
    nbytes: int

    @property
    def is_plain(self) -> bool:
        """Whether it is in floats."""
        return self.kind in PLAIN

    @property
    def dtype(self) -> str:
        return PLAIN[self.kind][0] if self.kind in PLAIN else BLOCKS[self.kind][0]


class Blocks(NamedTuple):
    """A matrix in whole numbers: w = scale (q - 2^(bits-1)), or scale q + least; a scale for each 32 of a row."""

    bits: int
    q: np.ndarray  # rows, inputs
    scale: np.ndarray  # rows, groups; float16
    least: np.ndarray | None = None


class Truncated(Exception):
    """A size in the file points beyond its end."""


@dataclass
class _Reader:
    """A cursor over the bytes of a file, which are read as they are asked for."""

    data: mmap.mmap | bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Truncated
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "surrogateescape")

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            raise UserError(f"a value of the unknown type {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner in SCALARS:
            code = np.dtype("<" + SCALARS[inner])
            return np.frombuffer(self.take(count * code.itemsize), code).tolist()
        if inner != STRING:
            raise UserError(f"a list of lists or of the unknown type {inner}")
        return self.texts(count)

    def texts(self, count: int) -> list[str]:
        """As many texts one after the other: a vocabulary has hundreds of thousands."""
        data, at, size, found = self.data, self.at, len(self.data), []
        for _ in range(count):
            if at + LENGTH.size > size:
                raise Truncated
            start = at + LENGTH.size
            at = start + LENGTH.unpack_from(data, at)[0]
            if at > size:
                raise Truncated
            found.append(data[start:at].decode("utf-8", "surrogateescape"))
        self.at = at
        return found


class GGUF:
    """An opened file. Nothing of a tensor is read before `read`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        reader = _open(path)
        self._data = reader.data
        try:
            self.metadata, count = _metadata(reader)
            self.tensors = _tensors(reader, count, self.metadata.get("general.alignment", ALIGNMENT))
        except Truncated:
            raise UserError(f"{path} ends too early; it is cut off or broken, fetch it again") from None
        except UserError as error:
            raise UserError(f"{path} is no GGUF file that can be read: {error}") from None

    def read(self, name: str) -> np.ndarray:
        """The tensor: F32 and F16 as they lie in the file, not to be written to; everything else as float32.

        What was read before stays valid, but its part of the file is no longer held in memory.
        """
        info = self.tensors[name]
        if isinstance(self._data, mmap.mmap):
            self._data.madvise(mmap.MADV_DONTNEED)
        if info.kind in PLAIN:
            flat = np.frombuffer(self._data, PLAIN[info.kind][1], math.prod(info.shape), info.start)
            if info.dtype == "BF16":  # the upper half of a float32
                flat = (flat.astype(np.uint32) << 16).view(np.float32)
            return flat.reshape(info.shape)
        package = _package()
        _, weights, size = BLOCKS[info.kind]
        kind, found = package.GGMLQuantizationType(info.kind), np.empty(math.prod(info.shape), np.float32)
        blocks = np.frombuffer(self._data, np.uint8, info.nbytes, info.start).reshape(-1, size)
        for first in range(0, len(blocks), AT_ONCE // weights):
            row = blocks[first : first + AT_ONCE // weights].reshape(1, -1)  # the package goes row by row
            with np.errstate(all="ignore"):  # a damaged scale may be infinite, and infinity times 0 is no number
                part = package.quants.dequantize(row, kind)
            found[first * weights : first * weights + part.size] = part.reshape(-1)
        return found.reshape(info.shape)

    def blocks(self, name: str) -> Blocks | None:
        """A matrix of Q8_0, Q4_0, Q4_1 or Q4_K as its whole numbers; None for another type."""
        info = self.tensors[name]
        if info.dtype not in UNPACKED or len(info.shape) != 2:
            return None
        _, _, size = BLOCKS[info.kind]
        data = np.frombuffer(self._data, np.uint8, info.nbytes, info.start).reshape(-1, size)
        bits, q, scale, least = UNPACKED[info.dtype](data)
        rows = info.shape[0]
        return Blocks(
            bits, q.reshape(info.shape), scale.reshape(rows, -1), None if least is None else least.reshape(rows, -1)
        )


def _halves(data: np.ndarray, first: int) -> np.ndarray:
    """A float16 of each block."""
    return data[:, first : first + 2].copy().view("<f2")


def _nibbles(data: np.ndarray) -> np.ndarray:
    """The lower four bits of some bytes and, behind them, the upper four."""
    return np.concatenate((data & 15, data >> 4), -1)


def _q4_k(data: np.ndarray) -> Blocks:
    """8 groups of 32 with scales and minima of 6 bits, of which the last 4 groups' are cut in two."""
    packed = data[:, 4:16].reshape(-1, 3, 4)
    first, second, rest = packed[:, 0], packed[:, 1], packed[:, 2]
    scale = np.concatenate((first & 63, rest & 15 | first >> 6 << 4), -1)
    least = np.concatenate((second & 63, rest >> 4 | second >> 6 << 4), -1)
    with np.errstate(over="ignore"):  # a damaged factor
        scale, least = (
            (factor.astype(np.float32) * x).astype(np.float16)
            for factor, x in ((_halves(data, 0), scale), (-_halves(data, 2), least))
        )
    return Blocks(4, _nibbles(data[:, 16:].reshape(-1, 4, 32)), scale, least)


# In the order of ggml-common.h; a scale of Q4_K is rounded to float16, all else is as it lies there.
UNPACKED: dict[str, Callable[[np.ndarray], Blocks]] = {
    "Q8_0": lambda data: Blocks(8, data[:, 2:] ^ 128, _halves(data, 0)),
    "Q4_0": lambda data: Blocks(4, _nibbles(data[:, 2:]), _halves(data, 0)),
    "Q4_1": lambda data: Blocks(4, _nibbles(data[:, 4:]), _halves(data, 0), _halves(data, 2)),
    "Q4_K": _q4_k,
}


def read_metadata(path: Path) -> dict[str, Any]:
    """Every name and value."""
    try:
        return _metadata(_open(path))[0]
    except Truncated:
        raise UserError(f"{path} ends in the middle of its metadata; it is cut off or broken, fetch it again") from None
    except UserError as error:
        raise UserError(f"{path} is no GGUF file that can be read: {error}") from None


def write(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, np.ndarray], kind: str) -> None:
    """A new file, there whole or not at all. Matrices are written as `kind`, vectors as F32, as llama.cpp wants them.

    Whole numbers become uint32, lists of them int32; the architecture must be named. UserError for an unknown kind and
    for a matrix whose rows are no whole blocks.
    """
    if kind not in WRITTEN:
        raise UserError(f"the type {kind!r} cannot be written; choose one of {', '.join(WRITTEN)}")
    package = _package()
    in_blocks = {block[0] for block in BLOCKS.values()}
    for name, tensor in tensors.items():
        if kind in in_blocks and tensor.ndim > 1 and tensor.shape[-1] % 32:
            raise UserError(f"{name} has rows of {tensor.shape[-1]} weights, not whole blocks of 32; write F16 instead")
    try:
        with whole(path) as part:
            writer = package.GGUFWriter(part, metadata["general.architecture"])
            writer.add_file_type(WRITTEN[kind])
            if kind in in_blocks:
                writer.add_quantization_version(package.GGML_QUANT_VERSION)
            for key, value in metadata.items():
                if key not in ("general.architecture", "general.file_type", "general.quantization_version"):
                    writer.add_key_value(key, value, *_value_type(package, value))
            for name, tensor in tensors.items():
                small = kind in ("Q4_0", "Q4_1") and name in TABLES
                as_kind = package.GGMLQuantizationType["F32" if tensor.ndim < 2 else "Q8_0" if small else kind]
                plain = {"F32": np.float32, "F16": np.float16}.get(as_kind.name)
                if plain is not None:
                    writer.add_tensor(name, np.ascontiguousarray(tensor, plain))
                else:
                    writer.add_tensor(
                        name, package.quants.quantize(tensor.astype(np.float32), as_kind), raw_dtype=as_kind
                    )
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; choose another place") from None


def _value_type(package: ModuleType, value: Any) -> tuple[Any, ...]:
    """The type of a value in the file, and for a list that of its entries."""
    kinds = package.GGUFValueType
    if isinstance(value, list):
        inner = {bool: kinds.BOOL, int: kinds.INT32, float: kinds.FLOAT32, str: kinds.STRING}[type(value[0])]
        return kinds.ARRAY, inner
    return ({bool: kinds.BOOL, int: kinds.UINT32, float: kinds.FLOAT32, str: kinds.STRING}[type(value)],)


def is_gguf(path: Path) -> bool:
    """Whether it begins as one."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _package() -> ModuleType:
    """The gguf package, which is an extra: for quantized tensors, and to write."""
    try:
        importlib.import_module(f"{PACKAGE}.quants")
        return importlib.import_module(PACKAGE)
    except ImportError:
        raise UserError("this GGUF file needs the package gguf: pip install 'clearhead[interop]'") from None


def _open(path: Path) -> _Reader:
    try:
        with open(path, "rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0  # nothing to map
            return _Reader(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name a GGUF file") from None


def _metadata(reader: _Reader) -> tuple[dict[str, Any], int]:
    """Names with values, and the number of tensors; the cursor is left behind them."""
    if reader.data[:4] != MAGIC:
        raise UserError("it does not begin with GGUF")
    reader.at = len(MAGIC)
    version = reader.number("I")
    if int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS:
        raise UserError("it is big-endian, for another kind of computer; get the little-endian file")
    if version not in VERSIONS:
        raise UserError(f"version {version} is unknown; versions {VERSIONS[0]} and {VERSIONS[1]} can be read")
    tensors, count = reader.number("Q"), reader.number("Q")
    found: dict[str, Any] = {}
    for _ in range(count):
        name = reader.text()
        if name in found:
            raise UserError(f"the name {name[:60]!r} is there twice")
        found[name] = reader.value(reader.number("I"))
    return found, tensors


def _tensors(reader: _Reader, count: int, alignment: Any) -> dict[str, TensorInfo]:
    """Every tensor's place; none leaves the file, overlaps another, or has a type that is not known."""
    if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
        raise UserError(f"general.alignment = {alignment!r} is no multiple of 8")
    listed: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for _ in range(count):
        name, dimensions = reader.text(), reader.number("I")
        if name in listed:
            raise UserError(f"the tensor {name[:60]!r} is there twice")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise UserError(
                f"the tensor {name[:60]!r} has {dimensions} dimensions; 1 to {MOST_DIMENSIONS} are possible"
            )
        shape = tuple(reader.number("Q") for _ in range(dimensions))[::-1]
        listed[name] = (shape, reader.number("I"), reader.number("Q"))
    base = -(-reader.at // alignment) * alignment
    found: dict[str, TensorInfo] = {}
    end = base
    for name, (shape, kind, offset) in sorted(listed.items(), key=lambda item: item[1][2]):
        start, nbytes = base + offset, _nbytes(name, shape, kind)
        if offset % alignment or start < end:
            raise UserError(f"the tensor {name[:60]!r} lies at {offset}, inside another or off the grid of {alignment}")
        if start + nbytes > len(reader.data):
            raise Truncated
        end = start + nbytes
        found[name] = TensorInfo(shape, kind, start, nbytes)
    return {name: found[name] for name in listed}


def _nbytes(name: str, shape: tuple[int, ...], kind: int) -> int:
    if 0 in shape:
        raise UserError(f"the tensor {name[:60]!r} is empty")
    if kind in PLAIN:
        return math.prod(shape) * PLAIN[kind][1].itemsize
    if kind not in BLOCKS:
        known = ", ".join([*(plain[0] for plain in PLAIN.values()), *(block[0] for block in BLOCKS.values())])
        raise UserError(f"the tensor {name[:60]!r} is of type {kind}; {known} can be read")
    _, weights, size = BLOCKS[kind]
    if shape[-1] % weights:
        raise UserError(f"the tensor {name[:60]!r} has rows of {shape[-1]} weights, not whole blocks of {weights}")
    return math.prod(shape) // weights * size
